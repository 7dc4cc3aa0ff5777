#include "base/assertion.h"
#include "base/memory.h"
#include "cluster/raft_engine.h"

#define READS_MIN 16

static bool is_local(const struct raft_waiting_read *read) {
    return raft_id_is_none(&read->source);
}

static void read_add(struct raft *raft, const struct raft_waiting_read *read) {
    ASSERT(raft->read_count < RAFT_READS_MAX);
    if (raft->read_count == raft->read_capacity) {
        raft->read_capacity = raft->read_capacity == 0 ? READS_MIN : 2 * raft->read_capacity;
        raft->reads = memory_realloc(raft->reads, raft->read_capacity * sizeof(*raft->reads));
    }
    raft->reads[raft->read_count] = *read;
    raft->reads[raft->read_count++].asked_ms = raft->now_ms;
}

/* ---- asking ---- */

/* Confirmed by answers to a round that begins now; who votes alone needs none. */
static void leader_read(struct raft *raft, struct raft_waiting_read *read) {
    if (raft_config_voters(&raft->config) > 1 || !raft_is_voter(raft)) {
        raft_beat(raft);
        read->round = raft->round;
    }
    read_add(raft, read);
}

enum raft_answer raft_read(struct raft *raft, uint64_t id) {
    ASSERT(raft_output(raft) == NULL);
    if (raft_id_is_none(&raft->leader)) {
        return RAFT_NOT_LEADER;
    }
    if (raft->read_count == RAFT_READS_MAX) {
        return RAFT_BUSY;
    }
    struct raft_waiting_read read = {.id = id, .nonce = raft->nonce, .number = ++raft->read_number};
    if (raft->role == RAFT_LEADER) {
        leader_read(raft, &read);
        return RAFT_ACCEPTED;
    }
    read_add(raft, &read);
    raft_message_add(raft, RAFT_READ, &raft->leader)->read =
        (struct raft_read){.nonce = read.nonce, .number = read.number};
    return RAFT_ACCEPTED;
}

void raft_read_receive(struct raft *raft, const struct raft_message *message) {
    if (raft->role != RAFT_LEADER || raft_progress_find(raft, &message->source) == NULL ||
        raft->read_count == RAFT_READS_MAX) {
        return;
    }
    leader_read(raft, &(struct raft_waiting_read){.source = message->source,
                                                  .nonce = message->read.nonce,
                                                  .number = message->read.number});
}

void raft_read_answer_receive(struct raft *raft, const struct raft_message *message) {
    if (raft->role == RAFT_LEADER) {
        return;
    }
    for (size_t i = 0; i < raft->read_count; i++) {
        struct raft_waiting_read *read = &raft->reads[i];
        if (read->nonce == message->read_answer.nonce &&
            read->number == message->read_answer.number) {
            read->index = message->read_answer.index;
        }
    }
}

/* ---- answering ---- */

static void answer(struct raft *raft, const struct raft_waiting_read *read) {
    if (is_local(read)) {
        raft_result_add(raft, read->id, true);
        return;
    }
    raft_message_add(raft, RAFT_READ_ANSWER, &read->source)->read_answer =
        (struct raft_read_answer){
            .nonce = read->nonce, .number = read->number, .index = raft->commit};
}

/* Before an entry of its term is committed, a leader does not know what is. */
static bool is_ready(const struct raft *raft, const struct raft_waiting_read *read) {
    if (raft->role == RAFT_LEADER) {
        return raft->commit >= raft->term_start && raft_is_confirmed(raft, read->round);
    }
    return read->index != 0 && raft->commit >= read->index;
}

void raft_reads_confirm(struct raft *raft) {
    size_t kept = 0;
    for (size_t i = 0; i < raft->read_count; i++) {
        struct raft_waiting_read read = raft->reads[i];
        if (is_ready(raft, &read)) {
            answer(raft, &read);
        } else {
            raft->reads[kept++] = read;
        }
    }
    raft->read_count = kept;
}

static void fail(struct raft *raft, const struct raft_waiting_read *read) {
    if (is_local(read)) {
        raft_result_add(raft, read->id, false);
    }
}

void raft_reads_fail(struct raft *raft) {
    for (size_t i = 0; i < raft->read_count; i++) {
        fail(raft, &raft->reads[i]);
    }
    raft->read_count = 0;
}

/* A question or an answer was lost. */
void raft_reads_expire(struct raft *raft) {
    size_t kept = 0;
    for (size_t i = 0; i < raft->read_count; i++) {
        struct raft_waiting_read read = raft->reads[i];
        if (raft->now_ms - read.asked_ms >= raft->plan.election_ms) {
            fail(raft, &read);
        } else {
            raft->reads[kept++] = read;
        }
    }
    raft->read_count = kept;
}
