/* A keyspace without a server: runs rows of the command table on arguments and shows the reply's
 * bytes, the events and the effects. Needs no network, no clock and no Check, so that fuzzers
 * use it too.
 *
 *     static const struct command *const families[] = {string_commands, NULL};
 *     struct call_harness harness;
 *     call_harness_open(&harness, families, 3);
 *     ck_assert_str_eq(call_harness_line(&harness, "SET key \"a b\""), "+OK\r\n");
 *     ck_assert_str_eq(harness.events.bytes, "set key\n");
 *     call_harness_close(&harness);
 *
 * A second keyspace, the twin, is given nothing but the effects, as the log's bytes;
 * call_harness_difference() tells whether it is the same as the first. call_harness_close() asserts
 * that it is: every test checks that effects carry all, and their bytes too.
 *
 * Arguments of BLOCK_BYTES_MIN bytes or more come to the command as blocks, as from the socket.
 * A broken rule of call.h (no reply, an effect of a read-only command) is an assertion.
 */
#ifndef TARN_TESTS_CALL_HARNESS_H
#define TARN_TESTS_CALL_HARNESS_H

#include "base/buffer.h"
#include "commands/command.h"

#define CALL_HARNESS_ARGS_MAX 1024
#define CALL_HARNESS_EFFECTS_MAX 64
/* What now_ms is at first: a day in 2023. */
#define CALL_HARNESS_NOW_MS INT64_C(1700000000000)

/* An effect of the last call, without its bytes. */
struct call_harness_effect {
    enum effect_kind kind;
    enum event event;
    size_t value_length;
    bool has_block;
    bool is_raw;
    int64_t number;
    int64_t expiry_ms;
};

struct call_harness {
    /* Set by tests between calls. */
    struct store_options options;
    int64_t now_ms;
    uint32_t database;
    bool no_touch;
    bool keeps_expired;
    int protocol; /* 2 at first */

    /* What the last call did. */
    struct buffer reply;  /* bytes, then a zero beyond the length */
    struct buffer events; /* "name key\n" each, then a zero; keymiss and new included */
    struct call_harness_effect effects[CALL_HARNESS_EFFECTS_MAX]; /* the first ones */
    size_t effects_count;

    struct keyspace *keyspace;
    struct keyspace *twin;
    struct random random;
    struct call_environment environment;
    const struct command *const *families;
};

/* families: arrays of rows, the last followed by NULL. stores: 1, or as many as workers. */
void call_harness_open(struct call_harness *harness, const struct command *const *families,
                       uint32_t stores);
void call_harness_close(struct call_harness *harness);

/* The row of this name, or NULL. */
const struct command *call_harness_row(const struct call_harness *harness, struct span name);

/* Runs a call; answers the reply's bytes, ended by a zero, good until the next call. The name
 * must be that of a row, or `<unknown command>` is answered; too few or many arguments answer
 * `<arity>`. */
const char *call_harness_run(struct call_harness *harness, const struct span *args,
                             uint32_t args_count);
/* The same for a line of words between blanks. In "..." stand blanks, and \xHH, \r, \n, \", \\. */
const char *call_harness_line(struct call_harness *harness, const char *line);

/* NULL when the twin holds the same keys with the same values, types and expiries, else a
 * sentence. */
const char *call_harness_difference(const struct call_harness *harness);
/* Keys of all databases. */
uint64_t call_harness_keys(const struct call_harness *harness);
/* The entry of a key in the current database, expired or not, or NULL. */
struct entry *call_harness_entry(const struct call_harness *harness, const char *key);

#endif
