/* tarn-log, the program beside the one that TARN_SERVER names, on a log in a real folder; what it
 * exports is loaded by the real redis-server. */
#include "commands/effect_codec.h"
#include "oplog/divergence.h"
#include "store/slot.h"
#include "tests/unit/oplog/place.h"

#include <limits.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

#define OUTPUT_BYTES ((size_t)256 * 1024)
#define MANY_FRAMES 200

struct fixture {
    struct log_place place;
    uint64_t end;
    char output[OUTPUT_BYTES]; /* of the last run, its errors too */
};

/* ---- a log ---- */

static void put(struct fixture *fixture, struct oplog *oplog, const struct effect_record *record) {
    struct effect_record written = *record;
    if (record->effect.kind != EFFECT_SLOT_DIGEST) {
        written.slot = record->key.length == 0 ? EFFECT_NODE_SLOT : slot_of_key(record->key);
    }
    ck_assert(!effect_write(&fixture->place.batch.bytes, &written));
    fixture->end = oplog_append(oplog, &fixture->place.batch, 1234);
    oplog_step_write(oplog);
    oplog_step_sync(oplog);
}

static struct effect_record value_put(const char *key, const char *value) {
    return (struct effect_record){
        .effect = {.kind = EFFECT_VALUE_PUT,
                   .value = span_of_string(value),
                   .expiry_ms = ENTRY_NO_EXPIRY},
        .key = span_of_string(key),
    };
}

static struct effect_record change(enum effect_kind kind, const char *key) {
    return (struct effect_record){.effect = {.kind = kind, .expiry_ms = ENTRY_NO_EXPIRY},
                                  .key = span_of_string(key)};
}

/* Each kind of effect at least once; the strings a, b and n, and the hash h are left in database 0,
 * c and d in database 1. */
static void put_effects(struct fixture *fixture, struct oplog *oplog) {
    struct effect_record record = value_put("gone", "x");
    record.database = 3;
    put(fixture, oplog, &record);
    record = change(EFFECT_DATABASE_FLUSH, "");
    record.effect.number = 3;
    put(fixture, oplog, &record);
    record = value_put("a", "hello world");
    record.effect.expiry_ms = 4102444800000;
    put(fixture, oplog, &record);
    record = change(EFFECT_STRING_PATCH, "a");
    record.effect.number = 6;
    record.effect.value = span_of_string("redis");
    put(fixture, oplog, &record);
    record = value_put("{x}1", "moved");
    put(fixture, oplog, &record);
    record = change(EFFECT_KEY_MOVE, "{x}1");
    record.effect.field = span_of_string("{x}2");
    put(fixture, oplog, &record);
    record = change(EFFECT_KEY_MOVE, "{x}2");
    record.effect.field = span_of_string("{x}3");
    record.effect.number = 1;
    put(fixture, oplog, &record);
    record = value_put("n", "1");
    record.effect.expiry_ms = 4102444800000;
    put(fixture, oplog, &record);
    record = change(EFFECT_KEY_EXPIRE_AT, "n");
    put(fixture, oplog, &record);
    record = change(EFFECT_INTEGER_PUT, "n");
    record.effect.number = -17;
    put(fixture, oplog, &record);
    record = change(EFFECT_HASH_PUT, "h");
    record.effect.field = span_of_string("f1");
    record.effect.value = span_of_string("v1");
    put(fixture, oplog, &record);
    record.effect.field = span_of_string("f2");
    put(fixture, oplog, &record);
    record = change(EFFECT_HASH_DELETE, "h");
    record.effect.field = span_of_string("f1");
    put(fixture, oplog, &record);
    record = value_put("deleted", "x");
    put(fixture, oplog, &record);
    record = change(EFFECT_KEY_DELETE, "deleted");
    put(fixture, oplog, &record);
    record = change(EFFECT_VALUE_RESTORE, "b");
    record.effect.value = span_of("\0\3abc", 5);
    record.effect.number = -1;
    put(fixture, oplog, &record);
    record = change(EFFECT_SLOT_DIGEST, "");
    record.slot = 77;
    record.effect.number = 5;
    put(fixture, oplog, &record);
    record = value_put("in two", "then one");
    record.database = 2;
    put(fixture, oplog, &record);
    record = change(EFFECT_DATABASE_SWAP, "");
    record.effect.number = ((int64_t)1 << 32) + 2;
    put(fixture, oplog, &record);
}

static struct fixture *fixture_open(void) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    place_open(&fixture->place);
    struct oplog *oplog = place_log_open(&fixture->place, (struct place_log){0});
    put_effects(fixture, oplog);
    struct effect_record record = value_put("many", "times");
    for (int i = 0; i < MANY_FRAMES; i++) {
        put(fixture, oplog, &record);
    }
    ck_assert_int_eq(oplog_close(oplog), 0);
    /* Lets go of the lock. */
    disk_close(&fixture->place.disk);
    ck_assert_int_eq(disk_open(&fixture->place.disk, fixture->place.path), 0);
    return fixture;
}

static void fixture_close(struct fixture *fixture) {
    char command[256];
    snprintf(command, sizeof(command), "rm -rf %s/appendonlydir", fixture->place.path);
    ck_assert_int_eq(system(command), 0); // NOLINT
    place_close(&fixture->place);
    free(fixture);
}

/* ---- programs ---- */

/* Runs a line of the shell in the fixture's folder, in which $bin is where our programs are;
 * answers its exit code. */
static int run(struct fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int run(struct fixture *fixture, const char *format, ...) {
    const char *server = getenv("TARN_SERVER");
    ck_assert_msg(server != NULL, "TARN_SERVER names no program");
    const char *slash = strrchr(server, '/');
    ck_assert_ptr_nonnull(slash);
    struct buffer command = BUFFER_EMPTY;
    buffer_format(&command, "exec 2>&1; cd %s && bin=%.*s && ", fixture->place.path,
                  (int)(slash - server), server);
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(&command, format, arguments);
    va_end(arguments);
    buffer_append_byte(&command, '\0');
    FILE *pipe = popen(command.bytes, "r"); // NOLINT
    ck_assert_ptr_nonnull(pipe);
    buffer_free(&command);
    size_t length = fread(fixture->output, 1, OUTPUT_BYTES - 1, pipe);
    fixture->output[length] = '\0';
    int status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_says(const struct fixture *fixture, const char *text) {
    ck_assert_msg(strstr(fixture->output, text) != NULL, "no \"%s\" in: %s", text, fixture->output);
}

static void overwrite(struct fixture *fixture, uint64_t offset) {
    ck_assert_int_eq(run(fixture,
                         "printf x | dd of=00000000000000000000-0000000001.log bs=1 conv=notrunc "
                         "seek=%llu",
                         (unsigned long long)offset),
                     0);
}

START_TEST(segments_are_listed_and_a_whole_log_is_verified) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, "$bin/tarn-log list ."), EX_OK);
    assert_says(fixture, "00000000000000000000-0000000001.log first=0 bytes=");
    assert_says(fixture, "parent=none\n");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log verify ."), EX_OK);
    char text[128];
    snprintf(text, sizeof(text), "positions 0 to %llu, 219 frames, 219 effects\n",
             (unsigned long long)fixture->end);
    assert_says(fixture, text);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log verify nowhere"), EX_NOINPUT);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log verify"), EX_USAGE);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log cut . 1x"), EX_USAGE);
    fixture_close(fixture);
}
END_TEST

START_TEST(damage_is_named_with_the_code_of_wrong_data) {
    struct fixture *fixture = fixture_open();
    overwrite(fixture, OPLOG_SEGMENT_HEADER_BYTES + OPLOG_FRAME_HEADER_BYTES);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log verify ."), EX_DATAERR);
    assert_says(fixture, "00000000000000000000-0000000001.log, offset 128: expected ");
    assert_says(fixture, "damaged");
    fixture_close(fixture);
}
END_TEST

START_TEST(dump_shows_effects_of_frames) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, "$bin/tarn-log dump ."), EX_OK);
    assert_says(fixture, "frame position=0 bytes=");
    assert_says(fixture, "value_put database=3 slot=");
    assert_says(fixture, " key=\"gone\" value=\"x\"\n");
    assert_says(fixture, "string_patch database=0 slot=15495 key=\"a\" value=\"redis\" number=6\n");
    assert_says(fixture, "key=\"a\" value=\"hello world\" expiry_ms=4102444800000\n");
    assert_says(fixture, "database_flush number=3\n");
    assert_says(fixture, "slot_digest slot=77 number=5\n");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log dump . %llu", (unsigned long long)fixture->end),
                     EX_OK);
    ck_assert_str_eq(fixture->output, "");
    fixture_close(fixture);
}
END_TEST

START_TEST(cut_takes_frames_away_and_wants_the_end_of_one) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, "$bin/tarn-log dump . | grep -c many"), 0);
    ck_assert_int_eq(strtol(fixture->output, NULL, 10), MANY_FRAMES);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log cut . 1"), EX_DATAERR);
    ck_assert_int_eq(
        run(fixture, "p=$($bin/tarn-log dump . | grep -B1 many | head -n 1 | sed 's/.*position="
                     "\\([0-9]*\\).*/\\1/') && $bin/tarn-log cut . $p && $bin/tarn-log verify ."),
        EX_OK);
    assert_says(fixture, " 1 segments, ");
    assert_says(fixture, " 19 frames, 19 effects\n");
    fixture_close(fixture);
}
END_TEST

START_TEST(log_that_a_server_has_open_is_not_cut) {
    struct fixture *fixture = fixture_open();
    struct disk *disk = &fixture->place.disk;
    ck_assert_int_eq(disk->lock(disk->context), 0);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log cut . 0"), EX_UNAVAILABLE);
    fixture_close(fixture);
}
END_TEST

START_TEST(redis_loads_what_is_exported) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, "$bin/tarn-log export-aof . appendonly.aof"), EX_OK);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log export-aof . appendonly.aof"), EX_CANTCREAT);
    ck_assert_int_eq(
        run(fixture,
            "redis-server --port 0 --unixsocket $PWD/redis.sock --dir $PWD --appendonly yes "
            "--save '' --daemonize yes --logfile redis.output && "
            "for i in $(seq 200); do redis-cli -s redis.sock PING 2>&1 | grep -q PONG && break; "
            "sleep 0.1; done; "
            "cli='redis-cli -s redis.sock'; "
            "$cli GET a; $cli PEXPIRETIME a; $cli GET n; $cli TTL n; $cli HGETALL h; $cli GET b; "
            "$cli DBSIZE; $cli -n 1 GET 'in two'; $cli -n 1 DBSIZE; $cli -n 2 GET '{x}3'; "
            "$cli -n 3 DBSIZE; $cli SHUTDOWN NOSAVE; "
            "while test -e redis.sock; do sleep 0.1; done"),
        0);
    ck_assert_str_eq(fixture->output, "hello redis\n4102444800000\n-17\n-1\nf2\nv1\nabc\n5\n"
                                      "then one\n1\nmoved\n0\n");
    fixture_close(fixture);
}
END_TEST

#define WAIT_FOR_PONG                                                                              \
    "for i in $(seq 200); do $cli PING 2>&1 | grep -q PONG && break; sleep 0.1; done; "

/* The snapshot has made the log's beginning go. */
START_TEST(redis_loads_what_a_snapshot_and_the_log_behind_it_hold_together) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(
        run(fixture,
            "mkdir s && { $bin/tarn-server --port 0 --unixsocket $PWD/s/t.sock --dir $PWD/s "
            "--log-segment-size 4096 > s/out 2>&1 & } && pid=$! && cli='redis-cli -s "
            "s/t.sock'; " WAIT_FOR_PONG "$cli SET a before; $cli HSET h f v; $cli SET pad $(printf "
            "'%%09999d' 0); $cli SET more 1; "
            "$cli SAVE; $cli SET b behind; $cli HSET h g w; $cli DEL pad; kill -9 $pid; wait"),
        0);
    ck_assert_str_eq(fixture->output, "OK\n1\nOK\nOK\nOK\nOK\n1\n1\n");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log export-aof s/log appendonly.aof"), EX_DATAERR);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log export-aof . other.aof s/dump.snapshot"),
                     EX_DATAERR);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log export-aof s/log appendonly.aof s/dump.snapshot"),
                     EX_OK);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log export-aof s/log appendonly.aof s/dump.snapshot"),
                     EX_CANTCREAT);
    ck_assert_int_eq(
        run(fixture,
            "redis-server --port 0 --unixsocket $PWD/redis.sock --dir $PWD --appendonly yes "
            "--save '' --daemonize yes --logfile redis.output && cli='redis-cli -s "
            "redis.sock'; " WAIT_FOR_PONG
            "$cli GET a; $cli GET b; $cli HGET h f; $cli HGET h g; $cli DBSIZE; "
            "$cli SHUTDOWN NOSAVE; while test -e redis.sock; do sleep 0.1; done; rm -r s"),
        0);
    ck_assert_str_eq(fixture->output, "before\nbehind\nv\nw\n4\n");
    fixture_close(fixture);
}
END_TEST

/* ---- what has diverged ---- */

/* The place of the frame that has this text in the dump. */
static uint64_t position_of(struct fixture *fixture, const char *text) {
    ck_assert_int_eq(run(fixture,
                         "$bin/tarn-log dump . | grep -B1 '%s' | sed -n "
                         "'s/^frame position=\\([0-9]*\\).*/\\1/p' | head -n 1",
                         text),
                     0);
    return strtoull(fixture->output, NULL, 10);
}

/* What stands from that frame on is kept in the folder "divergence". */
static void diverge(struct fixture *fixture, const char *text) {
    char path[PATH_MAX];
    uint64_t position = position_of(fixture, text);
    ck_assert_uint_gt(position, 0);
    snprintf(path, sizeof(path), "%s/divergence", fixture->place.path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    struct disk kept;
    ck_assert_int_eq(disk_open(&kept, path), 0);
    struct divergence_plan plan = {
        .log = &fixture->place.disk, .kept = &kept, .position = position};
    struct divergence_saved saved;
    ck_assert_int_eq(divergence_save(&plan, &saved), OPLOG_DONE);
    ck_assert_uint_eq(saved.files, 1);
    divergence_saved_free(&saved);
    disk_close(&kept);
}

static void close_diverged(struct fixture *fixture) {
    ck_assert_int_eq(run(fixture, "rm -r divergence"), 0);
    fixture_close(fixture);
}

START_TEST(what_has_diverged_is_listed_with_its_keys_and_exported) {
    struct fixture *fixture = fixture_open();
    diverge(fixture, "integer_put");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged list divergence"), EX_OK);
    assert_says(fixture, " flushes=0 swaps\n");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged replay divergence ::1 1"), EX_DATAERR);
    assert_says(fixture, "a swap of two databases");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged dump divergence"), EX_OK);
    assert_says(fixture, "integer_put database=0");
    assert_says(fixture, "database_swap number=");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged export-aof divergence out.aof && "
                                  "head -c 23 out.aof | tr '\\r\\n' '  '; rm out.aof"),
                     EX_OK);
    assert_says(fixture, "*2  $6  SELECT  $1  0  ");
    close_diverged(fixture);
}
END_TEST

START_TEST(what_has_diverged_is_listed_key_by_key) {
    struct fixture *fixture = fixture_open();
    diverge(fixture, "many");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged list divergence"), EX_OK);
    assert_says(fixture, " frames=200 effects=200 keys=1 flushes=0\n");
    assert_says(fixture, " from=1970-01-01T00:00:01.234Z to=1970-01-01T00:00:01.234Z ");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged keys divergence"), EX_OK);
    ck_assert_str_eq(fixture->output, "database=0 key=\"many\" effects=200 "
                                      "last=1970-01-01T00:00:01.234Z\n");
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged keys divergence none"), EX_NOINPUT);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged keys ."), EX_NOINPUT);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged keys divergence --write"), EX_USAGE);
    ck_assert_int_eq(run(fixture, "$bin/tarn-log diverged replay divergence ::1 0"), EX_USAGE);
    close_diverged(fixture);
}
END_TEST

/* A redis-server gives no log: what was written since cannot be known. */
START_TEST(replay_is_refused_by_who_is_no_primary_of_that_log) {
    struct fixture *fixture = fixture_open();
    diverge(fixture, "many");
    ck_assert_int_eq(
        run(fixture,
            "port=$((20000 + $$ %% 10000)); redis-server --port $port --save '' --daemonize yes "
            "--dir $PWD --logfile redis.output --pidfile $PWD/redis.pid >/dev/null; "
            "for i in $(seq 200); do redis-cli -p $port PING 2>&1 | grep -q PONG && break; "
            "sleep 0.1; done; "
            "$bin/tarn-log diverged replay divergence 127.0.0.1 $port --write; code=$?; "
            "redis-cli -p $port SHUTDOWN NOSAVE; "
            "$bin/tarn-log diverged replay divergence 127.0.0.1 $port || exit $code"),
        EX_UNAVAILABLE);
    assert_says(fixture, "is no primary that gives its log");
    assert_says(fixture, "cannot connect to 127.0.0.1:");
    close_diverged(fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        segments_are_listed_and_a_whole_log_is_verified,
        damage_is_named_with_the_code_of_wrong_data,
        dump_shows_effects_of_frames,
        cut_takes_frames_away_and_wants_the_end_of_one,
        log_that_a_server_has_open_is_not_cut,
        redis_loads_what_is_exported,
        redis_loads_what_a_snapshot_and_the_log_behind_it_hold_together,
        what_has_diverged_is_listed_with_its_keys_and_exported,
        what_has_diverged_is_listed_key_by_key,
        replay_is_refused_by_who_is_no_primary_of_that_log,
    };
    return unit_run(unit_suite("log", tests, UNIT_COUNT(tests)));
}
