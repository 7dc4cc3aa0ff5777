#include "cluster/raft_member.h"

#include "base/memory.h"

struct raft_member {
    struct raft *raft;
    struct raft_store *store;
    struct raft_machine machine;
    struct buffer problem; /* a sentence with its zero, or empty */
};

/* ---- carrying out ---- */

static void problem_set(struct raft_member *member, const char *what, const char *why) {
    buffer_format(&member->problem, "%s: %s.", what, why);
    buffer_append_byte(&member->problem, '\0');
}

static bool is_broken(const struct raft_member *member) {
    return member->problem.length > 0;
}

static void send_all(struct raft_member *member, const struct raft_output *output) {
    for (size_t i = 0; i < output->message_count; i++) {
        member->machine.send(member->machine.context, &output->messages[i]);
    }
}

static bool restore(struct raft_member *member, const struct raft_snapshot *snapshot) {
    bool is_done = member->machine.restore(member->machine.context, snapshot->name.index,
                                           raft_snapshot_state(snapshot));
    if (!is_done) {
        problem_set(member, "The snapshot of the group's state cannot be read",
                    "it was made by a version that is not known here");
    }
    return is_done;
}

static void apply_all(struct raft_member *member, const struct raft_output *output) {
    for (uint64_t index = output->apply_from + 1; index <= output->apply_to; index++) {
        const struct raft_entry *entry = raft_entry(member->raft, index);
        struct raft_committed committed = {.position = {.index = index, .term = entry->term},
                                           .kind = entry->kind,
                                           .bytes = entry->bytes};
        member->machine.apply(member->machine.context, &committed);
    }
}

static void answer_all(struct raft_member *member, const struct raft_output *output) {
    for (size_t i = 0; i < output->read_count; i++) {
        member->machine.read(member->machine.context, output->reads[i].id,
                             output->reads[i].is_confirmed);
    }
}

/* False: the member is broken. */
static bool carry_out(struct raft_member *member, const struct raft_output *output) {
    bool is_commit_new = output->apply_to > output->apply_from;
    if (output->is_sync_needed || is_commit_new) {
        int status = raft_store_save(member->store, output, raft_log_of(member->raft));
        if (status != 0) {
            problem_set(member, "Cannot write " RAFT_STORE_NAME, strerror(-status));
            return false;
        }
    }
    send_all(member, output);
    if (output->restored != NULL && !restore(member, output->restored)) {
        return false;
    }
    apply_all(member, output);
    answer_all(member, output);
    return true;
}

static void snapshot_take(struct raft_member *member) {
    struct buffer state = BUFFER_EMPTY;
    member->machine.save(member->machine.context, &state);
    raft_snapshot_taken(member->raft, buffer_span(&state));
    buffer_free(&state);
}

static void settle(struct raft_member *member) {
    const struct raft_output *output;
    while ((output = raft_output(member->raft)) != NULL) {
        bool is_snapshot_wanted = output->is_snapshot_wanted;
        if (!carry_out(member, output)) {
            return;
        }
        raft_output_done(member->raft);
        if (is_snapshot_wanted && raft_output(member->raft) == NULL) {
            snapshot_take(member);
        }
    }
}

/* ---- lifecycle ---- */

enum raft_store_status raft_member_open(const struct raft_member_plan *plan, uint64_t now_ms,
                                        struct raft_member **member, struct buffer *report) {
    *member = NULL;
    struct raft_store_opened opened;
    enum raft_store_status status = raft_store_open(&plan->store, &opened);
    buffer_append_span(report, buffer_span(&opened.report));
    if (status != RAFT_STORE_DONE) {
        raft_store_opened_free(&opened);
        return status;
    }
    struct raft_member *opening = memory_alloc_zeroed(sizeof(*opening));
    opening->machine = plan->machine;
    opening->store = opened.store;
    opened.store = NULL;
    struct raft_plan raft_plan = plan->raft;
    raft_plan.group = opened.group;
    raft_plan.self = plan->store.self;
    if (opened.saved.snapshot == NULL || restore(opening, opened.saved.snapshot)) {
        opening->raft = raft_new(&raft_plan, &opened.saved, now_ms);
        settle(opening);
    }
    raft_store_opened_free(&opened);
    if (is_broken(opening)) {
        buffer_append_string(report, opening->problem.bytes);
        raft_member_close(opening);
        return RAFT_STORE_FAILED;
    }
    *member = opening;
    return RAFT_STORE_DONE;
}

void raft_member_close(struct raft_member *member) {
    if (member->raft != NULL) {
        raft_free(member->raft);
    }
    raft_store_close(member->store);
    buffer_free(&member->problem);
    memory_free(member);
}

/* ---- events ---- */

void raft_member_tick(struct raft_member *member, uint64_t now_ms) {
    if (!is_broken(member)) {
        raft_tick(member->raft, now_ms);
        settle(member);
    }
}

uint64_t raft_member_tick_ms(const struct raft_member *member) {
    return raft_tick_ms(member->raft);
}

void raft_member_receive(struct raft_member *member, const struct raft_message *message,
                         uint64_t now_ms) {
    if (!is_broken(member)) {
        raft_receive(member->raft, message, now_ms);
        settle(member);
    }
}

enum raft_answer raft_member_propose(struct raft_member *member, const struct span *contents,
                                     size_t count, struct raft_position *first) {
    if (is_broken(member)) {
        return RAFT_NOT_LEADER;
    }
    enum raft_answer answer = raft_propose(member->raft, contents, count, first);
    settle(member);
    return answer;
}

enum raft_answer raft_member_change(struct raft_member *member, const struct raft_change *change,
                                    struct raft_position *position) {
    if (is_broken(member)) {
        return RAFT_NOT_LEADER;
    }
    enum raft_answer answer = raft_change(member->raft, change, position);
    settle(member);
    return answer;
}

enum raft_answer raft_member_transfer(struct raft_member *member, const struct raft_id *target) {
    if (is_broken(member)) {
        return RAFT_NOT_LEADER;
    }
    enum raft_answer answer = raft_transfer(member->raft, target);
    settle(member);
    return answer;
}

enum raft_answer raft_member_read(struct raft_member *member, uint64_t id) {
    if (is_broken(member)) {
        return RAFT_NOT_LEADER;
    }
    enum raft_answer answer = raft_read(member->raft, id);
    settle(member);
    return answer;
}

/* ---- state ---- */

const char *raft_member_problem(const struct raft_member *member) {
    return is_broken(member) ? member->problem.bytes : NULL;
}

const struct raft *raft_member_raft(const struct raft_member *member) {
    return member->raft;
}

void raft_member_store_figures(const struct raft_member *member,
                               struct raft_store_figures *figures) {
    raft_store_figures_read(member->store, figures);
}
