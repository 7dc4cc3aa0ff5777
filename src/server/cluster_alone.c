#include "server/cluster_alone.h"

#include "base/logger.h"
#include "base/memory.h"
#include "base/random.h"
#include "cluster/raft_member.h"
#include "io/clock.h"
#include "server/server.h"

#include <string.h>
#include <sysexits.h>

/* Nobody is waited for: an election takes no time, and no beat is due. */
#define ELECTION_MS 100
#define HEARTBEAT_MS 50
#define SNAPSHOT_ENTRIES 4096
#define SNAPSHOT_BYTES ((uint64_t)4 * 1024 * 1024)

#define IS_ALONE "ERR This node speaks to no other nodes"

struct alone {
    struct cluster_seat *seat;
    struct raft_member *member; /* NULL after a failure, until the next try */
    struct map *map;            /* what is applied */
    struct buffer report;       /* why the last entry changed nothing */
    struct map_facts facts;     /* as the options say */
};

/* ---- the state machine ---- */

static void map_replace(struct alone *alone, struct map *map) {
    map_return(alone->map);
    alone->map = map;
}

static void machine_apply(void *context, const struct raft_committed *entry) {
    struct alone *alone = context;
    if (entry->kind != RAFT_ENTRY_NORMAL) {
        return;
    }
    alone->report.length = 0;
    struct map *next =
        map_change_apply(alone->map, entry->position.index, entry->bytes, &alone->report);
    if (next != NULL) {
        map_replace(alone, next);
    }
}

static void machine_save(void *context, struct buffer *state) {
    const struct alone *alone = context;
    map_write(alone->map, state);
}

static bool machine_restore(void *context, uint64_t index, struct span state) {
    struct alone *alone = context;
    (void)index;
    struct map *map = map_read(state);
    if (map != NULL) {
        map_replace(alone, map);
    }
    return map != NULL;
}

static void machine_send(void *context, const struct raft_message *message) {
    (void)context;
    (void)message;
}

static void machine_read(void *context, uint64_t id, bool is_confirmed) {
    (void)context;
    (void)id;
    (void)is_confirmed;
}

/* ---- the log ---- */

static struct raft_id id_of(const unsigned char bytes[MAP_ID_BYTES]) {
    struct raft_id id;
    _Static_assert(sizeof(id.bytes) == MAP_ID_BYTES, "names of nodes are one thing");
    memcpy(id.bytes, bytes, MAP_ID_BYTES);
    return id;
}

static uint64_t now_ms(void) {
    return (uint64_t)(clock_monotonic_us() / 1000);
}

static struct raft_store_plan store_plan(const struct alone *alone,
                                         const unsigned char self[MAP_ID_BYTES]) {
    return (struct raft_store_plan){.disk = &alone->seat->disk, .self = id_of(self)};
}

/* A map with this node alone. */
static struct map *first_map(const struct alone *alone, const unsigned char group[MAP_ID_BYTES],
                             const unsigned char self[MAP_ID_BYTES], uint64_t epoch) {
    struct map *nobody = map_new(group);
    nobody->current_epoch = epoch;
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    change->kind = MAP_NODE_ADD;
    change->facts = alone->facts;
    memcpy(change->node, self, MAP_ID_BYTES);
    random_seed_bytes(change->peer, MAP_ID_BYTES);
    struct buffer entry = BUFFER_EMPTY;
    struct buffer report = BUFFER_EMPTY;
    map_change_write(change, &entry);
    struct map *map = map_change_apply(nobody, 1, buffer_span(&entry), &report);
    ASSERT(map != NULL);
    buffer_free(&entry);
    buffer_free(&report);
    memory_free(change);
    map_return(nobody);
    return map;
}

static enum raft_store_status found(const struct alone *alone,
                                    const unsigned char self[MAP_ID_BYTES], uint64_t epoch,
                                    struct buffer *report) {
    struct raft_id group;
    random_seed_bytes(group.bytes, sizeof(group.bytes));
    struct map *map = first_map(alone, group.bytes, self, epoch);
    struct buffer state = BUFFER_EMPTY;
    map_write(map, &state);
    map_return(map);
    struct raft_store_plan plan = store_plan(alone, self);
    struct raft_config config = RAFT_CONFIG_EMPTY;
    raft_config_found(&config, &plan.self);
    struct raft_saved saved;
    raft_found(&saved, &config, buffer_span(&state));
    enum raft_store_status status = raft_store_create(&plan, &group, &saved, report);
    raft_saved_free(&saved);
    raft_config_free(&config);
    buffer_free(&state);
    return status;
}

static enum raft_store_status
member_open(struct alone *alone, const unsigned char self[MAP_ID_BYTES], struct buffer *report) {
    struct raft_member_plan plan = {
        .raft =
            {
                .seed = random_seed_draw(),
                .election_ms = ELECTION_MS,
                .heartbeat_ms = HEARTBEAT_MS,
                .snapshot_entries = SNAPSHOT_ENTRIES,
                .snapshot_bytes = SNAPSHOT_BYTES,
            },
        .store = store_plan(alone, self),
        .machine =
            {
                .context = alone,
                .apply = machine_apply,
                .save = machine_save,
                .restore = machine_restore,
                .send = machine_send,
                .read = machine_read,
            },
    };
    enum raft_store_status status = raft_member_open(&plan, now_ms(), &alone->member, report);
    if (status == RAFT_STORE_DONE) {
        /* It misses a leader as soon as it is told that it has waited for one. */
        raft_member_tick(alone->member, now_ms() + (uint64_t)2 * ELECTION_MS);
    }
    return status;
}

static void member_close(struct alone *alone) {
    if (alone->member != NULL) {
        raft_member_close(alone->member);
        alone->member = NULL;
    }
}

/* After a failure of the disk the log is opened anew. False: the report says why it cannot be. */
static bool member_is_open(struct alone *alone, struct buffer *report) {
    if (alone->member != NULL && raft_member_problem(alone->member) != NULL) {
        member_close(alone);
    }
    return alone->member != NULL || member_open(alone, alone->seat->id, report) == RAFT_STORE_DONE;
}

/* ---- proposals ---- */

/* False: the error says why. */
static bool carry_out(struct alone *alone, struct span entry, struct buffer *error) {
    struct buffer report = BUFFER_EMPTY;
    if (!member_is_open(alone, &report)) {
        buffer_format(error, "ERR The cluster's log cannot be opened: %.*s", (int)report.length,
                      report.bytes);
        buffer_free(&report);
        return false;
    }
    buffer_free(&report);
    const struct map *before = alone->map;
    struct raft_position position;
    enum raft_answer answer = raft_member_propose(alone->member, &entry, 1, &position);
    const char *problem = raft_member_problem(alone->member);
    if (alone->map != before) {
        cluster_publish(alone->seat, alone->map, alone->seat->id);
        return true;
    }
    if (problem != NULL) {
        buffer_format(error, "ERR The outcome is unknown: %s", problem);
    } else if (answer == RAFT_TOO_LARGE) {
        buffer_append_string(error, "ERR That is too much for one entry of the cluster's log");
    } else if (answer != RAFT_ACCEPTED) {
        buffer_append_string(error, "ERR The cluster's log takes nothing now, try again");
    } else {
        buffer_append_span(error, buffer_span(&alone->report));
    }
    return false;
}

static void propose(void *context, struct span entry, uint64_t ticket) {
    struct alone *alone = context;
    struct buffer error = BUFFER_EMPTY;
    bool is_done = carry_out(alone, entry, &error);
    buffer_append_byte(&error, '\0');
    cluster_answer(alone->seat, ticket, is_done ? NULL : error.bytes);
    buffer_free(&error);
}

/* ---- facts ---- */

static bool facts_equal(const struct map_facts *a, const struct map_facts *b) {
    return a->port == b->port && a->tls_port == b->tls_port && a->bus_port == b->bus_port &&
           strcmp(a->ip, b->ip) == 0 && strcmp(a->hostname, b->hostname) == 0 &&
           strcmp(a->human_name, b->human_name) == 0 && strcmp(a->zone, b->zone) == 0;
}

/* The map tells what the options say. */
static void facts_settle(struct alone *alone) {
    uint16_t myself = map_find(alone->map, alone->seat->id);
    if (facts_equal(&alone->map->nodes[myself].facts, &alone->facts)) {
        return;
    }
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    change->kind = MAP_NODE_FACTS;
    change->facts = alone->facts;
    memcpy(change->node, alone->seat->id, MAP_ID_BYTES);
    struct buffer entry = BUFFER_EMPTY;
    struct buffer error = BUFFER_EMPTY;
    map_change_write(change, &entry);
    if (!carry_out(alone, buffer_span(&entry), &error)) {
        log_warning("The cluster's map keeps this node's old address: %.*s", (int)error.length,
                    error.bytes);
    }
    buffer_free(&entry);
    buffer_free(&error);
    memory_free(change);
}

static void start(void *context) {
    facts_settle(context);
}

static void options_changed(void *context, const struct map_facts *facts) {
    struct alone *alone = context;
    alone->facts = *facts;
    facts_settle(alone);
}

/* ---- the other wishes ---- */

static void meet(void *context, const struct cluster_wish *wish, uint64_t ticket) {
    const struct alone *alone = context;
    (void)wish;
    cluster_answer(alone->seat, ticket, IS_ALONE);
}

static void failover(void *context, enum cluster_failover failover, uint64_t ticket) {
    const struct alone *alone = context;
    (void)failover;
    cluster_answer(alone->seat, ticket, IS_ALONE);
}

/* The node's log gives way to that of a new group. A crash in between leaves no log, and the next
 * start founds a group. */
static enum raft_store_status begin_anew(struct alone *alone,
                                         const unsigned char self[MAP_ID_BYTES], uint64_t epoch,
                                         struct buffer *report) {
    member_close(alone);
    int status = raft_store_remove(&alone->seat->disk);
    if (status == 0) {
        status = cluster_save_name(alone->seat, self);
    }
    if (status != 0) {
        buffer_append_string(report, strerror(-status));
        return RAFT_STORE_FAILED;
    }
    enum raft_store_status founded = found(alone, self, epoch, report);
    return founded == RAFT_STORE_DONE ? member_open(alone, self, report) : founded;
}

static void reset(void *context, bool is_hard, uint64_t ticket) {
    struct alone *alone = context;
    unsigned char self[MAP_ID_BYTES];
    memcpy(self, alone->seat->id, MAP_ID_BYTES);
    uint64_t epoch = alone->map->current_epoch;
    if (is_hard) {
        random_seed_bytes(self, sizeof(self));
        epoch = 0;
    }
    struct buffer report = BUFFER_EMPTY;
    if (begin_anew(alone, self, epoch, &report) == RAFT_STORE_DONE) {
        cluster_publish(alone->seat, alone->map, self);
        cluster_answer(alone->seat, ticket, NULL);
    } else {
        struct buffer error = BUFFER_EMPTY;
        buffer_format(&error, "ERR The cluster's log cannot be made anew: %.*s", (int)report.length,
                      report.bytes);
        buffer_append_byte(&error, '\0');
        cluster_answer(alone->seat, ticket, error.bytes);
        buffer_free(&error);
    }
    buffer_free(&report);
}

static void step(void *context, int64_t now) {
    (void)context;
    (void)now;
}

/* ---- lifecycle ---- */

static void close_part(void *context) {
    struct alone *alone = context;
    member_close(alone);
    map_return(alone->map);
    buffer_free(&alone->report);
    memory_free(alone);
}

/* Opens what is there, or founds. */
static enum raft_store_status open_or_found(struct alone *alone, struct buffer *report) {
    const unsigned char *self = alone->seat->id;
    enum raft_store_status status = member_open(alone, self, report);
    if (status != RAFT_STORE_NONE) {
        return status;
    }
    report->length = 0;
    status = found(alone, self, 0, report);
    return status == RAFT_STORE_DONE ? member_open(alone, self, report) : status;
}

int cluster_alone_open(struct cluster_seat *seat) {
    struct alone *alone = memory_alloc_zeroed(sizeof(*alone));
    alone->seat = seat;
    cluster_facts(seat->server, &alone->facts);
    struct buffer report = BUFFER_EMPTY;
    enum raft_store_status status = open_or_found(alone, &report);
    if (report.length > 0) {
        log_warning("%.*s", (int)report.length, report.bytes);
    }
    buffer_free(&report);
    if (status != RAFT_STORE_DONE || map_find(alone->map, seat->id) == MAP_NOBODY) {
        log_warning("The cluster's log in %s cannot be used", CLUSTER_FOLDER);
        close_part(alone);
        return status == RAFT_STORE_FAILED ? EX_IOERR : EX_DATAERR;
    }
    seat->part = (struct cluster_part){
        .context = alone,
        .start = start,
        .propose = propose,
        .meet = meet,
        .failover = failover,
        .reset = reset,
        .options_changed = options_changed,
        .step = step,
        .close = close_part,
    };
    cluster_publish(seat, alone->map, seat->id);
    return 0;
}
