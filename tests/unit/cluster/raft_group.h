/* A few nodes of a consensus group for unit tests: the pure steps, with messages that stay where
 * they are until the test lets them through. What would be on a disk is a copy of what each output
 * said.
 *
 *     struct group *group = group_new(3);
 *     group_elect(group, 0);
 *     group_propose(group, 0, "x");
 *     group_settle(group);         everything that is sent arrives, again and again
 *     group_free(group);
 *
 * group_isolate() drops what a node sends and what is sent to it from then on.
 */
#ifndef TARN_TESTS_UNIT_CLUSTER_RAFT_GROUP_H
#define TARN_TESTS_UNIT_CLUSTER_RAFT_GROUP_H

#include "base/memory.h"
#include "cluster/raft.h"

#include "tests/unit/unit.h"

#define GROUP_NODES_MAX 9
#define GROUP_ELECTION_MS 100
#define GROUP_HEARTBEAT_MS 10
#define GROUP_LINK_SEED 3
#define GROUP_MAIL_MAX 4096

struct group_node {
    struct raft *raft;
    struct raft_saved saved; /* on its disk */
    bool is_isolated;
    uint64_t applied;  /* index */
    uint64_t restored; /* index of the last snapshot that it took over, 0: none */
    char last[64];     /* content of the last entry that it applied */
    uint64_t reads;    /* confirmed */
    uint64_t reads_failed;
    uint64_t snapshot_wishes;
};

struct group {
    struct group_node nodes[GROUP_NODES_MAX];
    size_t count;
    uint64_t now_ms;
    struct buffer mail[GROUP_MAIL_MAX]; /* as bytes, in order */
    size_t mail_first;
    size_t mail_count;
    uint64_t snapshot_entries;
};

static inline struct raft_id group_id(size_t node) {
    return (struct raft_id){.bytes = {(unsigned char)(node + 1)}};
}

static inline struct raft_plan group_plan(const struct group *group, size_t node) {
    return (struct raft_plan){
        .group = {.bytes = "group"},
        .self = group_id(node),
        .seed = node + 17 + group->now_ms,
        .election_ms = GROUP_ELECTION_MS,
        .heartbeat_ms = GROUP_HEARTBEAT_MS,
        .snapshot_entries = group->snapshot_entries,
        .snapshot_bytes = 1 << 20,
        .entries_kept = 2,
        .piece_bytes = 20,
    };
}

/* ---- what a node puts out ---- */

static inline void group_persist(struct group_node *node, const struct raft_output *output) {
    struct raft_saved *saved = &node->saved;
    const struct raft_log *log = raft_log_of(node->raft);
    saved->term = output->term;
    saved->vote = output->vote;
    saved->commit = output->commit;
    uint64_t from = output->entries_from;
    if (output->snapshot != NULL) {
        raft_snapshot_release(saved->snapshot);
        saved->snapshot = raft_snapshot_hold(output->snapshot);
        raft_log_reset(&saved->log, log->base_index, log->base_term);
        from = log->base_index + 1;
    }
    if (from != 0) {
        raft_log_truncate(&saved->log, from);
        for (uint64_t index = from; index <= raft_log_last_index(log); index++) {
            raft_log_append(&saved->log, raft_log_entry(log, index));
        }
    }
}

static inline void group_send(struct group *group, const struct raft_message *message) {
    ck_assert_uint_lt(group->mail_count, GROUP_MAIL_MAX);
    raft_message_write(message, GROUP_LINK_SEED, &group->mail[group->mail_count++]);
}

static inline void group_apply(struct group_node *node, const struct raft_output *output) {
    if (output->restored != NULL) {
        node->restored = output->restored->name.index;
    }
    for (uint64_t index = output->apply_from + 1; index <= output->apply_to; index++) {
        const struct raft_entry *entry = raft_entry(node->raft, index);
        if (entry->kind == RAFT_ENTRY_NORMAL) {
            size_t length = entry->bytes.length < 63 ? entry->bytes.length : 63;
            memcpy(node->last, entry->bytes.bytes, length);
            node->last[length] = '\0';
        }
    }
    node->applied = output->apply_to;
    for (size_t i = 0; i < output->read_count; i++) {
        node->reads += output->reads[i].is_confirmed;
        node->reads_failed += !output->reads[i].is_confirmed;
    }
}

static inline void group_carry_out(struct group *group, size_t number) {
    struct group_node *node = &group->nodes[number];
    const struct raft_output *output;
    while ((output = raft_output(node->raft)) != NULL) {
        group_persist(node, output);
        for (size_t i = 0; i < output->message_count && !node->is_isolated; i++) {
            group_send(group, &output->messages[i]);
        }
        group_apply(node, output);
        bool is_snapshot_wanted = output->is_snapshot_wanted;
        raft_output_done(node->raft);
        if (is_snapshot_wanted && raft_output(node->raft) == NULL) {
            node->snapshot_wishes++;
            raft_snapshot_taken(node->raft, span_of_string("state of sixty bytes or so, to be sent"
                                                           " in several pieces"));
        }
    }
}

/* ---- lifecycle ---- */

static inline void group_start(struct group *group, size_t number) {
    struct group_node *node = &group->nodes[number];
    struct raft_saved saved = {
        .term = node->saved.term, .vote = node->saved.vote, .commit = node->saved.commit};
    if (node->saved.snapshot != NULL) {
        saved.snapshot = raft_snapshot_hold(node->saved.snapshot);
    }
    raft_log_reset(&saved.log, node->saved.log.base_index, node->saved.log.base_term);
    for (size_t i = 0; i < node->saved.log.count; i++) {
        raft_log_append(&saved.log, &node->saved.log.entries[i]);
    }
    struct raft_plan plan = group_plan(group, number);
    node->raft = raft_new(&plan, &saved, group->now_ms);
    group_carry_out(group, number);
}

static inline void group_restart(struct group *group, size_t number) {
    raft_free(group->nodes[number].raft);
    group_start(group, number);
}

/* Nodes beyond the voters are in no configuration. */
static inline struct group *group_new_with(size_t voters, size_t others,
                                           uint64_t snapshot_entries) {
    struct group *group = memory_alloc_zeroed(sizeof(*group));
    group->count = voters + others;
    group->now_ms = 1000;
    group->snapshot_entries = snapshot_entries;
    struct raft_id first = group_id(0);
    struct raft_config config = RAFT_CONFIG_EMPTY;
    raft_config_found(&config, &first);
    for (size_t i = 1; i < voters; i++) {
        raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_ADD, group_id(i)});
        raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_PROMOTE, group_id(i)});
    }
    for (size_t i = 0; i < group->count; i++) {
        if (i < voters) {
            raft_found(&group->nodes[i].saved, &config, span_of_string("first"));
        }
        group_start(group, i);
    }
    raft_config_free(&config);
    return group;
}

static inline struct group *group_new(size_t voters) {
    return group_new_with(voters, 0, 1000);
}

static inline void group_free(struct group *group) {
    for (size_t i = 0; i < group->count; i++) {
        raft_free(group->nodes[i].raft);
        raft_saved_free(&group->nodes[i].saved);
    }
    for (size_t i = 0; i < GROUP_MAIL_MAX; i++) {
        buffer_free(&group->mail[i]);
    }
    memory_free(group);
}

/* ---- messages ---- */

static inline void group_read_mail(const struct group *group, size_t at,
                                   struct raft_message *message,
                                   struct raft_message_entries *entries) {
    struct span bytes = buffer_span(&group->mail[at]);
    ck_assert_int_eq(raft_message_read(&bytes, GROUP_LINK_SEED, message, entries),
                     RAFT_MESSAGE_DONE);
}

static inline void group_deliver_at(struct group *group, size_t at) {
    struct raft_message message;
    struct raft_message_entries entries;
    group_read_mail(group, at, &message, &entries);
    size_t target = (size_t)message.target.bytes[0] - 1;
    size_t source = (size_t)message.source.bytes[0] - 1;
    if (!group->nodes[target].is_isolated && !group->nodes[source].is_isolated) {
        raft_receive(group->nodes[target].raft, &message, group->now_ms);
        group_carry_out(group, target);
    }
}

static inline void group_mail_clear(struct group *group) {
    for (size_t i = 0; i < group->mail_count; i++) {
        buffer_clear(&group->mail[i]);
    }
    group->mail_first = 0;
    group->mail_count = 0;
}

/* Everything that is under way arrives, and what that brings about, until nothing is. */
static inline void group_settle(struct group *group) {
    while (group->mail_first < group->mail_count) {
        group_deliver_at(group, group->mail_first++);
    }
    group_mail_clear(group);
}

/* A message that the test makes up. */
static inline void group_receive(struct group *group, size_t target,
                                 const struct raft_message *message) {
    raft_receive(group->nodes[target].raft, message, group->now_ms);
    group_carry_out(group, target);
}

static inline struct raft_message group_message(enum raft_message_kind kind, size_t source,
                                                size_t target, uint64_t term) {
    return (struct raft_message){.kind = kind,
                                 .group = {.bytes = "group"},
                                 .source = group_id(source),
                                 .target = group_id(target),
                                 .term = term};
}

/* The last message of this kind that is under way from there; false: there is none. */
static inline bool group_sent(const struct group *group, size_t source, enum raft_message_kind kind,
                              struct raft_message *message) {
    bool is_found = false;
    for (size_t i = group->mail_first; i < group->mail_count; i++) {
        struct raft_message one;
        struct raft_message_entries entries;
        group_read_mail(group, i, &one, &entries);
        struct raft_id id = group_id(source);
        if (one.kind == kind && raft_id_equal(&one.source, &id)) {
            *message = one;
            is_found = true;
        }
    }
    return is_found;
}

/* ---- what a test does ---- */

static inline struct raft_status group_status(const struct group *group, size_t node) {
    struct raft_status status;
    raft_status_read(group->nodes[node].raft, &status);
    return status;
}

static inline bool group_leads(const struct group *group, size_t node) {
    return group_status(group, node).role == RAFT_LEADER;
}

static inline bool group_follows(const struct group *group, size_t node, size_t leader) {
    struct raft_status status = group_status(group, node);
    struct raft_id id = group_id(leader);
    return raft_id_equal(&status.leader, &id);
}

static inline void group_tick(struct group *group, size_t node, uint64_t passed_ms) {
    group->now_ms += passed_ms;
    raft_tick(group->nodes[node].raft, group->now_ms);
    group_carry_out(group, node);
}

/* Time in which all nodes live, and all messages arrive. */
static inline void group_pass(struct group *group, uint64_t passed_ms) {
    for (uint64_t until = group->now_ms + passed_ms; group->now_ms < until;) {
        group->now_ms += GROUP_HEARTBEAT_MS;
        for (size_t i = 0; i < group->count; i++) {
            raft_tick(group->nodes[i].raft, group->now_ms);
            group_carry_out(group, i);
        }
        group_settle(group);
    }
}

/* The node stands for election now; its messages stay where they are. */
static inline void group_campaign(struct group *group, size_t node) {
    group->now_ms += 2 * GROUP_ELECTION_MS;
    group_tick(group, node, 0);
}

static inline void group_elect(struct group *group, size_t node) {
    group_campaign(group, node);
    group_settle(group);
    ck_assert(group_leads(group, node));
}

static inline struct raft_position group_propose(struct group *group, size_t node,
                                                 const char *content) {
    struct span span = span_of_string(content);
    struct raft_position position = {.index = 0};
    ck_assert_int_eq(raft_propose(group->nodes[node].raft, &span, 1, &position), RAFT_ACCEPTED);
    group_carry_out(group, node);
    return position;
}

static inline enum raft_answer group_change(struct group *group, size_t node,
                                            enum raft_change_kind kind, size_t member) {
    struct raft_position position;
    struct raft_change change = {.kind = kind, .id = group_id(member)};
    enum raft_answer answer = raft_change(group->nodes[node].raft, &change, &position);
    group_carry_out(group, node);
    return answer;
}

static inline enum raft_answer group_transfer(struct group *group, size_t node, size_t target) {
    struct raft_id id = group_id(target);
    enum raft_answer answer = raft_transfer(group->nodes[node].raft, &id);
    group_carry_out(group, node);
    return answer;
}

static inline enum raft_answer group_read(struct group *group, size_t node, uint64_t id) {
    enum raft_answer answer = raft_read(group->nodes[node].raft, id);
    group_carry_out(group, node);
    return answer;
}

static inline bool group_has_voter(const struct group *group, size_t node, size_t member) {
    struct raft_id id = group_id(member);
    return raft_config_has_voter(group_status(group, node).config, &id);
}

#endif
