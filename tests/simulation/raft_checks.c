#include "tests/simulation/raft_checks.h"

#include "base/hash.h"
#include "base/memory.h"

struct checks *checks_new(void) {
    struct checks *checks = memory_alloc_zeroed(sizeof(*checks));
    checks->committed[1] = (struct checked_entry){.term = 1, .committing_term = 1};
    checks->committed_last = 1;
    return checks;
}

void checks_free(struct checks *checks) {
    memory_free(checks);
}

bool checks_that(struct checks *checks, bool fact, const char *sentence) {
    if (!fact && checks->broken == NULL) {
        checks->broken = sentence;
    }
    return fact;
}

/* ---- promises ---- */

void checks_message(struct checks *checks, size_t node, const struct raft_message *message) {
    struct checked_node *checked = &checks->nodes[node];
    bool is_pre = (message->kind == RAFT_VOTE && message->vote.is_pre) ||
                  (message->kind == RAFT_VOTE_ANSWER && message->vote_answer.is_pre &&
                   message->vote_answer.is_granted);
    if (is_pre || !checks_that(checks, message->term < CHECKS_TERM_MAX, "terms do not explode")) {
        return;
    }
    checks_that(checks, message->term >= checked->sent_term, "no term is taken back");
    checked->sent_term = message->term;
    bool is_vote = message->kind == RAFT_VOTE;
    if (is_vote || (message->kind == RAFT_VOTE_ANSWER && message->vote_answer.is_granted)) {
        const struct raft_id *candidate = is_vote ? &message->source : &message->target;
        struct raft_id *vote = &checked->votes[message->term];
        checks_that(checks, raft_id_is_none(vote) || raft_id_equal(vote, candidate),
                    "no node votes twice in a term");
        *vote = *candidate;
    }
}

/* ---- logs ---- */

static uint64_t entry_hash(const struct raft_entry *entry) {
    return XXH3_64bits_withSeed(entry->bytes.bytes, entry->bytes.length,
                                entry->term * 8 + (uint64_t)entry->kind);
}

static struct seen_entry *seen_find(struct checks *checks, uint64_t index, uint64_t term) {
    uint64_t key = index * UINT64_C(0x9e3779b97f4a7c15) + term * UINT64_C(0xc2b2ae3d27d4eb4f);
    for (size_t i = key % CHECKS_SEEN_MAX;; i = (i + 1) % CHECKS_SEEN_MAX) {
        struct seen_entry *seen = &checks->seen[i];
        if (seen->index == 0 || (seen->index == index && seen->term == term)) {
            return seen;
        }
    }
}

/* By induction: the same entry, behind the same place. */
static void log_matching(struct checks *checks, const struct raft_log *log, uint64_t index) {
    const struct raft_entry *entry = raft_log_entry(log, index);
    uint64_t term_before = 0;
    raft_log_term(log, index - 1, &term_before);
    struct seen_entry *seen = seen_find(checks, index, entry->term);
    if (seen->index == 0) {
        ASSERT(++checks->seen_count < CHECKS_SEEN_MAX / 2);
        *seen = (struct seen_entry){.index = index,
                                    .term = entry->term,
                                    .term_before = term_before,
                                    .hash = entry_hash(entry)};
        return;
    }
    checks_that(checks, seen->hash == entry_hash(entry) && seen->term_before == term_before,
                "index and term of an entry tell the log up to it");
}

static size_t difference(const struct raft_config *a, const struct raft_config *b) {
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        bool is_voter = raft_config_has_voter(b, &a->members[i].id);
        count += !raft_config_has(b, &a->members[i].id) || is_voter != a->members[i].is_voter;
    }
    for (size_t i = 0; i < b->count; i++) {
        count += !raft_config_has(a, &b->members[i].id);
    }
    return count;
}

/* Also when what was there has been truncated. */
static void configuration_in_use(struct checks *checks, const struct raft_log *log,
                                 const struct raft_status *status) {
    uint64_t index = raft_log_last_index(log);
    while (index > log->base_index && raft_log_entry(log, index)->kind != RAFT_ENTRY_CONFIG) {
        index--;
    }
    if (index > log->base_index) {
        struct raft_config config = RAFT_CONFIG_EMPTY;
        struct span bytes = raft_log_entry(log, index)->bytes;
        raft_config_read(&config, &bytes);
        checks_that(checks, difference(&config, status->config) == 0,
                    "the last configuration in the log is the one that holds");
        raft_config_free(&config);
        return;
    }
    checks_that(checks, status->config_index <= status->snapshot_index,
                "a configuration that was truncated does not hold");
}

static void configuration_safety(struct checks *checks, const struct raft_log *log,
                                 uint64_t index) {
    uint64_t before = index - 1;
    while (before > log->base_index && raft_log_entry(log, before)->kind != RAFT_ENTRY_CONFIG) {
        before--;
    }
    if (before <= log->base_index) {
        return;
    }
    struct raft_config configs[2] = {RAFT_CONFIG_EMPTY, RAFT_CONFIG_EMPTY};
    struct span bytes = raft_log_entry(log, before)->bytes;
    raft_config_read(&configs[0], &bytes);
    bytes = raft_log_entry(log, index)->bytes;
    raft_config_read(&configs[1], &bytes);
    checks_that(checks, difference(&configs[0], &configs[1]) == 1,
                "a configuration differs from the one before it by one member");
    raft_config_free(&configs[0]);
    raft_config_free(&configs[1]);
}

/* Looks at what is new since the last time: from the end back to where it was the same. */
static void log_check(struct checks *checks, struct checked_node *checked,
                      const struct raft_log *log) {
    uint64_t last = raft_log_last_index(log);
    ASSERT(last < CHECKS_INDEX_MAX);
    for (uint64_t index = last; index > log->base_index; index--) {
        const struct raft_entry *entry = raft_log_entry(log, index);
        if (index <= checked->last && checked->terms[index] == entry->term) {
            break;
        }
        checked->terms[index] = entry->term;
        log_matching(checks, log, index);
        if (entry->kind == RAFT_ENTRY_CONFIG) {
            configuration_safety(checks, log, index);
        }
    }
    checked->last = last;
}

/* ---- leaders ---- */

static void leader_completeness(struct checks *checks, const struct raft *raft, uint64_t term) {
    const struct raft_log *log = raft_log_of(raft);
    for (uint64_t index = log->base_index + 1; index <= checks->committed_last; index++) {
        const struct checked_entry *committed = &checks->committed[index];
        if (committed->committing_term >= term) {
            continue;
        }
        uint64_t here = 0;
        checks_that(checks, raft_log_term(log, index, &here) && here == committed->term,
                    "a leader has all that was committed before its term");
    }
}

void checks_node(struct checks *checks, size_t node, const struct raft *raft) {
    struct raft_status status;
    raft_status_read(raft, &status);
    log_check(checks, &checks->nodes[node], raft_log_of(raft));
    configuration_in_use(checks, raft_log_of(raft), &status);
    if (status.role != RAFT_LEADER || checks->nodes[node].led == status.term ||
        !checks_that(checks, status.term < CHECKS_TERM_MAX, "terms do not explode")) {
        return;
    }
    checks->nodes[node].led = status.term;
    unsigned char *leader = &checks->leaders[status.term];
    checks_that(checks, *leader == 0, "a term has one leader");
    *leader = (unsigned char)(node + 1);
    leader_completeness(checks, raft, status.term);
}

/* ---- machines ---- */

void checks_apply(struct checks *checks, const struct raft_committed *entry, uint64_t node_term,
                  uint64_t *hash) {
    uint64_t index = entry->position.index;
    struct raft_entry there = {
        .term = entry->position.term, .kind = entry->kind, .bytes = entry->bytes};
    *hash = *hash * 31 + entry_hash(&there);
    ASSERT(index < CHECKS_INDEX_MAX);
    struct checked_entry *committed = &checks->committed[index];
    if (index > checks->committed_last) {
        checks_that(checks, index == checks->committed_last + 1, "what is applied has no gaps");
        *committed =
            (struct checked_entry){.term = there.term, .hash = *hash, .committing_term = node_term};
        checks->committed_last = index;
        return;
    }
    checks_that(checks, committed->term == there.term && committed->hash == *hash,
                "what is applied at an index is the same on all nodes, for ever");
}

void checks_restore(struct checks *checks, uint64_t index, uint64_t hash) {
    checks_that(checks, index <= checks->committed_last && checks->committed[index].hash == hash,
                "a snapshot is what its entries have made");
}

/* ---- reads ---- */

void checks_read_asked(struct checks *checks, uint64_t id) {
    checks->reads[id] = checks->committed_last;
}

void checks_read_answered(struct checks *checks, uint64_t id, uint64_t applied) {
    checks_that(checks, applied >= checks->reads[id],
                "a read sees all that had been applied when it was asked for");
}
