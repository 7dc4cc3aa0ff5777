#include "cluster/raft_message.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"

#include "tests/unit/unit.h"

#define SEED 42

static struct raft_message message_of(enum raft_message_kind kind) {
    return (struct raft_message){.kind = kind,
                                 .group = {.bytes = "the group"},
                                 .source = {.bytes = "from"},
                                 .target = {.bytes = "to"},
                                 .term = 9};
}

static enum raft_message_status read_back(const struct raft_message *written,
                                          struct raft_message *message,
                                          struct raft_message_entries *entries) {
    static struct buffer bytes; /* what is read points into it */
    buffer_clear(&bytes);
    raft_message_write(written, SEED, &bytes);
    struct span rest = buffer_span(&bytes);
    enum raft_message_status status = raft_message_read(&rest, SEED, message, entries);
    if (status == RAFT_MESSAGE_DONE) {
        ck_assert_uint_eq(rest.length, 0);
        ck_assert_int_eq(message->kind, written->kind);
        ck_assert(raft_id_equal(&message->group, &written->group));
        ck_assert(raft_id_equal(&message->source, &written->source));
        ck_assert(raft_id_equal(&message->target, &written->target));
        ck_assert_uint_eq(message->term, written->term);
    }
    return status;
}

static bool is_refused(const struct raft_message *message) {
    struct raft_message read;
    struct raft_message_entries entries;
    return read_back(message, &read, &entries) == RAFT_MESSAGE_DAMAGED;
}

START_TEST(votes_come_back_as_they_were_written) {
    struct raft_message read;
    struct raft_message_entries entries;
    struct raft_message message = message_of(RAFT_VOTE);
    message.vote = (struct raft_vote){.is_transfer = true, .last_index = 77, .last_term = 8};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert(read.vote.is_transfer && !read.vote.is_pre);
    ck_assert_uint_eq(read.vote.last_index, 77);
    ck_assert_uint_eq(read.vote.last_term, 8);
    message = message_of(RAFT_VOTE_ANSWER);
    message.vote_answer = (struct raft_vote_answer){.is_pre = true, .is_granted = true};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert(read.vote_answer.is_pre && read.vote_answer.is_granted);
}
END_TEST

START_TEST(appends_come_back_as_they_were_written) {
    struct raft_message read;
    struct raft_message_entries entries;
    struct raft_entry written[] = {
        {.term = 4, .kind = RAFT_ENTRY_NO_OP},
        {.term = 5, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of("a\0b", 3)},
        {.term = 9, .kind = RAFT_ENTRY_CONFIG, .bytes = span_of("\0\0", 2)},
    };
    struct raft_message message = message_of(RAFT_APPEND);
    message.append = (struct raft_append){.previous_index = 70,
                                          .previous_term = 3,
                                          .commit = 60,
                                          .round = 5,
                                          .entries = written,
                                          .count = 3};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert_uint_eq(read.append.previous_index, 70);
    ck_assert_uint_eq(read.append.previous_term, 3);
    ck_assert_uint_eq(read.append.commit, 60);
    ck_assert_uint_eq(read.append.round, 5);
    ck_assert_uint_eq(read.append.count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(read.append.entries[i].term, written[i].term);
        ck_assert_int_eq(read.append.entries[i].kind, written[i].kind);
        ck_assert(span_equal(read.append.entries[i].bytes, written[i].bytes));
    }
    message = message_of(RAFT_APPEND_ANSWER);
    message.append_answer = (struct raft_append_answer){
        .is_accepted = true, .index = 1, .hint_index = 2, .hint_term = 3, .round = 4};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert(read.append_answer.is_accepted);
    ck_assert_uint_eq(read.append_answer.index, 1);
    ck_assert_uint_eq(read.append_answer.hint_index, 2);
    ck_assert_uint_eq(read.append_answer.hint_term, 3);
    ck_assert_uint_eq(read.append_answer.round, 4);
}
END_TEST

START_TEST(the_other_messages_come_back_as_they_were_written) {
    struct raft_message read;
    struct raft_message_entries entries;
    struct raft_snapshot_name name = {.index = 5, .term = 4, .size = 100, .checksum = 99};
    struct raft_message message = message_of(RAFT_PIECE);
    message.piece = (struct raft_piece){
        .snapshot = name, .offset = 95, .round = 3, .bytes = span_of("12345", 5)};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert(raft_snapshot_name_equal(&read.piece.snapshot, &name));
    ck_assert_uint_eq(read.piece.offset, 95);
    ck_assert_uint_eq(read.piece.round, 3);
    ck_assert(span_equal(read.piece.bytes, span_of("12345", 5)));
    message = message_of(RAFT_PIECE_ANSWER);
    message.piece_answer = (struct raft_piece_answer){.snapshot = name, .offset = 7, .round = 8};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert_uint_eq(read.piece_answer.offset, 7);
    ck_assert_uint_eq(read.piece_answer.round, 8);
    message = message_of(RAFT_TAKE_OVER);
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    message = message_of(RAFT_READ);
    message.read = (struct raft_read){.nonce = 1, .number = 2};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert_uint_eq(read.read.nonce, 1);
    ck_assert_uint_eq(read.read.number, 2);
    message = message_of(RAFT_READ_ANSWER);
    message.read_answer = (struct raft_read_answer){.nonce = 1, .number = 2, .index = 3};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert_uint_eq(read.read_answer.index, 3);
}
END_TEST

START_TEST(messages_that_no_honest_member_sends_are_refused) {
    struct raft_message message = message_of(RAFT_VOTE);
    message.vote.last_term = message.term;
    ck_assert(is_refused(&message));
    struct raft_entry entry = {.term = 5, .kind = RAFT_ENTRY_NORMAL};
    message = message_of(RAFT_APPEND);
    message.append = (struct raft_append){
        .previous_index = 1, .previous_term = 1, .entries = &entry, .count = 1};
    ck_assert(!is_refused(&message));
    message.append.previous_term = 6; /* terms fall */
    ck_assert(is_refused(&message));
    message.append.previous_term = 0; /* there is no such entry */
    ck_assert(is_refused(&message));
    message.append.previous_term = 1;
    message.append.previous_index = UINT64_MAX;
    ck_assert(is_refused(&message));
    message.append.previous_index = 1;
    entry.term = message.term + 1; /* later than the leader's */
    ck_assert(is_refused(&message));
    entry.term = 5;
    entry.kind = RAFT_ENTRY_CONFIG;
    entry.bytes = span_of("\1\0", 2); /* one member, who is missing */
    ck_assert(is_refused(&message));
    entry.bytes = span_of("\0\0x", 3); /* more than a configuration */
    ck_assert(is_refused(&message));
    entry.kind = (enum raft_entry_kind)4;
    ck_assert(is_refused(&message));
    entry.kind = RAFT_ENTRY_NO_OP; /* with content */
    ck_assert(is_refused(&message));
    message = message_of(RAFT_PIECE);
    message.piece = (struct raft_piece){
        .snapshot = {.index = 5, .term = 4, .size = 4}, .offset = 2, .bytes = span_of("123", 3)};
    ck_assert(is_refused(&message));
    message.piece.offset = 1;
    ck_assert(!is_refused(&message));
    message.piece.snapshot.size = RAFT_SNAPSHOT_BYTES_MAX + 1;
    ck_assert(is_refused(&message));
}
END_TEST

START_TEST(an_append_takes_the_largest_entries_and_no_more_of_them_than_its_limit) {
    struct raft_message read;
    struct raft_message_entries entries;
    char *bytes = memory_alloc_zeroed(RAFT_ENTRY_BYTES_MAX);
    struct raft_entry written[RAFT_APPEND_ENTRIES_MAX];
    for (size_t i = 0; i < RAFT_APPEND_ENTRIES_MAX; i++) {
        written[i] = (struct raft_entry){.term = 1, .kind = RAFT_ENTRY_NORMAL};
    }
    written[0].bytes = span_of(bytes, RAFT_ENTRY_BYTES_MAX);
    struct raft_message message = message_of(RAFT_APPEND);
    message.append = (struct raft_append){.entries = written, .count = RAFT_APPEND_ENTRIES_MAX};
    ck_assert_int_eq(read_back(&message, &read, &entries), RAFT_MESSAGE_DONE);
    ck_assert_uint_eq(read.append.count, RAFT_APPEND_ENTRIES_MAX);
    /* One entry more, by hand: a header and a length that says so. */
    struct buffer out = BUFFER_EMPTY;
    raft_message_write(&message, SEED, &out);
    buffer_append(&out, "\1\0\0\0\0\0\0\0\2\0\0\0\0", 13);
    size_t length = out.length - RAFT_MESSAGE_HEADER_BYTES;
    bytes_store_u32(out.bytes, (uint32_t)length);
    bytes_store_u64(out.bytes + 8, XXH3_64bits_withSeed(out.bytes + RAFT_MESSAGE_HEADER_BYTES,
                                                        length, SEED ^ bytes_load_u64(out.bytes)));
    struct span rest = buffer_span(&out);
    ck_assert_int_eq(raft_message_read(&rest, SEED, &read, &entries), RAFT_MESSAGE_DAMAGED);
    buffer_free(&out);
    memory_free(bytes);
}
END_TEST

START_TEST(half_messages_wait_and_changed_ones_are_refused) {
    struct raft_message read;
    struct raft_message_entries entries;
    struct raft_message message = message_of(RAFT_READ_ANSWER);
    struct buffer out = BUFFER_EMPTY;
    raft_message_write(&message, SEED, &out);
    for (size_t length = 0; length < out.length; length++) {
        struct span rest = span_of(out.bytes, length);
        ck_assert_int_eq(raft_message_read(&rest, SEED, &read, &entries), RAFT_MESSAGE_PARTIAL);
        ck_assert_uint_eq(rest.length, length);
    }
    for (size_t i = 4; i < out.length; i++) {
        out.bytes[i] ^= 1;
        struct span rest = buffer_span(&out);
        ck_assert_int_eq(raft_message_read(&rest, SEED, &read, &entries), RAFT_MESSAGE_DAMAGED);
        out.bytes[i] ^= 1;
    }
    struct span rest = buffer_span(&out);
    ck_assert_int_eq(raft_message_read(&rest, SEED + 1, &read, &entries), RAFT_MESSAGE_DAMAGED);
    bytes_store_u32(out.bytes, UINT32_MAX);
    rest = buffer_span(&out);
    ck_assert_msg(raft_message_read(&rest, SEED, &read, &entries) == RAFT_MESSAGE_DAMAGED,
                  "a length that cannot be is not waited for");
    buffer_free(&out);
}
END_TEST

START_TEST(another_version_of_the_format_is_told_from_damage) {
    struct raft_message read;
    struct raft_message_entries entries;
    struct raft_message message = message_of(RAFT_TAKE_OVER);
    struct buffer out = BUFFER_EMPTY;
    raft_message_write(&message, SEED, &out);
    out.bytes[5] = RAFT_MESSAGE_VERSION + 1;
    size_t length = out.length - RAFT_MESSAGE_HEADER_BYTES;
    bytes_store_u64(out.bytes + 8, XXH3_64bits_withSeed(out.bytes + RAFT_MESSAGE_HEADER_BYTES,
                                                        length, SEED ^ bytes_load_u64(out.bytes)));
    struct span rest = buffer_span(&out);
    ck_assert_int_eq(raft_message_read(&rest, SEED, &read, &entries), RAFT_MESSAGE_FOREIGN);
    buffer_free(&out);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        votes_come_back_as_they_were_written,
        appends_come_back_as_they_were_written,
        the_other_messages_come_back_as_they_were_written,
        messages_that_no_honest_member_sends_are_refused,
        an_append_takes_the_largest_entries_and_no_more_of_them_than_its_limit,
        half_messages_wait_and_changed_ones_are_refused,
        another_version_of_the_format_is_told_from_damage,
    };
    return unit_run(unit_suite("raft_message", tests, UNIT_COUNT(tests)));
}
