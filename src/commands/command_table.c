#include "commands/command.h"

#include "base/memory.h"

#include <stdio.h>

/* Names are looked up for every request: an open table of four times as many places, by a hash of
 * the first eight bytes and the length, letters without case. */
#define PLACES_PER_ROW 4

struct name_place {
    uint64_t word;   /* name_word() of the name */
    uint16_t length; /* of the name; 0: a free place */
    bool is_exact;   /* no other name has this word and length */
    uint32_t number;
};

struct command_table {
    struct command_slot *slots;
    size_t count;
    struct name_place *places;
    size_t places_mask;
};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* The first bytes of a name in one word, in loads of fixed size that may overlap. A bit that upper
 * case letters lack is set in all of them: other bytes may then be equal, too. */
static inline uint64_t name_word(struct span name) {
    uint64_t word = 0;
    if (name.length >= sizeof(word)) {
        memcpy(&word, name.bytes, sizeof(word));
    } else if (name.length >= sizeof(uint32_t)) {
        uint32_t head;
        uint32_t tail;
        memcpy(&head, name.bytes, sizeof(head));
        memcpy(&tail, name.bytes + name.length - sizeof(tail), sizeof(tail));
        word = (uint64_t)tail << 32 | head;
    } else if (name.length > 0) {
        word = (uint64_t)(unsigned char)name.bytes[0] << 16 |
               (uint64_t)(unsigned char)name.bytes[name.length / 2] << 8 |
               (unsigned char)name.bytes[name.length - 1];
    }
    return word | UINT64_C(0x2020202020202020);
}

static inline size_t name_hash(struct span name, uint64_t word) {
    uint64_t last = name.length > sizeof(word) ? (uint64_t)(name.bytes[name.length - 1] | 0x20) : 0;
    return (word + (last << 32) + name.length) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

/* Nothing but letters, all of which the word holds: what has the same word and length is the name,
 * in whatever case. */
static bool is_exact(struct span name) {
    bool is_letters = name.length <= sizeof(uint64_t);
    for (size_t i = 0; i < name.length; i++) {
        is_letters = is_letters && name.bytes[i] >= 'a' && name.bytes[i] <= 'z';
    }
    return is_letters;
}

static bool name_equals(const char *name, struct span text) {
    size_t i = 0;
    for (; i < text.length; i++) {
        if (name[i] != lower(text.bytes[i]) || name[i] == '\0') {
            return false;
        }
    }
    return name[i] == '\0';
}

static void add_name(struct command_table *table, const struct command_slot *slot) {
    struct span name = span_of_string(command_slot_name(slot));
    uint64_t word = name_word(name);
    size_t at = name_hash(name, word) & table->places_mask;
    while (table->places[at].length != 0) {
        at = (at + 1) & table->places_mask;
    }
    table->places[at] = (struct name_place){
        .word = word,
        .length = (uint16_t)name.length,
        .is_exact = is_exact(name),
        .number = slot->number,
    };
}

static bool has_one_key(const struct command *command) {
    return command->keys[0].flags != 0 && command->keys[0].last == 0 &&
           command->keys[1].flags == 0 && command->find_keys == NULL;
}

static void add_row(struct command_table *table, const struct command *command,
                    const struct command_slot *parent) {
    struct command_slot *slot = &table->slots[table->count];
    *slot = (struct command_slot){
        .command = command,
        .parent = parent,
        .number = (uint32_t)table->count,
        .has_one_key = has_one_key(command),
    };
    table->count++;
    if (parent == NULL) {
        snprintf(slot->full_name, sizeof(slot->full_name), "%s", command->name);
        add_name(table, slot);
    } else {
        snprintf(slot->full_name, sizeof(slot->full_name), "%s|%s", parent->command->name,
                 command->name);
    }
    for (const struct command *sub = command->subcommands; sub != NULL && sub->name != NULL;
         sub++) {
        add_row(table, sub, slot);
    }
}

static size_t count_rows(const struct command *rows) {
    size_t count = 0;
    for (; rows != NULL && rows->name != NULL; rows++) {
        count += 1 + count_rows(rows->subcommands);
    }
    return count;
}

struct command_table *command_table_new(const struct command *const *families, size_t count) {
    struct command_table *table = memory_alloc_zeroed(sizeof(*table));
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        rows += count_rows(families[i]);
    }
    size_t places = 1;
    while (places < rows * PLACES_PER_ROW) {
        places *= 2;
    }
    table->slots = memory_alloc_zeroed((rows + 1) * sizeof(struct command_slot));
    table->places = memory_alloc_zeroed(places * sizeof(struct name_place));
    table->places_mask = places - 1;
    for (size_t i = 0; i < count; i++) {
        for (const struct command *row = families[i]; row->name != NULL; row++) {
            ASSERT(command_table_find(table, span_of_string(row->name)) == NULL);
            add_row(table, row, NULL);
        }
    }
    return table;
}

void command_table_free(struct command_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        memory_free(table->slots[i].new_name);
    }
    memory_free(table->slots);
    memory_free(table->places);
    memory_free(table);
}

static void add_names(struct command_table *table) {
    memset(table->places, 0, (table->places_mask + 1) * sizeof(struct name_place));
    for (size_t i = 0; i < table->count; i++) {
        if (table->slots[i].parent == NULL && !table->slots[i].is_off) {
            add_name(table, &table->slots[i]);
        }
    }
}

const char *command_table_rename(struct command_table *table, struct span name,
                                 struct span new_name) {
    const struct command_slot *found = command_table_find(table, name);
    if (found == NULL) {
        return "No such command in rename-command";
    }
    const struct command_slot *other = command_table_find(table, new_name);
    if (other != NULL && other != found) {
        return "Target command name already exists";
    }
    bool has_zero = new_name.length != 0 && memchr(new_name.bytes, 0, new_name.length) != NULL;
    if (new_name.length > COMMAND_NAME_BYTES_MAX || has_zero) {
        return "Target command name is too long, or has a zero byte";
    }
    struct command_slot *slot = &table->slots[found->number];
    memory_free(slot->new_name);
    slot->new_name = memory_alloc(new_name.length + 1);
    for (size_t i = 0; i < new_name.length; i++) {
        slot->new_name[i] = lower(new_name.bytes[i]);
    }
    slot->new_name[new_name.length] = '\0';
    slot->is_off = new_name.length == 0;
    for (size_t i = slot->number + 1; i < table->count && table->slots[i].parent == slot; i++) {
        table->slots[i].is_off = slot->is_off;
    }
    add_names(table);
    return NULL;
}

const struct command *command_table_row(const struct command_table *table, const char *name) {
    for (size_t i = 0; i < table->count; i++) {
        const struct command_slot *slot = &table->slots[i];
        if (slot->parent == NULL && strcmp(slot->command->name, name) == 0) {
            return slot->command;
        }
    }
    return NULL;
}

const struct command_slot *command_table_find(const struct command_table *table, struct span name) {
    uint64_t word = name_word(name);
    size_t at = name_hash(name, word) & table->places_mask;
    for (const struct name_place *place = &table->places[at]; place->length != 0;
         at = (at + 1) & table->places_mask, place = &table->places[at]) {
        const struct command_slot *slot = &table->slots[place->number];
        if (LIKELY(place->word == word && place->length == name.length) &&
            (LIKELY(place->is_exact) || name_equals(command_slot_name(slot), name))) {
            return slot;
        }
    }
    return NULL;
}

const struct command_slot *command_table_subcommand(const struct command_table *table,
                                                    const struct command_slot *container,
                                                    struct span word) {
    for (size_t i = container->number + 1; i < table->count && table->slots[i].parent == container;
         i++) {
        if (name_equals(table->slots[i].command->name, word)) {
            return &table->slots[i];
        }
    }
    return NULL;
}

const struct command_slot *command_table_resolve(const struct command_table *table,
                                                 const struct span *args, uint32_t args_count,
                                                 const struct command_slot **container) {
    const struct command_slot *slot = command_table_find(table, args[0]);
    *container = NULL;
    if (LIKELY(slot == NULL || slot->command->subcommands == NULL || args_count < 2)) {
        return slot;
    }
    const struct command_slot *sub = command_table_subcommand(table, slot, args[1]);
    if (sub == NULL) {
        *container = slot;
    }
    return sub;
}

size_t command_table_count(const struct command_table *table) {
    return table->count;
}

const struct command_slot *command_table_at(const struct command_table *table, size_t number) {
    ASSERT(number < table->count);
    return &table->slots[number];
}

/* ---- keys ---- */

struct key_indexes {
    uint32_t *indexes;
    int max;
    int count;
};

static void push_key(struct key_indexes *keys, uint32_t index) {
    if (keys->count < keys->max) {
        keys->indexes[keys->count] = index;
    }
    keys->count++;
}

/* The index at which a spec's keys begin, or 0. */
static uint32_t spec_begin(const struct key_spec *spec, const struct span *args,
                           uint32_t args_count) {
    if (spec->keyword == NULL) {
        return (uint32_t)spec->begin;
    }
    if (spec->begin >= 0) {
        for (uint32_t i = (uint32_t)spec->begin; i + 1 < args_count; i++) {
            if (span_is(args[i], spec->keyword)) {
                return i + 1;
            }
        }
        return 0;
    }
    for (int64_t i = (int64_t)args_count + spec->begin; i > 0; i--) {
        if (span_is(args[i], spec->keyword)) {
            return (uint32_t)i + 1;
        }
    }
    return 0;
}

static bool spec_range(const struct key_spec *spec, uint32_t begin, uint32_t args_count,
                       struct key_indexes *keys) {
    int64_t last = spec->last >= 0 ? (int64_t)begin + spec->last : (int64_t)args_count + spec->last;
    if (spec->last < 0 && spec->limit > 1) {
        last = begin + ((int64_t)args_count - begin) / spec->limit + spec->last;
    }
    if (last >= args_count || last < begin) {
        return false;
    }
    for (int64_t i = begin; i <= last; i += spec->step) {
        push_key(keys, (uint32_t)i);
    }
    return true;
}

static bool spec_keynum(const struct key_spec *spec, const struct span *args, uint32_t begin,
                        uint32_t args_count, struct key_indexes *keys) {
    int64_t count = 0;
    uint32_t at = begin + (uint32_t)spec->keynum_index;
    if (at >= args_count || !number_parse(args[at], &count) || count < 0 || count > args_count) {
        return false;
    }
    int64_t first = (int64_t)begin + spec->keynum_first;
    if (count > 0 && first + (count - 1) * spec->keynum_step >= args_count) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        push_key(keys, (uint32_t)(first + i * spec->keynum_step));
    }
    return true;
}

int command_keys(const struct command *command, const struct span *args, uint32_t args_count,
                 uint32_t *indexes, int max) {
    if (command->find_keys != NULL) {
        return command->find_keys(args, args_count, indexes, max);
    }
    struct key_indexes keys = {.indexes = indexes, .max = max};
    for (int i = 0; i < COMMAND_KEY_SPECS_MAX && command->keys[i].flags != 0; i++) {
        const struct key_spec *spec = &command->keys[i];
        uint32_t begin = spec_begin(spec, args, args_count);
        if ((spec->flags & KEY_NOT_KEY) != 0 || begin == 0) {
            continue;
        }
        bool fits = spec->step == 0 ? spec_keynum(spec, args, begin, args_count, &keys)
                                    : spec_range(spec, begin, args_count, &keys);
        if (!fits) {
            return -1;
        }
    }
    return keys.count;
}
