#include "server/command_info.h"

struct flag_word {
    unsigned flag;
    const char *word;
};

static const struct flag_word flag_words[] = {
    {COMMAND_WRITE, "write"},
    {COMMAND_READONLY, "readonly"},
    {COMMAND_DENY_OOM, "denyoom"},
    {COMMAND_ADMIN, "admin"},
    {COMMAND_PUBSUB, "pubsub"},
    {COMMAND_NO_SCRIPT, "noscript"},
    {COMMAND_BLOCKING, "blocking"},
    {COMMAND_LOADING, "loading"},
    {COMMAND_STALE, "stale"},
    {COMMAND_SKIP_MONITOR, "skip_monitor"},
    {COMMAND_SKIP_SLOWLOG, "skip_slowlog"},
    {COMMAND_ASKING, "asking"},
    {COMMAND_FAST, "fast"},
    {COMMAND_NO_AUTH, "no_auth"},
    {COMMAND_NO_MANDATORY_KEYS, "no_mandatory_keys"},
    {COMMAND_NO_ASYNC_LOADING, "no_async_loading"},
    {COMMAND_NO_MULTI, "no_multi"},
    {COMMAND_MOVABLE_KEYS, "movablekeys"},
    {COMMAND_ALLOW_BUSY, "allow_busy"},
};

static const struct flag_word category_words[] = {
    {CATEGORY_KEYSPACE, "@keyspace"},
    {CATEGORY_READ, "@read"},
    {CATEGORY_WRITE, "@write"},
    {CATEGORY_SET, "@set"},
    {CATEGORY_SORTED_SET, "@sortedset"},
    {CATEGORY_LIST, "@list"},
    {CATEGORY_HASH, "@hash"},
    {CATEGORY_STRING, "@string"},
    {CATEGORY_BITMAP, "@bitmap"},
    {CATEGORY_HYPERLOGLOG, "@hyperloglog"},
    {CATEGORY_GEO, "@geo"},
    {CATEGORY_STREAM, "@stream"},
    {CATEGORY_PUBSUB, "@pubsub"},
    {CATEGORY_ADMIN, "@admin"},
    {CATEGORY_FAST, "@fast"},
    {CATEGORY_SLOW, "@slow"},
    {CATEGORY_BLOCKING, "@blocking"},
    {CATEGORY_DANGEROUS, "@dangerous"},
    {CATEGORY_CONNECTION, "@connection"},
    {CATEGORY_TRANSACTION, "@transaction"},
    {CATEGORY_SCRIPTING, "@scripting"},
};

static const struct flag_word key_words[] = {
    {KEY_RO, "RO"},
    {KEY_RW, "RW"},
    {KEY_OW, "OW"},
    {KEY_RM, "RM"},
    {KEY_ACCESS, "access"},
    {KEY_UPDATE, "update"},
    {KEY_INSERT, "insert"},
    {KEY_DELETE, "delete"},
    {KEY_NOT_KEY, "not_key"},
    {KEY_INCOMPLETE, "incomplete"},
    {KEY_VARIABLE_FLAGS, "variable_flags"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void reply_words(struct reply *reply, unsigned flags, const struct flag_word *words,
                        size_t count) {
    struct reply_mark mark = reply_mark_here(reply);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if ((flags & words[i].flag) != 0) {
            reply_status(reply, words[i].word);
            found++;
        }
    }
    reply_set_at(reply, mark, found);
}

unsigned command_categories(const struct command *command) {
    static const struct {
        unsigned flag;
        unsigned categories;
    } implied[] = {
        {COMMAND_WRITE, CATEGORY_WRITE},       {COMMAND_ADMIN, CATEGORY_ADMIN | CATEGORY_DANGEROUS},
        {COMMAND_PUBSUB, CATEGORY_PUBSUB},     {COMMAND_FAST, CATEGORY_FAST},
        {COMMAND_BLOCKING, CATEGORY_BLOCKING},
    };
    static const struct {
        const char *group;
        unsigned category;
    } groups[] = {
        {"string", CATEGORY_STRING}, {"bitmap", CATEGORY_BITMAP},
        {"hash", CATEGORY_HASH},     {"list", CATEGORY_LIST},
        {"set", CATEGORY_SET},       {"sorted-set", CATEGORY_SORTED_SET},
        {"stream", CATEGORY_STREAM}, {"hyperloglog", CATEGORY_HYPERLOGLOG},
        {"geo", CATEGORY_GEO},
    };
    unsigned categories = command->categories;
    for (size_t i = 0; i < COUNT_OF(groups); i++) {
        if (strcmp(command->group, groups[i].group) == 0) {
            categories |= groups[i].category;
        }
    }
    for (size_t i = 0; i < COUNT_OF(implied); i++) {
        if ((command->flags & implied[i].flag) != 0) {
            categories |= implied[i].categories;
        }
    }
    if ((command->flags & COMMAND_READONLY) != 0 && (categories & CATEGORY_SCRIPTING) == 0) {
        categories |= CATEGORY_READ;
    }
    if ((categories & CATEGORY_FAST) == 0) {
        categories |= CATEGORY_SLOW;
    }
    return categories;
}

unsigned command_category_named(struct span name) {
    for (size_t i = 0; i < COUNT_OF(category_words); i++) {
        if (span_is(name, category_words[i].word + 1)) {
            return category_words[i].flag;
        }
    }
    return 0;
}

void command_reply_key_flags(struct reply *reply, unsigned flags) {
    reply_words(reply, flags, key_words, COUNT_OF(key_words));
}

/* ---- key specs ---- */

int command_specs_count(const struct command *command) {
    int count = 0;
    while (count < COMMAND_KEY_SPECS_MAX && command->keys[count].flags != 0) {
        count++;
    }
    return count;
}

static void reply_begin_search(struct reply *reply, const struct key_spec *spec) {
    reply_bulk_string(reply, "begin_search");
    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    if (spec->keyword == NULL) {
        reply_bulk_string(reply, "index");
        reply_bulk_string(reply, "spec");
        reply_map(reply, 1);
        reply_bulk_string(reply, "index");
    } else {
        reply_bulk_string(reply, "keyword");
        reply_bulk_string(reply, "spec");
        reply_map(reply, 2);
        reply_bulk_string(reply, "keyword");
        reply_bulk_string(reply, spec->keyword);
        reply_bulk_string(reply, "startfrom");
    }
    reply_integer(reply, spec->begin);
}

static void reply_named_integer(struct reply *reply, const char *name, int64_t number) {
    reply_bulk_string(reply, name);
    reply_integer(reply, number);
}

static void reply_find_keys(struct reply *reply, const struct key_spec *spec) {
    bool is_range = spec->step != 0;
    reply_bulk_string(reply, "find_keys");
    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    reply_bulk_string(reply, is_range ? "range" : "keynum");
    reply_bulk_string(reply, "spec");
    reply_map(reply, 3);
    if (is_range) {
        reply_named_integer(reply, "lastkey", spec->last);
        reply_named_integer(reply, "keystep", spec->step);
        reply_named_integer(reply, "limit", spec->limit);
    } else {
        reply_named_integer(reply, "keynumidx", spec->keynum_index);
        reply_named_integer(reply, "firstkey", spec->keynum_first);
        reply_named_integer(reply, "keystep", spec->keynum_step);
    }
}

static void reply_specs(struct reply *reply, const struct command *command) {
    int count = command_specs_count(command);
    reply_set(reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        const struct key_spec *spec = &command->keys[i];
        reply_map(reply, spec->notes == NULL ? 3 : 4);
        if (spec->notes != NULL) {
            reply_bulk_string(reply, "notes");
            reply_bulk_string(reply, spec->notes);
        }
        reply_bulk_string(reply, "flags");
        command_reply_key_flags(reply, spec->flags);
        reply_begin_search(reply, spec);
        reply_find_keys(reply, spec);
    }
}

/* Where keys stood before there were specs: first, last, step. */
struct key_range {
    int64_t first;
    int64_t last;
    int64_t step;
    bool is_movable; /* not all specs fit into it */
};

/* True when the spec can go on a range that ends at previous_last. */
static bool fits_range(const struct key_spec *spec, int previous_last) {
    return spec->keyword == NULL && spec->step == 1 && (spec->flags & KEY_INCOMPLETE) == 0 &&
           (previous_last == 0 || previous_last == spec->begin - 1);
}

static struct key_range range_of(const struct command *command) {
    int count = command_specs_count(command);
    struct key_range range = {.first = 0};
    const struct key_spec *only = &command->keys[0];
    if (count == 1 && only->keyword == NULL && only->step != 0) {
        range.first = only->begin;
        range.last = only->last >= 0 ? only->begin + only->last : only->last;
        range.step = only->step;
        range.is_movable = (only->flags & KEY_INCOMPLETE) != 0;
        return range;
    }
    int previous_last = 0;
    for (int i = 0; i < count; i++) {
        const struct key_spec *spec = &command->keys[i];
        if (!fits_range(spec, previous_last)) {
            range.is_movable = true;
            continue;
        }
        int last = spec->last >= 0 ? spec->begin + spec->last : spec->last;
        range.first = range.first == 0 || spec->begin < range.first ? spec->begin : range.first;
        /* As Redis compares them: a negative one counts from the end, so it is the larger. */
        range.last = (uint64_t)last > (uint64_t)range.last ? last : range.last;
        range.step = 1;
        previous_last = last;
    }
    return range;
}

/* ---- COMMAND INFO ---- */

static size_t count_subcommands(const struct command *command) {
    size_t count = 0;
    while (command->subcommands != NULL && command->subcommands[count].name != NULL) {
        count++;
    }
    return count;
}

void command_reply_info(struct session *session, const struct command_slot *slot) {
    const struct command_table *table = session_node(session)->commands;
    const struct command *command = slot->command;
    struct reply *reply = session->reply;
    struct key_range range = range_of(command);
    size_t tips = 0;
    while (command->tips != NULL && command->tips[tips] != NULL) {
        tips++;
    }
    reply_array(reply, 10);
    reply_bulk_string(reply, slot->full_name);
    reply_integer(reply, command->arity);
    reply_words(reply, command->flags | (range.is_movable ? (unsigned)COMMAND_MOVABLE_KEYS : 0),
                flag_words, COUNT_OF(flag_words));
    reply_integer(reply, range.first);
    reply_integer(reply, range.last);
    reply_integer(reply, range.step);
    reply_words(reply, command_categories(command), category_words, COUNT_OF(category_words));
    reply_set(reply, tips);
    for (size_t i = 0; i < tips; i++) {
        reply_bulk_string(reply, command->tips[i]);
    }
    reply_specs(reply, command);
    size_t subcommands = count_subcommands(command);
    if (subcommands == 0) {
        reply_set(reply, 0);
        return;
    }
    reply_array(reply, subcommands);
    for (size_t i = 0; i < subcommands; i++) {
        command_reply_info(session, command_table_subcommand(
                                        table, slot, span_of_string(command->subcommands[i].name)));
    }
}
