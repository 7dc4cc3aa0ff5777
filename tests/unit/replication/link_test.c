/* A feed and a follower, joined by buffers: what each says when, and what it knows of the other.
 * How they do under faults is shown by the simulations. */
#include "replication/feed.h"
#include "replication/follower.h"

#include "base/memory.h"
#include "tests/unit/replication/redis_log.h"

#define SEED 5

struct fixture {
    struct redis_log log;
    struct lineage *lineage; /* of both */
    struct feed *feed;
    struct follower *follower;
    struct replica_slots *slots;
    struct buffer down;
    struct buffer up;
    uint64_t end; /* of the replica's log */
    struct follower_progress progress;
    size_t frames;
    int images_told; /* chunk, slot, end */
};

/* ---- the primary ---- */

static const struct lineage *source_lineage(void *context) {
    return ((struct fixture *)context)->lineage;
}

static uint64_t source_start(void *context) {
    (void)context;
    return 0;
}

static uint64_t source_end(void *context) {
    return redis_log_end(&((struct fixture *)context)->log);
}

static bool source_changed(void *context, uint64_t since, struct slot_set *slots) {
    (void)context;
    (void)since;
    (void)slots;
    return false;
}

static bool source_images_begin(void *context, const struct slot_set *slots) {
    struct fixture *fixture = context;
    ck_assert_uint_eq(slot_set_count(slots), 1);
    fixture->images_told = 0;
    return true;
}

/* One chunk, its slot, and the end. */
static enum feed_image source_images_next(void *context, struct buffer *chunk,
                                          struct message_slot *slots, size_t *count) {
    struct fixture *fixture = context;
    switch (fixture->images_told++) {
    case 0:
        buffer_append(chunk, "an image", 8);
        return FEED_IMAGE_CHUNK;
    case 1:
        *count = 1;
        slots[0] = (struct message_slot){.slot = 7, .position = source_end(context)};
        return FEED_IMAGE_SLOTS;
    default:
        return FEED_IMAGE_END;
    }
}

static void source_images_end(void *context) {
    (void)context;
}

/* ---- the replica ---- */

static void target_log(void *context, struct follower_log *log) {
    const struct fixture *fixture = context;
    log->lineage = *fixture->lineage;
    log->end = fixture->end;
}

static enum follower_change target_cut(void *context, const struct message_plan *plan,
                                       struct slot_set *touched, struct buffer *report) {
    (void)context;
    (void)plan;
    (void)touched;
    (void)report;
    return FOLLOWER_CHANGE_FAILED;
}

static enum follower_change target_reset(void *context, const struct message_plan *plan,
                                         struct buffer *report) {
    (void)context;
    (void)plan;
    (void)report;
    return FOLLOWER_CHANGE_FAILED;
}

static void target_clear(void *context, const struct slot_set *slots) {
    (void)context;
    (void)slots;
}

static bool target_image(void *context, struct span chunk, struct buffer *report) {
    (void)context;
    (void)report;
    return span_is(chunk, "an image");
}

static bool target_slot(void *context, const struct message_slot *slot, struct buffer *report) {
    (void)context;
    (void)report;
    return slot->slot == 7;
}

static bool target_complete(void *context, struct buffer *report) {
    (void)context;
    (void)report;
    return true;
}

static bool target_turn(void *context, const struct message_turn *turn, struct buffer *report) {
    (void)context;
    (void)turn;
    (void)report;
    return false;
}

static bool target_frame(void *context, const struct message_frame *frame, struct buffer *report) {
    struct fixture *fixture = context;
    (void)report;
    fixture->end = frame->position + OPLOG_FRAME_HEADER_BYTES + frame->length;
    fixture->frames++;
    return true;
}

/* ---- both ---- */

static void fixture_begin(struct fixture *fixture, int64_t now_ms, bool misses_slot) {
    *fixture = (struct fixture){.down = BUFFER_EMPTY, .up = BUFFER_EMPTY};
    redis_log_open(&fixture->log, 0);
    struct history_origin origin = oplog_origin(fixture->log.oplog);
    fixture->lineage = memory_alloc_zeroed(sizeof(*fixture->lineage));
    lineage_add(fixture->lineage, &origin.history, 0);
    fixture->slots = memory_alloc_zeroed(sizeof(*fixture->slots));
    if (misses_slot) {
        slot_set_add(&fixture->slots->missing, 7);
    }
    fixture->feed = feed_new(&(struct feed_plan){
        .source = {.context = fixture,
                   .log = &fixture->log.disk,
                   .lineage = source_lineage,
                   .start = source_start,
                   .end = source_end,
                   .changed = source_changed,
                   .images_begin = source_images_begin,
                   .images_next = source_images_next,
                   .images_end = source_images_end},
        .node_id = {1},
        .seed = SEED,
        .now_ms = now_ms,
    });
    fixture->follower = follower_new(&(struct follower_plan){
        .target = {.context = fixture,
                   .log = target_log,
                   .cut = target_cut,
                   .reset = target_reset,
                   .clear = target_clear,
                   .image = target_image,
                   .slot = target_slot,
                   .complete = target_complete,
                   .turn = target_turn,
                   .frame = target_frame},
        .slots = fixture->slots,
        .node_id = {2},
        .seed = SEED,
        .now_ms = now_ms,
    });
}

static void fixture_end(struct fixture *fixture) {
    feed_free(fixture->feed);
    follower_free(fixture->follower);
    buffer_free(&fixture->down);
    buffer_free(&fixture->up);
    memory_free(fixture->lineage);
    memory_free(fixture->slots);
    redis_log_close(&fixture->log);
}

/* Bytes that the replica says. */
static size_t replica_speaks(struct fixture *fixture, int64_t now_ms) {
    follower_fill(fixture->follower, &fixture->up, &fixture->progress, now_ms);
    size_t length = fixture->up.length;
    ck_assert_msg(feed_receive(fixture->feed, buffer_span(&fixture->up), now_ms), "%s",
                  feed_reason(fixture->feed));
    buffer_clear(&fixture->up);
    return length;
}

static size_t primary_speaks(struct fixture *fixture, int64_t now_ms) {
    ck_assert(feed_fill(fixture->feed, &fixture->down, 100000, now_ms));
    size_t length = fixture->down.length;
    ck_assert_msg(follower_receive(fixture->follower, buffer_span(&fixture->down), now_ms), "%s",
                  follower_reason(fixture->follower));
    buffer_clear(&fixture->down);
    return length;
}

/* Until both are in the log. */
static void link_up(struct fixture *fixture, int64_t now_ms) {
    for (int i = 0; i < 10; i++) {
        replica_speaks(fixture, now_ms);
        primary_speaks(fixture, now_ms);
    }
    ck_assert_int_eq(feed_stage(fixture->feed), FEED_LOG);
    ck_assert_int_eq(follower_stage(fixture->follower), FOLLOWER_LOG);
}

static void append(struct fixture *fixture) {
    redis_log_set(&fixture->log, 0, "key", "value");
    redis_log_frame(&fixture->log);
}

static struct feed_figures figures_of(const struct fixture *fixture) {
    struct feed_figures figures;
    feed_figures_read(fixture->feed, &figures);
    return figures;
}

START_TEST(a_replica_follows_once_it_has_answered_a_beat_behind_the_images) {
    struct fixture fixture;
    fixture_begin(&fixture, 1000, true);
    link_up(&fixture, 1000);
    ck_assert_uint_eq(figures_of(&fixture).images, 1);
    ck_assert_uint_eq(figures_of(&fixture).image_bytes, 8);
    ck_assert(!figures_of(&fixture).follows);
    /* Nothing is said as long as silence may be. */
    ck_assert_uint_eq(primary_speaks(&fixture, 1000 + FEED_BEAT_MS - 1), 0);
    replica_speaks(&fixture, 1000 + FEED_BEAT_MS - 1);
    ck_assert(!figures_of(&fixture).follows);
    ck_assert_uint_gt(primary_speaks(&fixture, 1000 + FEED_BEAT_MS), 0);
    ck_assert_uint_gt(replica_speaks(&fixture, 1000 + FEED_BEAT_MS + 30), 0);
    ck_assert(figures_of(&fixture).follows);
    ck_assert_int_eq(figures_of(&fixture).round_trip_ms, 30);
    ck_assert_int_eq(figures_of(&fixture).heard_ms, 1000 + FEED_BEAT_MS + 30);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_replica_reports_when_it_is_further_and_from_time_to_time) {
    struct fixture fixture;
    fixture_begin(&fixture, 1000, false);
    link_up(&fixture, 1000);
    append(&fixture);
    primary_speaks(&fixture, 1010);
    ck_assert_uint_eq(fixture.frames, 1);
    ck_assert_uint_eq(replica_speaks(&fixture, 1020), 0);
    fixture.progress.applied = fixture.end;
    ck_assert_uint_gt(replica_speaks(&fixture, 1020), 0);
    ck_assert_uint_eq(replica_speaks(&fixture, 1020), 0);
    ck_assert_uint_eq(figures_of(&fixture).applied, fixture.end);
    ck_assert_uint_eq(figures_of(&fixture).written, 0);
    ck_assert(!figures_of(&fixture).follows);
    fixture.progress.written = fixture.end;
    ck_assert_uint_gt(replica_speaks(&fixture, 1021), 0);
    ck_assert_uint_eq(figures_of(&fixture).written, fixture.end);
    ck_assert_uint_eq(figures_of(&fixture).synced, 0);
    ck_assert(figures_of(&fixture).follows);
    fixture.progress.synced = fixture.end;
    ck_assert_uint_gt(replica_speaks(&fixture, 1022), 0);
    ck_assert_uint_eq(figures_of(&fixture).synced, fixture.end);
    ck_assert_uint_eq(replica_speaks(&fixture, 1022 + FOLLOWER_REPORT_MS - 1), 0);
    ck_assert_uint_gt(replica_speaks(&fixture, 1022 + FOLLOWER_REPORT_MS), 0);
    fixture_end(&fixture);
}
END_TEST

START_TEST(each_knows_whom_it_speaks_with_and_how_they_go_on) {
    struct fixture fixture;
    struct follower_figures replica;
    fixture_begin(&fixture, 1000, false);
    follower_figures_read(fixture.follower, &replica);
    ck_assert_int_eq(replica.heard_ms, 1000);
    append(&fixture);
    link_up(&fixture, 1500);
    follower_figures_read(fixture.follower, &replica);
    ck_assert_int_eq(replica.node_id[0], 1);
    ck_assert_int_eq(replica.heard_ms, 1500);
    ck_assert_int_eq(replica.mode, PLAN_GO_ON);
    ck_assert_uint_eq(replica.frames, 1);
    ck_assert_int_eq(figures_of(&fixture).node_id[0], 2);
    ck_assert_int_eq(figures_of(&fixture).mode, PLAN_GO_ON);
    ck_assert_uint_eq(figures_of(&fixture).sent, fixture.end);
    ck_assert_uint_eq(feed_needs(fixture.feed), 0);
    fixture.progress = (struct follower_progress){.written = fixture.end, .applied = fixture.end};
    replica_speaks(&fixture, 1500);
    ck_assert_uint_eq(feed_needs(fixture.feed), fixture.end);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_report_of_what_was_never_sent_ends_the_link) {
    struct fixture fixture;
    fixture_begin(&fixture, 1000, false);
    link_up(&fixture, 1000);
    fixture.progress.written = 1;
    follower_fill(fixture.follower, &fixture.up, &fixture.progress, 1000);
    ck_assert(!feed_receive(fixture.feed, buffer_span(&fixture.up), 1000));
    ck_assert_ptr_nonnull(strstr(feed_reason(fixture.feed), "reports position 1"));
    ck_assert(!feed_receive(fixture.feed, span_of("", 0), 1000));
    fixture_end(&fixture);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        a_replica_follows_once_it_has_answered_a_beat_behind_the_images,
        a_replica_reports_when_it_is_further_and_from_time_to_time,
        each_knows_whom_it_speaks_with_and_how_they_go_on,
        a_report_of_what_was_never_sent_ends_the_link,
    };
    return unit_run(unit_suite("link", tests, UNIT_COUNT(tests)));
}
