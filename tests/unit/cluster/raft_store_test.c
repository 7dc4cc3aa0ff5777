/* What a member's disk holds: over restarts, crashes, and damage. */
#include "cluster/raft_store.h"

#include "base/memory.h"
#include "base/random.h"
#include "cluster/raft_record.h"
#include "tests/simulation/disk.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/uio.h>

#define ALLOCATE_BYTES 2048

struct fixture {
    struct simulated_disk *simulated;
    struct disk disk;
    struct raft_store_plan plan;
    struct raft_id group;
    struct raft_store_opened opened;
    struct raft_log log; /* what the member's is */
    struct raft_output output;
};

/* ---- fixture ---- */

static void fixture_begin(struct fixture *fixture, uint64_t seed) {
    *fixture = (struct fixture){.log = RAFT_LOG_EMPTY};
    fixture->simulated = simulated_disk_new(seed);
    fixture->disk = simulated_disk_interface(fixture->simulated);
    fixture->plan = (struct raft_store_plan){
        .disk = &fixture->disk, .self = {.bytes = "self"}, .allocate_bytes = ALLOCATE_BYTES};
    fixture->group = (struct raft_id){.bytes = "group"};
}

static void create(struct fixture *fixture) {
    struct raft_config config = RAFT_CONFIG_EMPTY;
    raft_config_found(&config, &fixture->plan.self);
    struct raft_saved saved;
    raft_found(&saved, &config, span_of_string("first state"));
    raft_config_free(&config);
    struct buffer report = BUFFER_EMPTY;
    ck_assert_int_eq(raft_store_create(&fixture->plan, &fixture->group, &saved, &report),
                     RAFT_STORE_DONE);
    buffer_free(&report);
    raft_saved_free(&saved);
    raft_log_reset(&fixture->log, 1, 1);
    fixture->output = (struct raft_output){.term = 1, .commit = 1, .is_sync_needed = true};
}

static enum raft_store_status open_again(struct fixture *fixture) {
    raft_store_opened_free(&fixture->opened);
    return raft_store_open(&fixture->plan, &fixture->opened);
}

static void fixture_end(struct fixture *fixture) {
    raft_store_opened_free(&fixture->opened);
    raft_log_free(&fixture->log);
    simulated_disk_free(fixture->simulated);
}

static const char *report_of(struct fixture *fixture) {
    buffer_append_byte(&fixture->opened.report, '\0');
    return fixture->opened.report.bytes;
}

static void append(struct fixture *fixture, uint64_t term, const char *content) {
    raft_log_append(&fixture->log, &(struct raft_entry){.term = term,
                                                        .kind = RAFT_ENTRY_NORMAL,
                                                        .bytes = span_of_string(content)});
}

static int save(struct fixture *fixture, uint64_t from) {
    fixture->output.entries_from = from;
    return raft_store_save(fixture->opened.store, &fixture->output, &fixture->log);
}

static bool logs_equal(const struct raft_log *a, const struct raft_log *b) {
    if (raft_log_last_index(a) != raft_log_last_index(b) || a->base_index != b->base_index ||
        a->base_term != b->base_term) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->entries[i].term != b->entries[i].term || a->entries[i].kind != b->entries[i].kind ||
            !span_equal(a->entries[i].bytes, b->entries[i].bytes)) {
            return false;
        }
    }
    return true;
}

static void check_saved(struct fixture *fixture) {
    const struct raft_saved *saved = &fixture->opened.saved;
    ck_assert_uint_eq(saved->term, fixture->output.term);
    ck_assert(raft_id_equal(&saved->vote, &fixture->output.vote));
    ck_assert_uint_eq(saved->commit, fixture->output.commit);
    ck_assert(logs_equal(&saved->log, &fixture->log));
}

/* ---- tests ---- */

START_TEST(what_was_saved_is_there_after_a_loss_of_power) {
    struct fixture fixture;
    fixture_begin(&fixture, 1);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_NONE);
    create(&fixture);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
    check_saved(&fixture);
    ck_assert(raft_id_equal(&fixture.opened.group, &fixture.group));
    ck_assert(span_equal(raft_snapshot_state(fixture.opened.saved.snapshot),
                         span_of_string("first state")));
    append(&fixture, 1, "one");
    append(&fixture, 1, "");
    fixture.output.term = 7;
    fixture.output.vote = (struct raft_id){.bytes = "other"};
    ck_assert_int_eq(save(&fixture, 2), 0);
    raft_store_opened_free(&fixture.opened);
    simulated_disk_lose_power(fixture.simulated);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
    check_saved(&fixture);
    fixture_end(&fixture);
}
END_TEST

START_TEST(entries_give_way_to_those_that_follow_at_their_place) {
    struct fixture fixture;
    fixture_begin(&fixture, 2);
    create(&fixture);
    open_again(&fixture);
    for (int i = 0; i < 5; i++) {
        append(&fixture, 1, "gives way");
    }
    ck_assert_int_eq(save(&fixture, 2), 0);
    raft_log_truncate(&fixture.log, 3);
    append(&fixture, 4, "stays");
    fixture.output.term = 4;
    fixture.output.commit = 3;
    ck_assert_int_eq(save(&fixture, 3), 0);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
    check_saved(&fixture);
    ck_assert_uint_eq(raft_log_last_index(&fixture.opened.saved.log), 3);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_snapshot_takes_the_place_of_all_before_it) {
    struct fixture fixture;
    fixture_begin(&fixture, 3);
    create(&fixture);
    open_again(&fixture);
    for (int i = 0; i < 9; i++) {
        append(&fixture, 1, "entry");
    }
    ck_assert_int_eq(save(&fixture, 2), 0);
    struct raft_snapshot *snapshot = raft_snapshot_new(7, 1, &fixture.opened.saved.snapshot->config,
                                                       span_of_string("second state"));
    raft_log_compact(&fixture.log, 5);
    fixture.output.commit = 7;
    fixture.output.snapshot = snapshot;
    ck_assert_int_eq(save(&fixture, 6), 0);
    fixture.output.snapshot = NULL;
    append(&fixture, 1, "behind it");
    ck_assert_int_eq(save(&fixture, 11), 0);
    raft_store_opened_free(&fixture.opened);
    simulated_disk_lose_power(fixture.simulated);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
    check_saved(&fixture);
    ck_assert_uint_eq(fixture.opened.saved.snapshot->name.index, 7);
    ck_assert(raft_snapshot_name_equal(&fixture.opened.saved.snapshot->name, &snapshot->name));
    raft_snapshot_release(snapshot);
    fixture_end(&fixture);
}
END_TEST

START_TEST(who_joins_begins_with_nothing) {
    struct fixture fixture;
    fixture_begin(&fixture, 4);
    struct raft_saved nothing = {.term = 0};
    struct buffer report = BUFFER_EMPTY;
    ck_assert_int_eq(raft_store_create(&fixture.plan, &fixture.group, &nothing, &report),
                     RAFT_STORE_DONE);
    ck_assert_msg(raft_store_create(&fixture.plan, &fixture.group, &nothing, &report) ==
                      RAFT_STORE_NONE,
                  "a file that is there is not made again");
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
    check_saved(&fixture);
    ck_assert_ptr_null(fixture.opened.saved.snapshot);
    raft_store_opened_free(&fixture.opened);
    ck_assert_int_eq(raft_store_remove(&fixture.disk), 0);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_NONE);
    buffer_free(&report);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_file_that_grows_is_made_anew) {
    struct fixture fixture;
    fixture_begin(&fixture, 5);
    create(&fixture);
    open_again(&fixture);
    struct raft_store_figures figures;
    uint64_t size_max = 0;
    for (int i = 0; i < 2000; i++) {
        fixture.output.term++;
        ck_assert_int_eq(save(&fixture, 0), 0);
        raft_store_figures_read(fixture.opened.store, &figures);
        size_max = figures.size_bytes > size_max ? figures.size_bytes : size_max;
    }
    ck_assert_uint_gt(figures.files, 2);
    ck_assert_uint_lt(size_max, (RAFT_STORE_GROWTH_STEPS + 2) * ALLOCATE_BYTES);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
    check_saved(&fixture);
    fixture_end(&fixture);
}
END_TEST

START_TEST(what_is_not_synced_may_be_lost_and_nothing_else) {
    for (uint64_t seed = 1; seed < 200; seed++) {
        struct fixture fixture;
        fixture_begin(&fixture, seed);
        create(&fixture);
        open_again(&fixture);
        append(&fixture, 1, "synced");
        ck_assert_int_eq(save(&fixture, 2), 0);
        fixture.output.is_sync_needed = false;
        fixture.output.commit = 2;
        ck_assert_int_eq(save(&fixture, 0), 0);
        raft_store_opened_free(&fixture.opened);
        simulated_disk_lose_power(fixture.simulated);
        ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
        ck_assert(logs_equal(&fixture.opened.saved.log, &fixture.log));
        ck_assert_uint_ge(fixture.opened.saved.commit, 1);
        fixture_end(&fixture);
    }
}
END_TEST

START_TEST(a_crash_at_any_call_leaves_what_was_or_what_was_to_be) {
    size_t torn = 0;
    for (uint64_t seed = 1; seed < 600; seed++) {
        struct fixture fixture;
        fixture_begin(&fixture, seed);
        create(&fixture);
        open_again(&fixture);
        append(&fixture, 1, "before");
        ck_assert_int_eq(save(&fixture, 2), 0);
        simulated_disk_fail(fixture.simulated, seed % 7, UINT64_MAX, EIO);
        append(&fixture, 1,
               "a long entry that goes over more than one sector of the disk, so that"
               " it may be torn in the middle when the power fails before the sync");
        fixture.output.term = 2;
        int status = save(&fixture, 3);
        ck_assert(status == 0 || save(&fixture, 3) != 0);
        raft_store_opened_free(&fixture.opened);
        simulated_disk_heal(fixture.simulated);
        simulated_disk_lose_power(fixture.simulated);
        ck_assert_msg(open_again(&fixture) == RAFT_STORE_DONE, "%s", report_of(&fixture));
        torn += fixture.opened.torn_bytes > 0;
        if (status != 0 && fixture.opened.saved.term == 1) {
            raft_log_truncate(&fixture.log, 3);
            fixture.output.term = 1;
        }
        check_saved(&fixture);
        fixture_end(&fixture);
    }
    ck_assert_uint_gt(torn, 0);
}
END_TEST

START_TEST(a_failing_disk_is_said_and_the_store_opens_again) {
    struct fixture fixture;
    fixture_begin(&fixture, 6);
    create(&fixture);
    for (uint64_t skip = 0;; skip++) {
        simulated_disk_fail(fixture.simulated, skip, UINT64_MAX, ENOSPC);
        enum raft_store_status status = open_again(&fixture);
        simulated_disk_heal(fixture.simulated);
        if (status == RAFT_STORE_DONE) {
            break;
        }
        ck_assert_int_eq(status, RAFT_STORE_FAILED);
        ck_assert_ptr_nonnull(strstr(report_of(&fixture), "No space left"));
    }
    check_saved(&fixture);
    fixture_end(&fixture);
}
END_TEST

/* ---- damage ---- */

static void flip(struct fixture *fixture, uint64_t offset) {
    int error;
    struct disk_file *file =
        fixture->disk.open(fixture->disk.context, RAFT_STORE_NAME, false, &error);
    char byte;
    fixture->disk.read(file, &byte, 1, offset);
    byte = (char)(byte ^ 4);
    fixture->disk.write(file, &(struct iovec){.iov_base = &byte, .iov_len = 1}, 1, offset);
    fixture->disk.close(file);
}

/* A store with some history in its file; answers how many bytes of it count. */
static uint64_t damage_prepare(struct fixture *fixture, uint64_t seed) {
    fixture_begin(fixture, seed);
    create(fixture);
    open_again(fixture);
    for (uint64_t i = 0; i < 4; i++) {
        append(fixture, 1 + i, "an entry");
        fixture->output.term = 1 + i;
        fixture->output.commit = 1 + i;
        ck_assert_int_eq(save(fixture, 2 + i), 0);
    }
    struct raft_store_figures figures;
    raft_store_figures_read(fixture->opened.store, &figures);
    raft_store_opened_free(&fixture->opened);
    return figures.size_bytes;
}

START_TEST(any_flipped_bit_is_refused_or_changes_nothing) {
    struct fixture fixture;
    uint64_t size = damage_prepare(&fixture, 7);
    fixture_end(&fixture);
    size_t refused = 0;
    for (uint64_t offset = 0; offset < size; offset++) {
        damage_prepare(&fixture, 7);
        flip(&fixture, offset);
        enum raft_store_status status = open_again(&fixture);
        if (status == RAFT_STORE_DONE) {
            check_saved(&fixture);
        } else {
            ck_assert_int_eq(status, RAFT_STORE_DAMAGED);
            const char *report = report_of(&fixture);
            ck_assert_ptr_nonnull(strstr(report, RAFT_STORE_NAME " is damaged at offset "));
            ck_assert_ptr_nonnull(strstr(report, ": expected "));
            ck_assert_ptr_nonnull(strstr(report, ", found "));
            refused++;
        }
        fixture_end(&fixture);
    }
    /* Padding, and the last record, which nobody needs. */
    ck_assert_uint_gt(refused, size * 3 / 4);
}
END_TEST

START_TEST(damage_changes_nothing_on_the_disk) {
    struct fixture fixture;
    damage_prepare(&fixture, 8);
    flip(&fixture, RAFT_FILE_HEADER_BYTES + RAFT_RECORD_HEADER_BYTES + 1);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DAMAGED);
    flip(&fixture, RAFT_FILE_HEADER_BYTES + RAFT_RECORD_HEADER_BYTES + 1);
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DONE);
    check_saved(&fixture);
    fixture_end(&fixture);
}
END_TEST

START_TEST(the_file_of_another_node_is_refused) {
    struct fixture fixture;
    damage_prepare(&fixture, 9);
    fixture.plan.self.bytes[0] = 'x';
    ck_assert_int_eq(open_again(&fixture), RAFT_STORE_DAMAGED);
    ck_assert_ptr_nonnull(strstr(report_of(&fixture), "another node's"));
    fixture_end(&fixture);
}
END_TEST

static void damaged_by(const struct raft_record_step *step, uint64_t last_term) {
    struct raft_saved saved = {.term = 5, .commit = 3};
    raft_log_reset(&saved.log, 2, 1);
    for (uint64_t i = 0; i < 3; i++) {
        raft_log_append(&saved.log, &(struct raft_entry){.term = 4, .kind = RAFT_ENTRY_NO_OP});
    }
    struct raft_log log = RAFT_LOG_EMPTY;
    raft_log_reset(&log, step->first - 1, 0);
    for (uint32_t i = 0; i < step->count; i++) {
        raft_log_append(&log, &(struct raft_entry){.term = last_term, .kind = RAFT_ENTRY_NO_OP});
    }
    struct buffer body = BUFFER_EMPTY;
    raft_record_write_step(step, &log, &body);
    ck_assert_ptr_nonnull(raft_record_read_step(buffer_span(&body), &saved));
    buffer_free(&body);
    raft_log_free(&log);
    raft_saved_free(&saved);
}

START_TEST(records_that_do_not_follow_from_those_before_are_damage) {
    damaged_by(&(struct raft_record_step){.term = 4, .commit = 3, .first = 1}, 0);
    damaged_by(&(struct raft_record_step){.term = 5, .commit = 2, .first = 1}, 0);
    damaged_by(&(struct raft_record_step){.term = 5, .commit = 3, .first = 7, .count = 1}, 5);
    damaged_by(&(struct raft_record_step){.term = 5, .commit = 3, .first = 3, .count = 1}, 5);
    damaged_by(&(struct raft_record_step){.term = 5, .commit = 3, .first = 4, .count = 1}, 6);
    damaged_by(&(struct raft_record_step){.term = 5, .commit = 3, .first = 6, .count = 1}, 3);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_was_saved_is_there_after_a_loss_of_power,
        entries_give_way_to_those_that_follow_at_their_place,
        a_snapshot_takes_the_place_of_all_before_it,
        who_joins_begins_with_nothing,
        a_file_that_grows_is_made_anew,
        what_is_not_synced_may_be_lost_and_nothing_else,
        a_crash_at_any_call_leaves_what_was_or_what_was_to_be,
        a_failing_disk_is_said_and_the_store_opens_again,
        any_flipped_bit_is_refused_or_changes_nothing,
        damage_changes_nothing_on_the_disk,
        the_file_of_another_node_is_refused,
        records_that_do_not_follow_from_those_before_are_damage,
    };
    return unit_run(unit_suite("raft_store", tests, UNIT_COUNT(tests)));
}
