#include "server/diverged_changes.h"

#include "commands/effect_codec.h"
#include "store/slot.h"

#include "tests/unit/unit.h"

#include <stdio.h>

struct fixture {
    struct diverged_changes *changes;
    struct buffer content;
    struct buffer report;
    struct buffer commands;
};

static void open_fixture(struct fixture *fixture) {
    *fixture = (struct fixture){.changes = diverged_changes_new()};
}

static void close_fixture(struct fixture *fixture) {
    diverged_changes_free(fixture->changes);
    buffer_free(&fixture->content);
    buffer_free(&fixture->report);
    buffer_free(&fixture->commands);
}

static struct effect_record effect_on(enum effect_kind kind, const char *key, const char *value) {
    struct span name = span_of_string(key);
    bool is_node = kind == EFFECT_DATABASE_FLUSH || kind == EFFECT_DATABASE_SWAP;
    return (struct effect_record){
        .effect = {.kind = kind,
                   .field = span_of_string(value),
                   .value = span_of_string(value),
                   .expiry_ms = ENTRY_NO_EXPIRY},
        .key = name,
        .slot = is_node ? EFFECT_NODE_SLOT : slot_of_key(name),
    };
}

static struct diverged_frame frame_of(struct fixture *fixture, const struct effect_record *record,
                                      int64_t time_ms) {
    buffer_clear(&fixture->content);
    effect_write(&fixture->content, record);
    return (struct diverged_frame){.content = buffer_span(&fixture->content), .time_ms = time_ms};
}

static void diverged(struct fixture *fixture, int64_t time_ms, enum effect_kind kind,
                     const char *key, const char *value) {
    struct effect_record record = effect_on(kind, key, value);
    struct diverged_frame frame = frame_of(fixture, &record, time_ms);
    ck_assert(diverged_changes_add(fixture->changes, &frame, &fixture->report));
}

static void seen(struct fixture *fixture, int64_t time_ms, enum effect_kind kind, const char *key) {
    struct effect_record record = effect_on(kind, key, "of the primary");
    struct diverged_frame frame = frame_of(fixture, &record, time_ms);
    ck_assert(diverged_changes_seen(fixture->changes, &frame, &fixture->report));
}

static struct diverged_key key_of(const struct fixture *fixture, const char *name) {
    struct diverged_key key = {.choice = DIVERGED_CHOICES};
    for (size_t i = 0; i < diverged_changes_keys(fixture->changes); i++) {
        diverged_changes_key(fixture->changes, i, &key);
        if (span_is(key.key, name)) {
            return key;
        }
    }
    ck_abort_msg("no key %s", name);
}

/* The commands of all that goes, without lengths: "SELECT 0 SET a 1 ". */
static void expect_commands(struct fixture *fixture, const char *expected) {
    struct buffer out = BUFFER_EMPTY;
    buffer_clear(&fixture->commands);
    for (size_t first = 0; first < diverged_changes_keys(fixture->changes);) {
        struct diverged_batch batch;
        diverged_changes_batch(fixture->changes, first, &batch);
        diverged_changes_commands(fixture->changes, &batch, &out);
        first = batch.next;
        diverged_batch_free(&batch);
    }
    bool is_word = false;
    for (size_t i = 0; i < out.length;) {
        size_t end = i;
        while (out.bytes[end] != '\r') {
            end++;
        }
        if (is_word) {
            buffer_append(&fixture->commands, out.bytes + i, end - i);
            buffer_append_byte(&fixture->commands, ' ');
        }
        is_word = !is_word && out.bytes[i] == '$';
        i = end + 2;
    }
    buffer_append_byte(&fixture->commands, '\0');
    ck_assert_str_eq(fixture->commands.bytes, expected);
    buffer_free(&out);
}

START_TEST(keys_that_the_primary_has_not_written_go_with_all_their_effects) {
    struct fixture fixture;
    open_fixture(&fixture);
    diverged(&fixture, 10, EFFECT_HASH_PUT, "h", "x");
    diverged(&fixture, 11, EFFECT_VALUE_PUT, "a", "1");
    diverged(&fixture, 12, EFFECT_HASH_DELETE, "h", "y");
    diverged_changes_finish(fixture.changes);
    seen(&fixture, 5, EFFECT_VALUE_PUT, "a");
    seen(&fixture, 5, EFFECT_VALUE_PUT, "other");
    diverged_changes_choose(fixture.changes, false);
    ck_assert_int_eq(key_of(&fixture, "a").choice, DIVERGED_WRITTEN);
    ck_assert_int_eq(key_of(&fixture, "h").choice, DIVERGED_UNWRITTEN);
    ck_assert_uint_eq(key_of(&fixture, "h").effects, 2);
    expect_commands(&fixture, "SELECT 0 HSET h x x HDEL h y ");
    close_fixture(&fixture);
}
END_TEST

START_TEST(by_time_the_newer_whole_value_goes) {
    struct fixture fixture;
    open_fixture(&fixture);
    diverged(&fixture, 9, EFFECT_HASH_PUT, "newer", "lost");
    diverged(&fixture, 10, EFFECT_VALUE_PUT, "newer", "1");
    diverged(&fixture, 30, EFFECT_STRING_PATCH, "newer", "2");
    diverged(&fixture, 10, EFFECT_VALUE_PUT, "older", "1");
    diverged(&fixture, 30, EFFECT_HASH_PUT, "part", "x");
    diverged_changes_finish(fixture.changes);
    seen(&fixture, 20, EFFECT_VALUE_PUT, "newer");
    seen(&fixture, 10, EFFECT_VALUE_PUT, "older");
    seen(&fixture, 20, EFFECT_KEY_DELETE, "part");
    diverged_changes_choose(fixture.changes, true);
    ck_assert_int_eq(key_of(&fixture, "newer").choice, DIVERGED_NEWER);
    ck_assert_int_eq(key_of(&fixture, "older").choice, DIVERGED_OLDER);
    ck_assert_int_eq(key_of(&fixture, "part").choice, DIVERGED_PARTIAL);
    expect_commands(&fixture, "SELECT 0 SET newer 1 SETRANGE newer 0 2 ");
    close_fixture(&fixture);
}
END_TEST

START_TEST(keys_that_were_moved_onto_each_other_go_together_or_not) {
    for (int is_written = 0; is_written < 2; is_written++) {
        struct fixture fixture;
        open_fixture(&fixture);
        diverged(&fixture, 10, EFFECT_VALUE_PUT, "{t}a", "1");
        diverged(&fixture, 11, EFFECT_KEY_MOVE, "{t}a", "{t}b");
        diverged_changes_finish(fixture.changes);
        if (is_written != 0) {
            seen(&fixture, 5, EFFECT_VALUE_PUT, "{t}b");
        }
        diverged_changes_choose(fixture.changes, false);
        ck_assert_int_eq(key_of(&fixture, "{t}a").choice,
                         is_written != 0 ? DIVERGED_WRITTEN : DIVERGED_UNWRITTEN);
        expect_commands(&fixture, is_written != 0 ? "" : "SELECT 0 SET {t}a 1 RENAME {t}a {t}b ");
        close_fixture(&fixture);
    }
}
END_TEST

START_TEST(flush_on_either_side_concerns_the_keys_of_its_database) {
    struct fixture fixture;
    open_fixture(&fixture);
    diverged(&fixture, 10, EFFECT_HASH_PUT, "a", "1");
    diverged(&fixture, 11, EFFECT_DATABASE_FLUSH, "", "");
    diverged(&fixture, 12, EFFECT_HASH_PUT, "b", "2");
    diverged_changes_finish(fixture.changes);
    ck_assert_uint_eq(diverged_changes_flushes(fixture.changes), 1);
    diverged_changes_choose(fixture.changes, false);
    expect_commands(&fixture, "SELECT 0 HSET a 1 1 DEL a DEL b HSET b 2 2 ");
    seen(&fixture, 20, EFFECT_DATABASE_FLUSH, "");
    diverged_changes_choose(fixture.changes, false);
    ck_assert_int_eq(key_of(&fixture, "a").choice, DIVERGED_WRITTEN);
    ck_assert_int_eq(key_of(&fixture, "b").choice, DIVERGED_WRITTEN);
    close_fixture(&fixture);
}
END_TEST

START_TEST(swap_of_databases_in_the_files_is_told_of) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct effect_record record = effect_on(EFFECT_DATABASE_SWAP, "", "");
    struct diverged_frame frame = frame_of(&fixture, &record, 1);
    ck_assert(!diverged_changes_has_swap(fixture.changes));
    ck_assert(diverged_changes_add(fixture.changes, &frame, &fixture.report));
    ck_assert(diverged_changes_has_swap(fixture.changes));
    frame = (struct diverged_frame){.content = span_of("no effect", 9)};
    ck_assert(!diverged_changes_add(fixture.changes, &frame, &fixture.report));
    ck_assert_uint_gt(fixture.report.length, 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(own_writes_are_no_others_writes) {
    struct fixture fixture;
    open_fixture(&fixture);
    diverged(&fixture, 10, EFFECT_VALUE_PUT, "a", "1");
    diverged_changes_finish(fixture.changes);
    diverged_changes_choose(fixture.changes, false);
    struct diverged_batch batch;
    diverged_changes_batch(fixture.changes, 0, &batch);
    ck_assert_uint_eq(batch.count, 1);
    diverged_changes_settle(fixture.changes, &batch);
    diverged_batch_free(&batch);
    seen(&fixture, 20, EFFECT_VALUE_PUT, "a");
    diverged_changes_choose(fixture.changes, false);
    ck_assert_int_eq(key_of(&fixture, "a").choice, DIVERGED_UNWRITTEN);
    close_fixture(&fixture);
}
END_TEST

START_TEST(batches_hold_no_more_than_their_maximum_and_all_keys_in_all) {
    struct fixture fixture;
    open_fixture(&fixture);
    for (int i = 0; i < 3 * DIVERGED_BATCH_KEYS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "k%d", i);
        diverged(&fixture, 10, EFFECT_VALUE_PUT, name, "1");
    }
    diverged_changes_finish(fixture.changes);
    diverged_changes_choose(fixture.changes, false);
    size_t keys = 0;
    for (size_t first = 0; first < diverged_changes_keys(fixture.changes);) {
        struct diverged_batch batch;
        diverged_changes_batch(fixture.changes, first, &batch);
        ck_assert_uint_le(batch.count, DIVERGED_BATCH_KEYS);
        keys += batch.count;
        first = batch.next;
        diverged_batch_free(&batch);
    }
    ck_assert_uint_eq(keys, 3 * DIVERGED_BATCH_KEYS);
    close_fixture(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        keys_that_the_primary_has_not_written_go_with_all_their_effects,
        by_time_the_newer_whole_value_goes,
        keys_that_were_moved_onto_each_other_go_together_or_not,
        flush_on_either_side_concerns_the_keys_of_its_database,
        swap_of_databases_in_the_files_is_told_of,
        own_writes_are_no_others_writes,
        batches_hold_no_more_than_their_maximum_and_all_keys_in_all,
    };
    return unit_run(unit_suite("diverged_changes", tests, UNIT_COUNT(tests)));
}
