#include "tests/simulation/random_commands.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define KEYS_OF_EACH_KIND 12
#define FIELDS_MAX 900
#define VALUE_BYTES_MAX ((size_t)300 * 1024)

struct maker {
    struct dataset_command *command;
    struct random *random;
    int64_t now_ms;
};

static uint64_t below(const struct maker *maker, uint64_t bound) {
    return random_below(maker->random, bound);
}

static bool one_in(const struct maker *maker, uint64_t count) {
    return below(maker, count) == 0;
}

/* ---- arguments ---- */

static void add(const struct maker *maker, const char *text) {
    dataset_command_add(maker->command, span_of_string(text));
}

static void add_number(const struct maker *maker, int64_t number) {
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)number);
    add(maker, text);
}

static void add_key(const struct maker *maker, char kind) {
    char text[32];
    snprintf(text, sizeof(text), "%s%c%u", one_in(maker, 3) ? "{tag}" : "", kind,
             (unsigned)below(maker, KEYS_OF_EACH_KIND));
    add(maker, text);
}

/* Mostly of its kind; now and then whatever is there. */
static void add_any_key(const struct maker *maker) {
    add_key(maker, one_in(maker, 2) ? 's' : 'h');
}

static void add_bytes(const struct maker *maker, size_t length) {
    char *bytes = memory_alloc(length + sizeof(uint64_t));
    for (size_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t word = random_next(maker->random);
        memcpy(bytes + i, &word, sizeof(word));
    }
    dataset_command_add(maker->command, span_of(bytes, length));
    memory_free(bytes);
}

static void add_value(const struct maker *maker) {
    uint64_t kind = below(maker, 60);
    if (kind == 0) {
        add_bytes(maker, below(maker, VALUE_BYTES_MAX));
    } else if (kind < 4) {
        add_bytes(maker, below(maker, 2 * BLOCK_BYTES_MIN));
    } else if (kind < 20) {
        add_number(maker, (int64_t)random_next(maker->random) >> below(maker, 63));
    } else {
        add_bytes(maker, below(maker, kind < 40 ? 20 : 400));
    }
}

static void add_field(const struct maker *maker) {
    char text[32];
    snprintf(text, sizeof(text), "field:%u",
             (unsigned)below(maker, one_in(maker, 2) ? FIELDS_MAX : 12));
    add(maker, text);
}

/* ---- families ---- */

static void make_string(const struct maker *maker) {
    static const char *const numbers[] = {"incrby", "decrby"};
    switch (below(maker, 8)) {
    case 0:
    case 1:
    case 2:
        add(maker, "set");
        add_key(maker, 's');
        add_value(maker);
        if (one_in(maker, 3)) {
            add(maker, "px");
            add_number(maker, 1 + (int64_t)below(maker, 3000));
        } else if (one_in(maker, 4)) {
            add(maker, "keepttl");
        }
        break;
    case 3:
        add(maker, numbers[below(maker, 2)]);
        add_key(maker, 's');
        add_number(maker, (int64_t)below(maker, 1000));
        break;
    case 4:
        add(maker, "getdel");
        add_key(maker, 's');
        break;
    default:
        add(maker, "mset");
        for (uint64_t i = 1 + below(maker, 4); i > 0; i--) {
            add_key(maker, 's');
            add_value(maker);
        }
        break;
    }
}

static void make_patch(const struct maker *maker) {
    switch (below(maker, 3)) {
    case 0:
        add(maker, "setrange");
        add_key(maker, 's');
        add_number(maker, (int64_t)below(maker, one_in(maker, 6) ? VALUE_BYTES_MAX : 500));
        add_bytes(maker, below(maker, one_in(maker, 6) ? BLOCK_BYTES_MIN + 100 : 50));
        break;
    case 1:
        add(maker, "setbit");
        add_key(maker, 's');
        add_number(maker, (int64_t)below(maker, one_in(maker, 6) ? 8 * VALUE_BYTES_MAX : 4000));
        add_number(maker, (int64_t)below(maker, 2));
        break;
    default:
        add(maker, "append");
        add_key(maker, 's');
        add_value(maker);
        break;
    }
}

static void make_hash(const struct maker *maker) {
    switch (below(maker, 6)) {
    case 0:
        add(maker, "hdel");
        add_key(maker, 'h');
        for (uint64_t i = 1 + below(maker, 5); i > 0; i--) {
            add_field(maker);
        }
        break;
    case 1:
        add(maker, "hincrby");
        add_key(maker, 'h');
        add_field(maker);
        add_number(maker, (int64_t)below(maker, 50));
        break;
    default:
        add(maker, "hset");
        add_key(maker, 'h');
        for (uint64_t i = 1 + below(maker, one_in(maker, 4) ? 60 : 4); i > 0; i--) {
            add_field(maker);
            add_value(maker);
        }
        break;
    }
}

static void make_key(const struct maker *maker) {
    static const char *const removals[] = {"del", "unlink"};
    switch (below(maker, 5)) {
    case 0:
        add(maker, removals[below(maker, 2)]);
        for (uint64_t i = 1 + below(maker, 3); i > 0; i--) {
            add_any_key(maker);
        }
        break;
    case 1:
        add(maker, one_in(maker, 3) ? "renamenx" : "rename");
        add_any_key(maker);
        add_any_key(maker);
        break;
    case 2:
        add(maker, "copy");
        add_any_key(maker);
        add_any_key(maker);
        add(maker, "db");
        add_number(maker, (int64_t)below(maker, RANDOM_COMMANDS_DATABASES));
        add(maker, "replace");
        break;
    case 3:
        add(maker, "move");
        add_any_key(maker);
        add_number(maker, (int64_t)below(maker, RANDOM_COMMANDS_DATABASES));
        break;
    default:
        add(maker, "exists");
        add_any_key(maker);
        break;
    }
}

static void make_expiry(const struct maker *maker) {
    switch (below(maker, 4)) {
    case 0:
        add(maker, "persist");
        add_any_key(maker);
        break;
    case 1:
        add(maker, "pexpireat");
        add_any_key(maker);
        add_number(maker, maker->now_ms - 20 + (int64_t)below(maker, 2000));
        break;
    default:
        add(maker, "pexpire");
        add_any_key(maker);
        add_number(maker, (int64_t)below(maker, 3000));
        break;
    }
}

static void make_database(const struct maker *maker) {
    switch (below(maker, 8)) {
    case 0:
        add(maker, "flushall");
        break;
    case 1:
    case 2:
        add(maker, "flushdb");
        break;
    default:
        add(maker, "swapdb");
        add_number(maker, (int64_t)below(maker, RANDOM_COMMANDS_DATABASES));
        add_number(maker, (int64_t)below(maker, RANDOM_COMMANDS_DATABASES));
        break;
    }
}

void random_command_make(struct dataset_command *command, struct random *random, int64_t now_ms) {
    struct maker maker = {.command = command, .random = random, .now_ms = now_ms};
    /* Mostly one database, so that there is much in it. */
    command->database = random_below(random, 3) == 0
                            ? (uint32_t)random_below(random, RANDOM_COMMANDS_DATABASES)
                            : 0;
    uint64_t kind = random_below(random, 100);
    if (kind < 26) {
        make_string(&maker);
    } else if (kind < 40) {
        make_patch(&maker);
    } else if (kind < 72) {
        make_hash(&maker);
    } else if (kind < 88) {
        make_key(&maker);
    } else if (kind < 97) {
        make_expiry(&maker);
    } else {
        make_database(&maker);
    }
}
