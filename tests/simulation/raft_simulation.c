/* A consensus group of one to nine nodes, each with the production code from the message to the
 * disk (cluster/raft_member.h), in one process and from one seed: clocks that drift, a network that
 * loses, delays, reorders, repeats and cuts one way, nodes that pause, stop, and crash at any write
 * of a disk that then forgets and tears what was not synced. Meanwhile entries are proposed, reads
 * are asked for, members come, go, and change roles, and leadership is handed over.
 *
 *   - raft_checks.h says what holds all the time;
 *   - when the faults stop, a leader is found, what is proposed is committed, and all members hold
 *     it.
 *
 * raft_simulation [--seed N] [--seeds COUNT]: seeds N to N + COUNT - 1. Prints the seed that failed
 * and how to repeat it. The last line is one that tests/run-programs adds up.
 */
#include "base/assertion.h"
#include "base/bytes.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/raft_checks.h"
#include "tests/simulation/raft_network.h"
#include "tests/simulation/seeds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT (1500 / SEEDS_PART)
#define NODES_MAX 9
#define TURN_MS 5 /* time goes on in such steps */
#define FAULTY_MS_MAX 2000
#define CALM_MS_MAX 20000
#define ELECTION_MS 50
#define HEARTBEAT_MS 15
#define AWAY_MS_MAX (4 * ELECTION_MS) /* for which a node pauses or is down */
#define LINK_SEED 7
#define CONTENT_BYTES_MAX 300
#define STATE_BYTES 16 /* of the machine; what is saved may have more behind it */

struct node {
    struct world *world;
    size_t number;
    struct raft_id id;
    struct simulated_disk *simulated;
    struct disk disk;
    struct raft_member *member; /* NULL: it is down */
    uint64_t starts;
    uint64_t clock_rate; /* thousandths of true time */
    uint64_t clock_base;
    uint64_t paused_until;
    uint64_t down_until;
    bool is_doomed;   /* it crashes in its next turn, and is back at once */
    uint64_t applied; /* the machine */
    uint64_t hash;
};

struct world {
    uint64_t seed;
    struct random random;
    uint64_t now_ms;
    uint64_t faults; /* of 1000 turns, how many bring one */
    struct node nodes[NODES_MAX];
    size_t count;
    size_t voters;
    size_t piece_bytes;
    bool is_restless; /* members change all the time */
    struct network network;
    struct checks *checks;
    uint64_t reads;
    struct figures *figures;
};

struct figures {
    uint64_t committed;
    uint64_t messages;
    uint64_t leaders;
    uint64_t crashes;
    uint64_t installed;
    uint64_t changes;
    uint64_t reads;
};

static uint64_t below(struct world *world, uint64_t bound) {
    return random_below(&world->random, bound);
}

static struct node *any_node(struct world *world) {
    return &world->nodes[below(world, world->count)];
}

static bool is_leading(const struct node *node) {
    struct raft_status status = {.role = RAFT_FOLLOWER};
    if (node->member != NULL) {
        raft_status_read(raft_member_raft(node->member), &status);
    }
    return status.role == RAFT_LEADER;
}

/* One that takes itself for the leader, or any: most happens to leaders. */
static struct node *any_leader(struct world *world) {
    size_t from = below(world, world->count);
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[(from + i) % world->count];
        if (is_leading(node)) {
            return node;
        }
    }
    return &world->nodes[from];
}

static uint64_t clock_of(const struct node *node) {
    return node->clock_base + node->world->now_ms * node->clock_rate / 1000;
}

/* ---- the machine: how many entries it was given, and a hash of them ---- */

static void machine_apply(void *context, const struct raft_committed *entry) {
    struct node *node = context;
    struct checks *checks = node->world->checks;
    struct raft_status status = {.term = 0};
    if (node->member != NULL) {
        raft_status_read(raft_member_raft(node->member), &status);
    } else {
        status.term = UINT64_MAX; /* it starts: others have applied this */
    }
    checks_that(checks, entry->position.index == node->applied + 1,
                "each entry is applied once, in order");
    node->applied = entry->position.index;
    checks_apply(checks, entry, status.term, &node->hash);
}

static void machine_save(void *context, struct buffer *state) {
    struct node *node = context;
    char bytes[STATE_BYTES];
    bytes_store_u64(bytes, node->applied);
    bytes_store_u64(bytes + 8, node->hash);
    buffer_append(state, bytes, sizeof(bytes));
    for (uint64_t more = below(node->world, 500); more > 0; more--) {
        buffer_append_byte(state, (char)more);
    }
}

static bool machine_restore(void *context, uint64_t index, struct span state) {
    struct node *node = context;
    if (!checks_that(node->world->checks, state.length >= STATE_BYTES, "a state is whole")) {
        return false;
    }
    node->applied = bytes_load_u64(state.bytes);
    node->hash = bytes_load_u64(state.bytes + 8);
    checks_that(node->world->checks, node->applied == index, "a snapshot is of its index");
    checks_restore(node->world->checks, index, node->hash);
    node->world->figures->installed += node->member != NULL;
    return true;
}

static void machine_send(void *context, const struct raft_message *message) {
    struct node *node = context;
    struct world *world = node->world;
    checks_message(world->checks, node->number, message);
    struct buffer bytes = BUFFER_EMPTY;
    raft_message_write(message, LINK_SEED, &bytes);
    /* What it has just promised is what it may forget. */
    bool is_promise = message->kind == RAFT_VOTE_ANSWER && !message->vote_answer.is_pre;
    node->is_doomed = node->is_doomed || (is_promise && below(world, 1000) < 4 * world->faults);
    size_t target = message->target.bytes[0];
    network_send(&world->network, node->number, target, buffer_span(&bytes), world->now_ms);
    buffer_free(&bytes);
}

static void machine_read(void *context, uint64_t id, bool is_confirmed) {
    struct node *node = context;
    if (is_confirmed) {
        checks_read_answered(node->world->checks, id, node->applied);
        node->world->figures->reads++;
    }
}

/* ---- nodes ---- */

static struct raft_store_plan store_plan(const struct node *node) {
    return (struct raft_store_plan){.disk = &node->disk, .self = node->id, .allocate_bytes = 4096};
}

static struct raft_member_plan member_plan(struct node *node) {
    return (struct raft_member_plan){
        .raft = {.seed = node->world->seed * 1000 + node->number * 100 + node->starts,
                 .election_ms = ELECTION_MS,
                 .heartbeat_ms = HEARTBEAT_MS,
                 .snapshot_entries = 15,
                 .snapshot_bytes = 4000,
                 .entries_kept = 6,
                 .piece_bytes = node->world->piece_bytes},
        .store = store_plan(node),
        .machine = {.context = node,
                    .apply = machine_apply,
                    .save = machine_save,
                    .restore = machine_restore,
                    .send = machine_send,
                    .read = machine_read},
    };
}

static struct raft_id group_id(void) {
    return (struct raft_id){.bytes = "group"};
}

/* The first voters found the group; the others have no part in it yet. */
static void node_make(struct world *world, size_t number) {
    struct node *node = &world->nodes[number];
    node->world = world;
    node->number = number;
    node->id = (struct raft_id){.bytes = {(unsigned char)number, 'n'}};
    node->clock_rate = 900 + below(world, 201);
    node->clock_base = below(world, 1000000);
    node->simulated = simulated_disk_new(world->seed * 16 + number);
    node->disk = simulated_disk_interface(node->simulated);
    struct raft_saved saved = {.term = 0};
    if (number < world->voters) {
        struct raft_config config = RAFT_CONFIG_EMPTY;
        raft_config_found(&config, &(struct raft_id){.bytes = {0, 'n'}});
        for (size_t i = 1; i < world->voters; i++) {
            struct raft_id id = {.bytes = {(unsigned char)i, 'n'}};
            raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_ADD, id});
            raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_PROMOTE, id});
        }
        char empty[STATE_BYTES] = {1};
        raft_found(&saved, &config, span_of(empty, sizeof(empty)));
        raft_config_free(&config);
    }
    struct raft_store_plan plan = store_plan(node);
    struct raft_id group = group_id();
    struct buffer report = BUFFER_EMPTY;
    enum raft_store_status status = raft_store_create(&plan, &group, &saved, &report);
    checks_that(world->checks, status == RAFT_STORE_DONE, "a file is made on a working disk");
    buffer_free(&report);
    raft_saved_free(&saved);
}

static void node_check(struct node *node) {
    if (node->member != NULL && raft_member_problem(node->member) == NULL) {
        checks_node(node->world->checks, node->number, raft_member_raft(node->member));
    }
}

static void node_start(struct node *node) {
    struct world *world = node->world;
    node->starts++;
    node->applied = 0;
    node->hash = 0;
    struct raft_member_plan plan = member_plan(node);
    struct buffer report = BUFFER_EMPTY;
    enum raft_store_status status = raft_member_open(&plan, clock_of(node), &node->member, &report);
    buffer_append_byte(&report, '\0');
    if (status != RAFT_STORE_DONE && !checks_that(world->checks, status == RAFT_STORE_FAILED,
                                                  "no damage is found where there is none")) {
        printf("  %s\n", report.bytes);
    }
    buffer_free(&report);
    node_check(node);
}

/* The process ends, or power is lost: then the disk forgets. */
static void node_stop(struct node *node, bool is_power_lost) {
    if (node->member != NULL) {
        simulated_disk_stop(node->simulated);
        raft_member_close(node->member);
        simulated_disk_start(node->simulated);
        node->member = NULL;
    }
    simulated_disk_heal(node->simulated);
    if (is_power_lost) {
        simulated_disk_lose_power(node->simulated);
    }
    node->world->figures->crashes++;
}

static void node_crash(struct node *node) {
    struct world *world = node->world;
    node_stop(node, below(world, 2) == 0);
    node->down_until = world->now_ms + below(world, 2) * below(world, AWAY_MS_MAX);
}

/* ---- time ---- */

static bool is_running(const struct node *node) {
    return node->member != NULL && node->paused_until <= node->world->now_ms;
}

static void node_turn(struct node *node) {
    struct world *world = node->world;
    if (node->member == NULL && node->down_until <= world->now_ms) {
        node_start(node);
    }
    if (node->member != NULL && raft_member_problem(node->member) != NULL) {
        node_crash(node);
    }
    if (node->member != NULL && node->is_doomed) {
        node_stop(node, below(world, 2) == 0);
        node_start(node);
    }
    node->is_doomed = false;
    if (is_running(node) && clock_of(node) >= raft_member_tick_ms(node->member)) {
        raft_member_tick(node->member, clock_of(node));
        node_check(node);
    }
}

static void packet_receive(struct world *world, const struct packet *packet) {
    struct node *node = &world->nodes[packet->target];
    struct span bytes = span_of(packet->bytes, packet->length);
    struct raft_message message;
    struct raft_message_entries entries;
    enum raft_message_status status = raft_message_read(&bytes, LINK_SEED, &message, &entries);
    if (checks_that(world->checks, status == RAFT_MESSAGE_DONE && bytes.length == 0,
                    "a message is read as it was written")) {
        raft_member_receive(node->member, &message, clock_of(node));
        node_check(node);
    }
}

static void packets_deliver(struct world *world) {
    struct packet packet;
    while (network_take(&world->network, world->now_ms, &packet)) {
        struct node *node = &world->nodes[packet.target];
        if (node->paused_until > world->now_ms) {
            network_put_back(&world->network, &packet, node->paused_until);
            continue;
        }
        if (node->member != NULL) {
            packet_receive(world, &packet);
        }
        memory_free(packet.bytes);
    }
}

/* ---- what is asked of the group ---- */

static struct node *leader_find(struct world *world) {
    struct node *leader = NULL;
    uint64_t term = 0;
    for (size_t i = 0; i < world->count; i++) {
        struct raft_status status;
        if (!is_running(&world->nodes[i])) {
            continue;
        }
        raft_status_read(raft_member_raft(world->nodes[i].member), &status);
        if (status.role == RAFT_LEADER && status.term >= term) {
            leader = &world->nodes[i];
            term = status.term;
        }
    }
    return leader;
}

static void propose(struct world *world, struct node *node) {
    char content[CONTENT_BYTES_MAX];
    size_t length = below(world, below(world, 10) == 0 ? CONTENT_BYTES_MAX : 20);
    for (size_t i = 0; i < length; i++) {
        content[i] = (char)random_next(&world->random);
    }
    struct span contents[3];
    size_t count = 1 + below(world, 3);
    for (size_t i = 0; i < count; i++) {
        contents[i] = span_of(content, length / (i + 1));
    }
    struct raft_position first;
    raft_member_propose(node->member, contents, count, &first);
    node_check(node);
}

/* One that makes sense, as far as the node knows. */
static struct raft_change change_choose(struct world *world, const struct node *node) {
    struct raft_status status;
    raft_status_read(raft_member_raft(node->member), &status);
    struct raft_change change = {.kind = RAFT_CHANGE_ADD, .id = any_node(world)->id};
    bool is_voter = raft_config_has_voter(status.config, &change.id);
    if (raft_config_has(status.config, &change.id)) {
        change.kind = is_voter ? RAFT_CHANGE_DEMOTE : RAFT_CHANGE_PROMOTE;
        change.kind = below(world, 3) == 0 ? RAFT_CHANGE_REMOVE : change.kind;
    }
    return change;
}

/* Some in a row: all but the first are to be refused, unless the node is alone. */
static void change(struct world *world, struct node *node) {
    for (uint64_t i = below(world, 3); i < 3; i++) {
        struct raft_change change = change_choose(world, node);
        struct raft_position position;
        if (raft_member_change(node->member, &change, &position) == RAFT_ACCEPTED) {
            world->figures->changes++;
        }
        node_check(node);
    }
}

static void read_ask(struct world *world, struct node *node) {
    uint64_t id = world->reads;
    if (id < CHECKS_READS_MAX) {
        checks_read_asked(world->checks, id);
        world->reads += raft_member_read(node->member, id) == RAFT_ACCEPTED;
        node_check(node);
    }
}

static void wish(struct world *world) {
    struct node *node = below(world, 4) == 0 ? any_node(world) : any_leader(world);
    if (!is_running(node)) {
        return;
    }
    if (below(world, world->is_restless ? 2 : 16) == 0) {
        change(world, node);
        return;
    }
    switch (below(world, 16)) {
    case 1:
        if (below(world, 4) == 0) {
            raft_member_transfer(node->member, &any_node(world)->id);
            node_check(node);
        }
        break;
    case 2:
    case 3:
    case 4:
        read_ask(world, node);
        break;
    default:
        propose(world, node);
        break;
    }
}

/* ---- misfortunes ---- */

/* It is not heard, or hears nothing, or both. */
static void cut_around(struct world *world, const struct node *node) {
    uint64_t ways = 1 + below(world, 3);
    for (size_t i = 0; i < world->count; i++) {
        world->network.is_cut[node->number][i] = (ways & 1) != 0;
        world->network.is_cut[i][node->number] = (ways & 2) != 0;
    }
}

static void cut(struct world *world) {
    struct network *network = &world->network;
    if (below(world, 3) == 0) {
        size_t from = below(world, world->count);
        network->is_cut[from][below(world, world->count)] = true;
        return;
    }
    uint64_t side = below(world, UINT64_C(1) << world->count);
    bool is_one_way = below(world, 3) == 0;
    for (size_t i = 0; i < world->count; i++) {
        for (size_t j = 0; j < world->count; j++) {
            bool is_across = ((side >> i) & 1) != ((side >> j) & 1);
            network->is_cut[i][j] = is_across && (!is_one_way || ((side >> i) & 1) != 0);
        }
    }
}

static void network_worsen(struct world *world) {
    struct network *network = &world->network;
    network->loss = below(world, 2) * below(world, 300);
    network->repeat = below(world, 2) * below(world, 200);
    network->slow = below(world, 2) * below(world, 300);
    network->slow_ms = 1 + below(world, 300);
}

static void misfortune(struct world *world) {
    struct node *node = below(world, 2) == 0 ? any_node(world) : any_leader(world);
    switch (below(world, 11)) {
    case 0:
        cut(world);
        break;
    case 10:
        cut_around(world, node);
        break;
    case 1:
    case 2:
        network_heal(&world->network);
        break;
    case 3:
        network_worsen(world);
        break;
    case 4:
        node->paused_until = world->now_ms + below(world, AWAY_MS_MAX);
        break;
    case 5:
    case 6:
        node_crash(node);
        break;
    default:
        simulated_disk_fail(node->simulated, below(world, 8), below(world, 2) == 0 ? UINT64_MAX : 1,
                            EIO);
        break;
    }
}

/* ---- the run ---- */

static bool is_whole(const struct world *world) {
    return world->checks->broken == NULL;
}

static void turn(struct world *world) {
    world->now_ms += TURN_MS;
    packets_deliver(world);
    for (size_t i = 0; i < world->count; i++) {
        node_turn(&world->nodes[i]);
    }
}

static void faulty_time(struct world *world) {
    uint64_t until = below(world, FAULTY_MS_MAX);
    while (is_whole(world) && world->now_ms < until) {
        turn(world);
        if (below(world, world->is_restless ? 2 : 3) == 0) {
            wish(world);
        }
        if (below(world, 1000) < world->faults) {
            misfortune(world);
        }
    }
}

static void all_heal(struct world *world) {
    network_heal(&world->network);
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[i];
        simulated_disk_heal(node->simulated);
        node->paused_until = 0;
        node->down_until = 0;
    }
    world->faults = 0;
}

/* All members have applied what the leader has. */
static bool is_settled(struct world *world, const struct raft_position *last) {
    struct node *leader = leader_find(world);
    if (leader == NULL || leader->applied < last->index) {
        return false;
    }
    struct raft_status status;
    raft_status_read(raft_member_raft(leader->member), &status);
    for (size_t i = 0; i < world->count; i++) {
        const struct node *node = &world->nodes[i];
        if (raft_config_has(status.config, &node->id) &&
            (node->member == NULL || node->applied < leader->applied)) {
            return false;
        }
    }
    return true;
}

/* Something is proposed again and again until it is committed, as a client would. */
static void calm_time(struct world *world) {
    all_heal(world);
    uint64_t until = world->now_ms + CALM_MS_MAX;
    struct raft_position last = {.index = UINT64_MAX};
    uint64_t asked_ms = 0;
    while (is_whole(world) && !is_settled(world, &last)) {
        turn(world);
        struct node *leader = leader_find(world);
        struct span content = span_of("calm", 4);
        if (leader != NULL && (asked_ms == 0 || world->now_ms - asked_ms > 10 * ELECTION_MS) &&
            raft_member_propose(leader->member, &content, 1, &last) == RAFT_ACCEPTED) {
            asked_ms = world->now_ms;
        }
        if (leader != NULL) {
            node_check(leader);
        }
        checks_that(world->checks, world->now_ms < until,
                    "when the faults stop, the group goes on and all members hold the same");
    }
}

static void figures_add(struct world *world) {
    struct figures *figures = world->figures;
    figures->committed += world->checks->committed_last;
    figures->messages += world->network.delivered;
    for (size_t i = 0; i < CHECKS_TERM_MAX; i++) {
        figures->leaders += world->checks->leaders[i] != 0;
    }
}

static struct world *world_make(uint64_t seed, struct figures *figures) {
    struct world *world = memory_alloc_zeroed(sizeof(*world));
    world->seed = seed;
    world->figures = figures;
    world->checks = checks_new();
    random_seed(&world->random, seed);
    network_init(&world->network, seed);
    world->voters = below(world, 2) == 0 ? 3 + below(world, 2) : 1 + below(world, RAFT_VOTERS_MAX);
    world->count = world->voters + below(world, below(world, 2) * (NODES_MAX - world->voters) + 2);
    world->count = world->count < NODES_MAX ? world->count : NODES_MAX;
    world->faults = below(world, 150);
    world->is_restless = below(world, 3) == 0;
    world->piece_bytes = below(world, 2) == 0 ? 0 : 1 + below(world, 300);
    for (size_t i = 0; i < world->count; i++) {
        node_make(world, i);
    }
    return world;
}

static void world_free(struct world *world) {
    for (size_t i = 0; i < world->count; i++) {
        node_stop(&world->nodes[i], false);
        simulated_disk_free(world->nodes[i].simulated);
    }
    network_free(&world->network);
    checks_free(world->checks);
    memory_free(world);
}

static void node_print(const struct node *node) {
    static const char *const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
    if (node->member == NULL) {
        printf("  node %zu is down\n", node->number);
        return;
    }
    struct raft_status status;
    raft_status_read(raft_member_raft(node->member), &status);
    printf("  node %zu: %s, term %llu, leader %d, last %llu, commit %llu, snapshot %llu; members:",
           node->number, roles[status.role], (unsigned long long)status.term,
           raft_id_is_none(&status.leader) ? -1 : status.leader.bytes[0],
           (unsigned long long)status.last_index, (unsigned long long)status.commit,
           (unsigned long long)status.snapshot_index);
    for (size_t i = 0; i < status.config->count; i++) {
        const struct raft_config_member *member = &status.config->members[i];
        printf(" %d%s", member->id.bytes[0], member->is_voter ? "v" : "");
    }
    printf("\n");
}

static bool run(uint64_t seed, struct figures *figures) {
    struct world *world = world_make(seed, figures);
    faulty_time(world);
    calm_time(world);
    bool was_whole = is_whole(world);
    if (!was_whole) {
        printf("FAILED: %s\n", world->checks->broken);
        for (size_t i = 0; i < world->count; i++) {
            node_print(&world->nodes[i]);
        }
    }
    figures_add(world);
    world_free(world);
    return was_whole;
}

/* ---- the program ---- */

static bool number_argument(const char *text, uint64_t *number) {
    return text != NULL && number_parse_unsigned(span_of_string(text), number);
}

static void figures_print(const struct figures *figures) {
    printf("%llu entries committed under %llu leaders, %llu messages, %llu stops and crashes, "
           "%llu snapshots installed, %llu changes of members, %llu reads\n",
           (unsigned long long)figures->committed, (unsigned long long)figures->leaders,
           (unsigned long long)figures->messages, (unsigned long long)figures->crashes,
           (unsigned long long)figures->installed, (unsigned long long)figures->changes,
           (unsigned long long)figures->reads);
}

int main(int count, char **arguments) {
    uint64_t seed = 1;
    uint64_t seeds = SEEDS_DEFAULT;
    for (int i = 1; i < count; i += 2) {
        bool is_seed = strcmp(arguments[i], "--seed") == 0;
        bool is_known = is_seed || strcmp(arguments[i], "--seeds") == 0;
        if (!is_known || !number_argument(arguments[i + 1], is_seed ? &seed : &seeds)) {
            fprintf(stderr, "usage: %s [--seed N] [--seeds COUNT]\n", arguments[0]);
            return 64;
        }
    }
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    struct figures figures = {.committed = 0};
    uint64_t failures = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        if (!run(seed + i, &figures)) {
            failures++;
            printf("seed %llu failed; repeat it with: %s --seed %llu --seeds 1\n",
                   (unsigned long long)(seed + i), arguments[0], (unsigned long long)(seed + i));
        }
    }
    figures_print(&figures);
    printf("%d%%: Checks: %llu, Failures: %llu, Errors: 0\n",
           seeds == 0 ? 100 : (int)(100 * (seeds - failures) / seeds), (unsigned long long)seeds,
           (unsigned long long)failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
