/* A configuration: who belongs to the group, and who of them votes.
 *
 * It changes by entries of the log, each of which holds a whole configuration and differs from the
 * one before it in one member; so any majority of the one and any of the other share a voter. A
 * node uses the last one in its log, committed or not, and the one before it again when that entry
 * is truncated.
 *
 *   (nobody) --add--> learner --promote--> voter
 *                     learner <--demote--- voter      both --remove--> (nobody)
 *
 * Bytes, in an entry and in a snapshot; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       2     members, up to RAFT_MEMBERS_MAX
 *   2       21    each member: id 20, role 1 (0: learner, 1: voter); ids ascend
 *
 * Lifecycle: RAFT_CONFIG_EMPTY, then the functions, then raft_config_free(). One owner, one thread.
 */
#ifndef TARN_CLUSTER_RAFT_CONFIG_H
#define TARN_CLUSTER_RAFT_CONFIG_H

#include "base/buffer.h"
#include "cluster/raft_id.h"

#define RAFT_MEMBERS_MAX 1024
#define RAFT_VOTERS_MAX 7

struct raft_config_member {
    struct raft_id id;
    bool is_voter;
};

struct raft_config {
    struct raft_config_member *members; /* by id */
    size_t count;
};

#define RAFT_CONFIG_EMPTY ((struct raft_config){.members = NULL, .count = 0})

enum raft_change_kind {
    RAFT_CHANGE_ADD, /* as a learner */
    RAFT_CHANGE_PROMOTE,
    RAFT_CHANGE_DEMOTE,
    RAFT_CHANGE_REMOVE,
};

struct raft_change {
    enum raft_change_kind kind;
    struct raft_id id;
};

void raft_config_free(struct raft_config *config);
/* The target's members are let go first. */
void raft_config_copy(struct raft_config *target, const struct raft_config *source);

bool raft_config_has(const struct raft_config *config, const struct raft_id *id);
bool raft_config_has_voter(const struct raft_config *config, const struct raft_id *id);
size_t raft_config_voters(const struct raft_config *config);
/* Voters of which any two sets of that size share one. */
size_t raft_config_majority(const struct raft_config *config);

/* False: it makes no sense (adding who is there, promoting who does not learn, removing the last
 * voter ...) or would pass a limit; nothing has changed. */
bool raft_config_change(struct raft_config *config, const struct raft_change *change);
/* One voter, who founds a group. */
void raft_config_found(struct raft_config *config, const struct raft_id *voter);

void raft_config_write(const struct raft_config *config, struct buffer *out);
/* Takes one off the front of the bytes, in place of what config held. False: there is none, and
 * config is unchanged. */
bool raft_config_read(struct raft_config *config, struct span *bytes);

#endif
