#include "execute/conversion.h"

#include "commands/dump.h"
#include "commands/effect_codec.h"
#include "commands/string.h"
#include "execute/snapshot_load.h"
#include "snapshot/snapshot_section.h"
#include "snapshot/snapshot_writer.h"
#include "store/cut.h"

#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/snapshot/rdb_fixture.h"
#include "tests/unit/unit.h"

static const struct command *const families[] = {string_commands, string_number_commands,
                                                 dump_commands};

struct fixture {
    struct store_fixture data;
    struct memory_disk memory;
    struct command_table *commands;
    struct import_result result;
    struct buffer report;
};

static void open_fixture(struct fixture *fixture) {
    *fixture = (struct fixture){.report = BUFFER_EMPTY};
    rdb_fixture_open(&fixture->data);
    memory_disk_init(&fixture->memory);
    fixture->commands = command_table_new(families, UNIT_COUNT(families));
}

static void close_fixture(struct fixture *fixture) {
    command_table_free(fixture->commands);
    memory_disk_free(&fixture->memory);
    buffer_free(&fixture->report);
    store_fixture_close(&fixture->data);
}

static struct conversion_plan plan_of(const struct fixture *fixture, const char *source,
                                      const char *target) {
    return (struct conversion_plan){
        .source = &fixture->memory.disk,
        .source_name = source,
        .target = &fixture->memory.disk,
        .target_name = target,
        .options = &fixture->data.options,
        .databases = FIXTURE_DATABASES,
        .now_ms = FIXTURE_NOW_MS,
        .takes_truncated = true,
        .compresses = true,
        .redis_version = "7.2.4",
    };
}

static void put_file(struct fixture *fixture, const char *name, struct span bytes) {
    memory_disk_remove(&fixture->memory, name);
    struct memory_file *file = memory_disk_find(&fixture->memory, "");
    memory_disk_name(file, name);
    buffer_append_span(&file->content, bytes);
}

static enum import_status to_snapshot(struct fixture *fixture, const char *source) {
    struct conversion_plan plan = plan_of(fixture, source, "dump.snapshot");
    return conversion_to_snapshot(&plan, fixture->commands, &fixture->result, &fixture->report);
}

static enum import_status to_rdb(struct fixture *fixture, uint64_t *keys) {
    struct conversion_plan plan = plan_of(fixture, "dump.snapshot", "dump.rdb");
    uint64_t position;
    return conversion_to_rdb(&plan, &position, keys, &fixture->report);
}

/* What stands in "dump.rdb" is what the fixture has. */
static void expect_data(struct fixture *fixture) {
    struct store_fixture copy;
    rdb_fixture_open(&copy);
    struct rdb_collector collector = {.fixture = &copy};
    ck_assert_int_eq(rdb_fixture_load(&collector, &fixture->memory.disk, NULL), RDB_READ_DONE);
    rdb_fixture_expect_same(fixture->data.store, &copy);
    rdb_collector_free(&collector);
    store_fixture_close(&copy);
}

START_TEST(conversion_of_an_rdb_file_to_a_snapshot_and_back_loses_nothing) {
    struct fixture fixture;
    open_fixture(&fixture);
    rdb_fixture_fill(&fixture.data);
    ck_assert_int_eq(rdb_fixture_save(fixture.data.store, &fixture.memory.disk,
                                      &(struct rdb_writer_plan){.compresses = true}),
                     0);
    ck_assert_int_eq(to_snapshot(&fixture, "dump.rdb"), IMPORT_DONE);
    memory_disk_remove(&fixture.memory, "dump.rdb");
    uint64_t keys;
    ck_assert_int_eq(to_rdb(&fixture, &keys), IMPORT_DONE);
    ck_assert_uint_eq(keys, fixture.result.keys);
    expect_data(&fixture);
    close_fixture(&fixture);
}
END_TEST

START_TEST(conversion_takes_append_only_files_by_their_names) {
    static const char commands[] = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";
    static const char manifest[] = "file a.incr.aof seq 1 type i\n";
    static const char *const names[] = {"appendonly.aof", "appendonly.aof.manifest", "commands"};
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        struct fixture fixture;
        open_fixture(&fixture);
        bool is_manifest = strstr(names[i], ".manifest") != NULL;
        put_file(&fixture, is_manifest ? "a.incr.aof" : names[i],
                 span_of(commands, sizeof(commands) - 1));
        if (is_manifest) {
            put_file(&fixture, names[i], span_of(manifest, sizeof(manifest) - 1));
        }
        ck_assert_int_eq(to_snapshot(&fixture, names[i]), IMPORT_DONE);
        store_fixture_put(&fixture.data, 0, "key", ENTRY_NO_EXPIRY);
        memory_disk_remove(&fixture.memory, names[i]);
        uint64_t keys;
        ck_assert_int_eq(to_rdb(&fixture, &keys), IMPORT_DONE);
        ck_assert_uint_eq(keys, 1);
        expect_data(&fixture);
        close_fixture(&fixture);
    }
}
END_TEST

START_TEST(conversion_takes_the_commands_behind_an_rdb_file_that_an_append_only_file_begins_with) {
    static const char file[] = "REDIS0010\x00\x01k\x01v\xff\x00\x00\x00\x00\x00\x00\x00\x00"
                               "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";
    struct fixture fixture;
    open_fixture(&fixture);
    put_file(&fixture, "appendonly.aof", span_of(file, sizeof(file) - 1));
    ck_assert_int_eq(to_snapshot(&fixture, "appendonly.aof"), IMPORT_DONE);
    ck_assert_uint_eq(fixture.result.keys, 1);
    ck_assert_uint_eq(fixture.result.commands, 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(conversion_makes_a_snapshot_of_what_stands_before_a_cut_off_end) {
    static const char commands[] = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n";
    struct fixture fixture;
    open_fixture(&fixture);
    put_file(&fixture, "a.aof", span_of(commands, sizeof(commands) - 1));
    ck_assert_int_eq(to_snapshot(&fixture, "a.aof"), IMPORT_TRUNCATED);
    uint64_t keys;
    ck_assert_int_eq(to_rdb(&fixture, &keys), IMPORT_DONE);
    ck_assert_uint_eq(keys, 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(conversion_leaves_no_file_of_what_it_refuses) {
    struct fixture fixture;
    open_fixture(&fixture);
    put_file(&fixture, "dump.rdb", span_of_string("no such file"));
    ck_assert_int_eq(to_snapshot(&fixture, "dump.rdb"), IMPORT_DAMAGED);
    ck_assert_uint_gt(fixture.report.length, 0);
    ck_assert_ptr_null(memory_disk_find(&fixture.memory, "dump.snapshot"));
    ck_assert_int_eq(to_snapshot(&fixture, "missing.rdb"), IMPORT_FAILED);
    ck_assert_int_eq(to_snapshot(&fixture, "missing.manifest"), IMPORT_FAILED);
    uint64_t keys;
    ck_assert_int_ne(to_rdb(&fixture, &keys), IMPORT_DONE);
    close_fixture(&fixture);
}
END_TEST

START_TEST(conversion_reports_a_disk_that_fails) {
    for (int fail_at = 1; fail_at <= 4; fail_at++) {
        struct fixture fixture;
        open_fixture(&fixture);
        rdb_fixture_fill(&fixture.data);
        ck_assert_int_eq(rdb_fixture_save(fixture.data.store, &fixture.memory.disk,
                                          &(struct rdb_writer_plan){.compresses = true}),
                         0);
        fixture.memory.fail_error = ENOSPC;
        fixture.memory.calls = 0;
        fixture.memory.fail_at = fail_at;
        ck_assert_int_eq(to_snapshot(&fixture, "dump.rdb"), IMPORT_FAILED);
        ck_assert_uint_gt(fixture.report.length, 0);
        fixture.memory.fail_at = 0;
        ck_assert_int_eq(to_snapshot(&fixture, "dump.rdb"), IMPORT_DONE);
        buffer_clear(&fixture.report);
        fixture.memory.calls = 0;
        fixture.memory.fail_at = fail_at;
        uint64_t keys;
        ck_assert_int_eq(to_rdb(&fixture, &keys), IMPORT_FAILED);
        ck_assert_uint_gt(fixture.report.length, 0);
        close_fixture(&fixture);
    }
}
END_TEST

/* ---- tails ---- */

/* A file with the image of one slot at a position, and a tail of frames. */
struct tailed {
    struct fixture *fixture;
    struct snapshot_writer *writer;
    struct buffer frames;
    uint16_t slot;
    uint64_t position;
};

static uint64_t position_of(void *context) {
    return ((struct tailed *)context)->position;
}

static void chunk_is_full(void *context, struct image_chunk *chunk) {
    const struct tailed *tailed = context;
    struct snapshot_content content = {.kind = SNAPSHOT_IMAGE,
                                       .slot_first = chunk->slot_first,
                                       .slot_last = chunk->slot_last,
                                       .raw = buffer_span(&chunk->bytes)};
    ck_assert_int_eq(snapshot_writer_add(tailed->writer, &content), 0);
    image_chunk_free(chunk);
}

static void slot_is_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    snapshot_writer_slot(((struct tailed *)context)->writer, slot, position, keys);
}

static void tailed_open(struct tailed *tailed, struct fixture *fixture) {
    struct snapshot_writer_plan plan = {
        .disk = fixture->memory.disk,
        .name = "temporary",
        .header = {.history = {.epoch = 1}, .begin = 100, .databases = FIXTURE_DATABASES},
        .report = &fixture->report};
    int error;
    *tailed = (struct tailed){.fixture = fixture, .writer = snapshot_writer_new(&plan, &error)};
    ck_assert_ptr_nonnull(tailed->writer);
}

/* The images of all slots, at this position. */
static void tailed_cut(struct tailed *tailed, uint64_t position) {
    tailed->position = position;
    struct cut *cut = cut_new(&(struct cut_plan){
        .store = tailed->fixture->data.store,
        .target = {.context = tailed,
                   .position = position_of,
                   .chunk = chunk_is_full,
                   .slot_done = slot_is_done},
        .slot_count = SLOTS,
        .step_bytes = CUT_STEP_BYTES,
    });
    struct cut_work work = {0};
    while (!cut_step(cut, &work)) {
    }
    cut_free(cut);
}

static void tailed_frame(struct tailed *tailed, uint64_t position,
                         const struct effect_record *record) {
    struct buffer content = BUFFER_EMPTY;
    effect_write(&content, record);
    snapshot_frame_write(
        &tailed->frames,
        &(struct snapshot_frame){.position = position, .content = buffer_span(&content)});
    buffer_free(&content);
}

static void tailed_put(struct tailed *tailed, uint64_t position, const char *key,
                       const char *value) {
    struct span name = span_of_string(key);
    tailed_frame(tailed, position,
                 &(struct effect_record){.effect = {.kind = EFFECT_VALUE_PUT,
                                                    .value = span_of_string(value),
                                                    .expiry_ms = ENTRY_NO_EXPIRY},
                                         .key = name,
                                         .slot = slot_of_key(name)});
}

static void tailed_finish(struct tailed *tailed) {
    struct snapshot_content content = {.kind = SNAPSHOT_TAIL, .raw = buffer_span(&tailed->frames)};
    ck_assert_int_eq(snapshot_writer_add(tailed->writer, &content), 0);
    ck_assert_int_eq(
        snapshot_writer_finish(tailed->writer,
                               &(struct snapshot_finish){.name = "dump.snapshot", .end = 1000}),
        0);
    buffer_free(&tailed->frames);
}

static void expect_value(struct fixture *fixture, const char *key, const char *value) {
    uint64_t keys;
    ck_assert_int_eq(to_rdb(fixture, &keys), IMPORT_DONE);
    struct store_fixture copy;
    rdb_fixture_open(&copy);
    struct rdb_collector collector = {.fixture = &copy};
    ck_assert_int_eq(rdb_fixture_load(&collector, &fixture->memory.disk, NULL), RDB_READ_DONE);
    const struct entry *entry = store_fixture_entry(&copy, 0, key);
    if (value == NULL) {
        ck_assert_ptr_null(entry);
    } else {
        ck_assert_ptr_nonnull(entry);
        ck_assert(span_equal(entry_content(entry), span_of_string(value)));
    }
    rdb_collector_free(&collector);
    store_fixture_close(&copy);
}

START_TEST(conversion_applies_of_the_tail_what_the_image_does_not_hold) {
    struct fixture fixture;
    struct tailed tailed;
    open_fixture(&fixture);
    store_fixture_put(&fixture.data, 0, "key", ENTRY_NO_EXPIRY);
    tailed_open(&tailed, &fixture);
    tailed_cut(&tailed, 500);
    tailed_put(&tailed, 400, "key", "in the image already");
    tailed_put(&tailed, 450, "gone", "and deleted since");
    tailed_put(&tailed, 500, "other", "behind it");
    tailed_finish(&tailed);
    expect_value(&fixture, "key", "value");
    expect_value(&fixture, "gone", NULL);
    expect_value(&fixture, "other", "behind it");
    close_fixture(&fixture);
}
END_TEST

START_TEST(conversion_flushes_only_slots_whose_image_is_older) {
    static const uint64_t positions[] = {400, 600};
    for (size_t i = 0; i < UNIT_COUNT(positions); i++) {
        struct fixture fixture;
        struct tailed tailed;
        open_fixture(&fixture);
        store_fixture_put(&fixture.data, 0, "key", ENTRY_NO_EXPIRY);
        tailed_open(&tailed, &fixture);
        tailed_cut(&tailed, 500);
        tailed_frame(&tailed, positions[i],
                     &(struct effect_record){.effect = {.kind = EFFECT_DATABASE_FLUSH},
                                             .slot = EFFECT_NODE_SLOT});
        tailed_finish(&tailed);
        expect_value(&fixture, "key", positions[i] < 500 ? "value" : NULL);
        close_fixture(&fixture);
    }
}
END_TEST

START_TEST(conversion_refuses_a_tail_that_does_not_fit) {
    struct fixture fixture;
    struct tailed tailed;
    open_fixture(&fixture);
    tailed_open(&tailed, &fixture);
    tailed_cut(&tailed, 500);
    tailed_frame(&tailed, 600,
                 &(struct effect_record){.effect = {.kind = EFFECT_DATABASE_FLUSH, .number = 77},
                                         .slot = EFFECT_NODE_SLOT});
    tailed_finish(&tailed);
    uint64_t keys;
    ck_assert_int_eq(to_rdb(&fixture, &keys), IMPORT_DAMAGED);
    buffer_append_byte(&fixture.report, '\0');
    ck_assert_ptr_nonnull(strstr(fixture.report.bytes, "there are not so many databases"));
    close_fixture(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        conversion_of_an_rdb_file_to_a_snapshot_and_back_loses_nothing,
        conversion_takes_append_only_files_by_their_names,
        conversion_takes_the_commands_behind_an_rdb_file_that_an_append_only_file_begins_with,
        conversion_makes_a_snapshot_of_what_stands_before_a_cut_off_end,
        conversion_leaves_no_file_of_what_it_refuses,
        conversion_reports_a_disk_that_fails,
        conversion_applies_of_the_tail_what_the_image_does_not_hold,
        conversion_flushes_only_slots_whose_image_is_older,
        conversion_refuses_a_tail_that_does_not_fit,
    };
    return unit_run(unit_suite("conversion", tests, UNIT_COUNT(tests)));
}
