#include "base/memory.h"
#include "cluster/member_core.h"

#include <errno.h>

#define REOPEN_MS 1000
#define SNAPSHOT_ENTRIES 256
#define SNAPSHOT_BYTES ((uint64_t)1024 * 1024)
#define ENTRIES_KEPT 64

/* ---- the machine of raft_member.h ---- */

/* Whoever it promised not to follow a successor has given its place away itself. That is no news of
 * an epoch in which this process has promised nothing: a start reads old entries again. */
static void release_promise(struct member *member, const struct map *before,
                            const struct member_entry *entry) {
    uint16_t me = member_me(member);
    uint16_t was = map_find(before, member->file.id.bytes);
    if (me == MAP_NOBODY || was == MAP_NOBODY) {
        return;
    }
    uint16_t primary = map_primary_of(before, was);
    uint64_t epoch = before->shards[before->nodes[was].shard].epoch;
    if (member_shard(member)->epoch != epoch && member->promised_epoch == epoch &&
        memcmp(before->nodes[primary].id, entry->asker.bytes, MAP_ID_BYTES) == 0) {
        member->promised_until_ms = 0;
    }
}

static void machine_apply(void *context, const struct raft_committed *committed) {
    struct member *member = context;
    if (committed->kind != RAFT_ENTRY_NORMAL) {
        return;
    }
    struct buffer error = BUFFER_EMPTY;
    struct member_entry entry;
    struct map *before = member->state.map == NULL ? NULL : map_borrow(member->state.map);
    enum member_outcome outcome =
        member_state_apply(&member->state, committed->position.index, committed->bytes, &error);
    buffer_append_byte(&error, '\0');
    if (before != NULL && outcome != MEMBER_SECOND && member_entry_read(committed->bytes, &entry)) {
        release_promise(member, before, &entry);
        member_join_applied(member, &entry, outcome, error.bytes);
    }
    map_return(before);
    buffer_free(&error);
}

static void machine_save(void *context, struct buffer *state) {
    struct member *member = context;
    member_state_write(&member->state, state);
}

static bool machine_restore(void *context, uint64_t index, struct span state) {
    struct member *member = context;
    (void)index;
    return member_state_read(&member->state, state);
}

static void machine_send(void *context, const struct raft_message *message) {
    struct member *member = context;
    const struct member_node *node = member_node_find(member, &message->target);
    if (node == NULL || !node->is_linked) {
        return;
    }
    struct buffer bytes = BUFFER_EMPTY;
    raft_message_write(message, 0, &bytes);
    member_send(member, &message->target,
                &(struct member_message){.kind = MEMBER_RAFT, .bytes = buffer_span(&bytes)});
    buffer_free(&bytes);
}

static void machine_read(void *context, uint64_t id, bool is_confirmed) {
    (void)context;
    (void)id;
    (void)is_confirmed;
}

void member_raft_received(struct member *member, struct span bytes) {
    struct raft_message_entries *entries = memory_alloc(sizeof(*entries));
    struct raft_message message;
    if (member->log != NULL &&
        raft_message_read(&bytes, 0, &message, entries) == RAFT_MESSAGE_DONE) {
        raft_member_receive(member->log, &message, member->now_ms);
    }
    memory_free(entries);
}

/* ---- opening ---- */

static struct raft_store_plan store_plan(const struct member *member) {
    return (struct raft_store_plan){.disk = member->plan.disk,
                                    .self = member->file.id,
                                    .allocate_bytes = member->plan.allocate_bytes};
}

static struct raft_member_plan log_plan(struct member *member) {
    return (struct raft_member_plan){
        .raft = {.seed = member->plan.seed + ++member->opens,
                 .election_ms = member->timing.election_ms,
                 .heartbeat_ms = member->timing.election_ms / 4,
                 .snapshot_entries = SNAPSHOT_ENTRIES,
                 .snapshot_bytes = SNAPSHOT_BYTES,
                 .entries_kept = ENTRIES_KEPT},
        .store = store_plan(member),
        .machine = {.context = member,
                    .apply = machine_apply,
                    .save = machine_save,
                    .restore = machine_restore,
                    .send = machine_send,
                    .read = machine_read},
    };
}

/* A log as the phase wants it, in place of any that is there. */
static enum raft_store_status make_log(struct member *member, struct buffer *report) {
    int status = raft_store_remove(member->plan.disk);
    if (status != 0 && status != -ENOENT) {
        return RAFT_STORE_FAILED;
    }
    struct raft_saved saved = {.term = 0};
    if (member->file.phase == MEMBER_FOUNDS) {
        struct raft_config config = RAFT_CONFIG_EMPTY;
        raft_config_found(&config, &member->file.id);
        raft_found(&saved, &config, buffer_span(&member->file.state));
        raft_config_free(&config);
    }
    struct raft_store_plan plan = store_plan(member);
    enum raft_store_status made = raft_store_create(&plan, &member->file.group, &saved, report);
    raft_saved_free(&saved);
    return made;
}

static enum raft_store_status settle_phase(struct member *member, struct buffer *report) {
    if (member->file.phase == MEMBER_KEEPS) {
        return RAFT_STORE_DONE;
    }
    enum raft_store_status made = make_log(member, report);
    if (made != RAFT_STORE_DONE) {
        return made;
    }
    member->file.phase = MEMBER_KEEPS;
    buffer_clear(&member->file.state);
    int status = member_file_save(member->plan.disk, &member->file);
    if (status != 0) {
        buffer_format(report, "Cannot write " MEMBER_FILE_NAME ": %s.", strerror(-status));
    }
    return status == 0 ? RAFT_STORE_DONE : RAFT_STORE_FAILED;
}

int member_group_enter(struct member *member, struct buffer *report) {
    enum raft_store_status status = settle_phase(member, report);
    if (status == RAFT_STORE_DONE) {
        member_state_free(&member->state);
        struct raft_member_plan plan = log_plan(member);
        status = raft_member_open(&plan, member->now_ms, &member->log, report);
    }
    if (status != RAFT_STORE_DONE) {
        buffer_clear(&member->problem);
        buffer_append_span(&member->problem, buffer_span(report));
        buffer_append_byte(&member->problem, '\0');
        member->reopen_ms = member->now_ms + REOPEN_MS;
    } else {
        buffer_clear(&member->problem);
    }
    return (int)status;
}

void member_group_leave(struct member *member) {
    if (member->log != NULL) {
        raft_member_close(member->log);
        member->log = NULL;
    }
}

/* ---- going over ---- */

void member_group_join(struct member *member, const struct raft_id *group) {
    member_file_free(&member->next);
    member->next = (struct member_file){.phase = MEMBER_JOINS,
                                        .id = member->file.id,
                                        .group = *group,
                                        .starts = member->file.starts};
}

void member_group_found(struct member *member, const struct raft_id *id, struct buffer *state) {
    member_file_free(&member->next);
    member->next = (struct member_file){
        .phase = MEMBER_FOUNDS, .id = *id, .starts = member->file.starts, .state = *state};
    *state = BUFFER_EMPTY;
    struct member_state founding = MEMBER_STATE_EMPTY;
    bool is_read = member_state_read(&founding, buffer_span(&member->next.state));
    ASSERT(is_read);
    memcpy(member->next.group.bytes, founding.map->group, MAP_ID_BYTES);
    member_state_free(&founding);
}

/* The map of a group of one, at index 1, as raft_found() has it. */
static struct map *map_alone(const struct member *member, const struct raft_id *id) {
    struct raft_id group;
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    member->plan.outlet.draw(member->plan.outlet.context, group.bytes, sizeof(group.bytes));
    change->kind = MAP_NODE_ADD;
    memcpy(change->node, id->bytes, MAP_ID_BYTES);
    member->plan.outlet.draw(member->plan.outlet.context, change->peer, MAP_ID_BYTES);
    change->facts = member->facts;
    struct buffer entry = BUFFER_EMPTY;
    struct buffer report = BUFFER_EMPTY;
    map_change_write(change, &entry);
    struct map *empty = map_new(group.bytes);
    struct map *map = map_change_apply(empty, 1, buffer_span(&entry), &report);
    ASSERT(map != NULL);
    memcpy(map->shards[0].granted, member->start.bytes, MAP_ID_BYTES);
    map->shards[0].quorum = member->plan.quorum == 0 ? 1 : member->plan.quorum;
    map_return(empty);
    buffer_free(&entry);
    buffer_free(&report);
    memory_free(change);
    return map;
}

void member_group_found_alone(struct member *member, bool is_new_id) {
    struct raft_id id = member->file.id;
    if (is_new_id) {
        member->plan.outlet.draw(member->plan.outlet.context, id.bytes, sizeof(id.bytes));
    }
    /* Should it come back to the group that it leaves, whose log says what it was there: it is not
     * any more. */
    member->plan.outlet.draw(member->plan.outlet.context, member->start.bytes, RAFT_ID_BYTES);
    struct member_state state = MEMBER_STATE_EMPTY;
    struct buffer bytes = BUFFER_EMPTY;
    state.map = map_alone(member, &id);
    member_state_write(&state, &bytes);
    member_state_free(&state);
    member_group_found(member, &id, &bytes);
    buffer_free(&bytes);
}

/* Nothing that was said in the old group counts in the new one, but a promise, which is to a
 * node. */
static void forget_group(struct member *member) {
    for (size_t i = 0; i < member->node_count; i++) {
        struct member_node *node = &member->nodes[i];
        node->is_heard = false;
        node->known_ms = 0;
        node->pulse = (struct member_pulse){.flags = 0};
        node->missing_epoch = 0;
        node->proposed_ms = 0;
        node->census_ms = 0;
    }
    member_self(member)->id = member->file.id;
    member_sync_forget(member);
    member->epoch = 0;
    member->refused_epoch = 0;
    member->was_in_map = false;
    member->ask_count = 0;
    member->is_ending_merge = false;
    member->leads_since_ms = 0;
    member_proposals_restart(member);
}

static void go_over(struct member *member) {
    char text[MAP_ID_TEXT_BYTES];
    member->next.promise_ms = member->file.promise_ms;
    int status = member_file_save(member->plan.disk, &member->next);
    if (status != 0) {
        member_say(member, MEMBER_WARNING, "Cannot write " MEMBER_FILE_NAME ": %s.",
                   strerror(-status));
        member->reopen_ms = member->now_ms + REOPEN_MS;
        return;
    }
    member_group_leave(member);
    member->has_gone_over = member->next.phase == MEMBER_JOINS;
    member_say(member, MEMBER_NOTICE, "This node %s the group %s.",
               member->next.phase == MEMBER_JOINS ? "joins" : "founds",
               map_id_format(text, member->next.group.bytes));
    member_file_free(&member->file);
    member->file = member->next;
    member->next = MEMBER_FILE_EMPTY;
    forget_group(member);
    struct buffer report = BUFFER_EMPTY;
    if (member_group_enter(member, &report) != RAFT_STORE_DONE) {
        member_say(member, MEMBER_WARNING, "%.*s", (int)report.length, report.bytes);
    }
    buffer_free(&report);
    for (size_t i = 1; i < member->node_count; i++) {
        if (member->nodes[i].is_linked) {
            member_hello_send(member, &member->nodes[i]);
        }
    }
}

/* What a leader before it decided may be in the log only, and not in the map yet: who leads
 * decides once both are one. */
static bool decides(const struct member *member) {
    struct raft_status status = {.is_current = false};
    if (member->log != NULL) {
        raft_status_read(raft_member_raft(member->log), &status);
    }
    return status.is_current && member->state.map != NULL;
}

bool member_group_settle(struct member *member) {
    if (member->next.phase != 0 && member->now_ms >= member->reopen_ms) {
        go_over(member);
        return true;
    }
    const char *problem = member->log == NULL ? NULL : raft_member_problem(member->log);
    if (problem != NULL) {
        member_say(member, MEMBER_WARNING, "%s It is tried again.", problem);
        buffer_clear(&member->problem);
        buffer_append_string(&member->problem, problem);
        buffer_append_byte(&member->problem, '\0');
        member_group_leave(member);
        member->reopen_ms = member->now_ms + REOPEN_MS;
    }
    if (decides(member) != (member->leads_since_ms != 0)) {
        member->leads_since_ms = member->leads_since_ms == 0 ? member->now_ms : 0;
    }
    return false;
}

void member_group_tick(struct member *member) {
    if (member->log != NULL) {
        raft_member_tick(member->log, member->now_ms);
    } else if (member->now_ms >= member->reopen_ms) {
        struct buffer report = BUFFER_EMPTY;
        member_group_enter(member, &report);
        buffer_free(&report);
    }
}

bool member_leads(const struct member *member) {
    struct raft_status status = {.role = RAFT_FOLLOWER};
    if (member->log != NULL) {
        raft_status_read(raft_member_raft(member->log), &status);
    }
    return status.role == RAFT_LEADER && member->state.map != NULL;
}

struct raft_id member_leader(const struct member *member) {
    struct raft_status status = {.leader = RAFT_ID_NONE};
    if (member->log != NULL) {
        raft_status_read(raft_member_raft(member->log), &status);
    }
    return status.leader;
}
