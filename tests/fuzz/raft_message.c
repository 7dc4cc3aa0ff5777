/* A member of a consensus group, given what a broken or hostile peer may send: it goes on, and its
 * state keeps what must hold whoever speaks.
 *
 * The first byte of the input: bit 0 for a leader, else a follower; with bit 1 the rest goes
 * through the codec as it is. Otherwise messages: kind (1), source (1), term (1), length of what
 * follows the envelope (2), that; they are framed with the right checksum and this group's ids,
 * which few changed bytes would have. */
#include "cluster/raft.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define SEED 5
#define HEAD_BYTES 5
#define ELECTION_MS 100
#define VOTERS 3
#define ENVELOPE_BYTES (3 * RAFT_ID_BYTES + 8)

static struct raft_id id_of(unsigned number) {
    return (struct raft_id){.bytes = {(unsigned char)(number + 1)}};
}

/* ---- a member ---- */

static void settle(struct raft *raft) {
    const struct raft_output *output;
    struct buffer bytes = BUFFER_EMPTY;
    while ((output = raft_output(raft)) != NULL) {
        for (size_t i = 0; i < output->message_count; i++) {
            buffer_clear(&bytes);
            raft_message_write(&output->messages[i], SEED, &bytes);
        }
        for (uint64_t i = output->apply_from + 1; i <= output->apply_to; i++) {
            ASSERT(raft_entry(raft, i)->term <= output->term);
        }
        bool is_snapshot_wanted = output->is_snapshot_wanted;
        raft_output_done(raft);
        if (is_snapshot_wanted && raft_output(raft) == NULL) {
            raft_snapshot_taken(raft, span_of_string("state"));
        }
    }
    buffer_free(&bytes);
}

static struct raft *member_new(void) {
    struct raft_id self = id_of(0);
    struct raft_config config = RAFT_CONFIG_EMPTY;
    raft_config_found(&config, &self);
    for (unsigned i = 1; i < VOTERS; i++) {
        raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_ADD, id_of(i)});
        raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_PROMOTE, id_of(i)});
    }
    struct raft_saved saved;
    raft_found(&saved, &config, span_of_string("state"));
    raft_config_free(&config);
    struct raft *raft = raft_new(&(struct raft_plan){.group = {.bytes = "group"},
                                                     .self = self,
                                                     .seed = 1,
                                                     .election_ms = ELECTION_MS,
                                                     .heartbeat_ms = 10,
                                                     .snapshot_entries = 4,
                                                     .snapshot_bytes = 1000,
                                                     .entries_kept = 1,
                                                     .piece_bytes = 8},
                                 &saved, 1000);
    settle(raft);
    return raft;
}

static void give(struct raft *raft, const struct raft_message *message, uint64_t *now_ms) {
    raft_receive(raft, message, ++*now_ms);
    settle(raft);
    struct raft_status status;
    raft_status_read(raft, &status);
    ASSERT(status.commit <= status.last_index && status.applied == status.commit);
    ASSERT(status.snapshot_index <= status.applied);
    raft_tick(raft, *now_ms);
    settle(raft);
}

static void answer(struct raft *raft, bool is_pre, uint64_t *now_ms) {
    struct raft_message message = {.kind = RAFT_VOTE_ANSWER,
                                   .group = {.bytes = "group"},
                                   .source = id_of(1),
                                   .target = id_of(0),
                                   .term = 2,
                                   .vote_answer = {.is_pre = is_pre, .is_granted = true}};
    give(raft, &message, now_ms);
}

static void lead(struct raft *raft, uint64_t *now_ms) {
    *now_ms += 2 * ELECTION_MS;
    raft_tick(raft, *now_ms);
    settle(raft);
    answer(raft, true, now_ms);
    answer(raft, false, now_ms);
    struct raft_position position;
    struct span contents[3] = {SPAN_LITERAL("a"), SPAN_LITERAL("bb"), SPAN_LITERAL("ccc")};
    raft_propose(raft, contents, 3, &position);
    settle(raft);
    raft_read(raft, 1);
    settle(raft);
}

/* ---- what is sent to it ---- */

static void envelope(const char *head, struct buffer *out) {
    struct raft_id group = {.bytes = "group"};
    struct raft_id source = id_of((unsigned char)head[1] % (VOTERS + 1));
    struct raft_id target = id_of(0);
    buffer_append(out, group.bytes, RAFT_ID_BYTES);
    buffer_append(out, source.bytes, RAFT_ID_BYTES);
    buffer_append(out, target.bytes, RAFT_ID_BYTES);
    bytes_store_u64(buffer_reserve(out, 8), (unsigned char)head[2]);
    buffer_commit(out, 8);
}

static void frame_messages(struct span input, struct buffer *out) {
    while (input.length >= HEAD_BYTES) {
        const char *head = input.bytes;
        size_t length = bytes_load_u16(head + 3);
        size_t room = input.length - HEAD_BYTES;
        length = length < room ? length : room;
        size_t start = out->length;
        char header[RAFT_MESSAGE_HEADER_BYTES] = {0};
        bytes_store_u32(header, (uint32_t)(ENVELOPE_BYTES + length));
        header[4] = (char)((unsigned char)head[0] % 11);
        header[5] = RAFT_MESSAGE_VERSION;
        buffer_append(out, header, sizeof(header));
        envelope(head, out);
        buffer_append(out, head + HEAD_BYTES, length);
        char *framed = out->bytes + start;
        bytes_store_u64(framed + 8, XXH3_64bits_withSeed(framed + RAFT_MESSAGE_HEADER_BYTES,
                                                         ENVELOPE_BYTES + length,
                                                         SEED ^ bytes_load_u64(framed)));
        input = span_of(head + HEAD_BYTES + length, room - length);
    }
}

/* A message that cannot be read ends a link; here the next one is tried. */
static void skip(struct span *rest) {
    size_t whole = RAFT_MESSAGE_HEADER_BYTES + (size_t)bytes_load_u32(rest->bytes);
    whole = whole < rest->length ? whole : rest->length;
    *rest = span_of(rest->bytes + whole, rest->length - whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    uint64_t now_ms = 1000;
    struct raft *raft = member_new();
    if ((bytes[0] & 1) != 0) {
        lead(raft, &now_ms);
    }
    struct span rest = span_of((const char *)bytes + 1, length - 1);
    struct buffer framed = BUFFER_EMPTY;
    if ((bytes[0] & 2) == 0) {
        frame_messages(rest, &framed);
        rest = buffer_span(&framed);
    }
    struct raft_message message;
    struct raft_message_entries entries;
    enum raft_message_status status;
    while ((status = raft_message_read(&rest, SEED, &message, &entries)) != RAFT_MESSAGE_PARTIAL) {
        if (status == RAFT_MESSAGE_DONE) {
            give(raft, &message, &now_ms);
        } else {
            skip(&rest);
        }
    }
    buffer_free(&framed);
    raft_free(raft);
    return 0;
}
