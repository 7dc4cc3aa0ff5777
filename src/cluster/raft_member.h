/* A member of a consensus group: the pure step (raft.h) with its disk (raft_store.h), in the order
 * that the proof needs. What a node runs, and what the simulation runs.
 *
 *   member = raft_member_open(&plan, now_ms, ...)
 *   raft_member_tick() / raft_member_receive() / raft_member_propose() / ...
 *   raft_member_close()
 *
 * Each event is carried through: made durable, sent, applied, before the call returns. From within
 * a callback the member must not be called.
 *
 * When the disk fails, or the machine cannot take a snapshot in, the member is broken: it promises
 * nothing more, sends nothing, and answers RAFT_NOT_LEADER; its owner closes it and opens it again,
 * with a machine that is empty again, after a while. Reads that waited then are never answered.
 *
 * Blocks on the disk. One owner, one thread.
 */
#ifndef TARN_CLUSTER_RAFT_MEMBER_H
#define TARN_CLUSTER_RAFT_MEMBER_H

#include "cluster/raft_store.h"

struct raft_member;

/* An entry that is committed. */
struct raft_committed {
    struct raft_position position;
    enum raft_entry_kind kind;
    struct span bytes;
};

/* The state machine, and the way out. */
struct raft_machine {
    void *context;
    /* In order, each index once since the machine was empty or restored. Entries of all kinds. */
    void (*apply)(void *context, const struct raft_committed *entry);
    /* Appends what the machine is; what it restores from, on any node. */
    void (*save)(void *context, struct buffer *state);
    /* It becomes what was saved at that index. False: it cannot read that. */
    bool (*restore)(void *context, uint64_t index, struct span state);
    /* May be lost. The message is valid during the call. */
    void (*send)(void *context, const struct raft_message *message);
    /* All that was committed when the read was asked for is applied; or nobody could tell. */
    void (*read)(void *context, uint64_t id, bool is_confirmed);
};

struct raft_member_plan {
    struct raft_plan raft; /* the group is the store's */
    struct raft_store_plan store;
    struct raft_machine machine;
};

/* Opens what raft_store_create() made; the machine, which is empty, becomes what was committed as
 * far as the disk knows. *member is NULL unless DONE. Sentences for the user are appended to
 * report. */
enum raft_store_status raft_member_open(const struct raft_member_plan *plan, uint64_t now_ms,
                                        struct raft_member **member, struct buffer *report);
void raft_member_close(struct raft_member *member);

/* ---- events: as those of raft.h ---- */

void raft_member_tick(struct raft_member *member, uint64_t now_ms);
uint64_t raft_member_tick_ms(const struct raft_member *member);
void raft_member_receive(struct raft_member *member, const struct raft_message *message,
                         uint64_t now_ms);
enum raft_answer raft_member_propose(struct raft_member *member, const struct span *contents,
                                     size_t count, struct raft_position *first);
enum raft_answer raft_member_change(struct raft_member *member, const struct raft_change *change,
                                    struct raft_position *position);
enum raft_answer raft_member_transfer(struct raft_member *member, const struct raft_id *target);
enum raft_answer raft_member_read(struct raft_member *member, uint64_t id);

/* ---- state ---- */

/* NULL, or why it is broken: a sentence. */
const char *raft_member_problem(const struct raft_member *member);
const struct raft *raft_member_raft(const struct raft_member *member);
void raft_member_store_figures(const struct raft_member *member,
                               struct raft_store_figures *figures);

#endif
