#include "worker/quorum_gate.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/cluster.h"
#include "worker/deadlines.h"
#include "worker/gate.h"

/* A reply, or pushes, in the output. */
struct held_reply {
    struct reply_mark end;
    uint64_t position;
    uint32_t members; /* 1: this node's log is enough */
    bool is_open;     /* the tick's append, which is to come, belongs to it */
    bool is_push;
    bool has_written;
};

/* The output of one tick. */
struct held_output {
    struct list link;
    struct reply reply;
    int64_t due_us; /* monotonic */
    uint32_t count;
    uint32_t next; /* the first that has not passed */
    struct held_reply items[];
};

struct quorum_gate {
    struct connection *connection;
    struct list link; /* among its home's, while anything is held */
    struct list outputs;
    size_t held_bytes;
    uint32_t held_count;
    uint32_t members;         /* chosen by the client, or 0 */
    int64_t timeout_ms;       /* likewise, or -1 */
    struct reply_mark passed; /* what is before it in the connection's reply may leave */
    struct held_reply *marks; /* of what is behind it */
    uint32_t marks_count;
    uint32_t marks_capacity;
};

#define MARKS_MIN 8
#define US_PER_MS 1000
#define UNKNOWN_OUTCOME "NOQUORUM %u members did not confirm this in time: the outcome is unknown"

/* ---- which connections ---- */

static struct quorum_gate *gate_of(struct connection *connection) {
    struct quorum_gate *gate = connection->quorum;
    if (gate == NULL) {
        gate = memory_alloc_zeroed(sizeof(*gate));
        gate->connection = connection;
        gate->timeout_ms = -1;
        list_init(&gate->link);
        list_init(&gate->outputs);
        connection->quorum = gate;
        gate_await_begin(connection->home->node);
    }
    return gate;
}

/* What the options say, or the cluster has promised. */
static uint32_t members_wanted(const struct node *node) {
    uint32_t members = (uint32_t)node->options->write_quorum;
    return node->cluster != NULL && node->cluster->quorum > members ? node->cluster->quorum
                                                                    : members;
}

/* W as it is now; a replica's replies wait for nobody else's. */
static uint32_t members_of(const struct connection *connection) {
    const struct node *node = connection->home->node;
    const struct quorum_gate *gate = connection->quorum;
    if (!quorum_is_primary(&node->quorum)) {
        return 1;
    }
    return gate != NULL && gate->members != 0 ? gate->members : members_wanted(node);
}

static bool is_wanted(const struct connection *connection) {
    const struct quorum_gate *gate = connection->quorum;
    return gate != NULL && gate->members != 0 ? gate->members > 1
                                              : members_wanted(connection->home->node) > 1;
}

static struct reply_mark sent_mark(const struct connection *connection) {
    return (struct reply_mark){
        .at = connection->sent_bytes,
        .blocks_count = connection->sent_blocks + (connection->sent_of_block > 0),
    };
}

void quorum_gate_configure(struct connection *connection) {
    if ((connection->flags & CONNECTION_QUORUM) != 0 || !is_wanted(connection)) {
        return; /* It leaves the gate when nothing is held any more. */
    }
    struct quorum_gate *gate = gate_of(connection);
    connection->flags |= CONNECTION_QUORUM;
    /* What waits at the log's gate leaves by it; what is on its way there leaves by this one. */
    gate->passed =
        connection->is_gated ? reply_mark_here(&connection->reply) : sent_mark(connection);
    gate->marks_count = 0;
}

void quorum_gate_choose(struct connection *connection, uint32_t members, int64_t timeout_ms) {
    struct quorum_gate *gate = gate_of(connection);
    gate->members = members;
    gate->timeout_ms = timeout_ms;
    quorum_gate_configure(connection);
}

static void output_free(struct held_output *output) {
    list_remove(&output->link);
    reply_free(&output->reply);
    memory_free(output);
}

void quorum_gate_free(struct connection *connection) {
    struct quorum_gate *gate = connection->quorum;
    if (gate == NULL) {
        return;
    }
    while (!list_is_empty(&gate->outputs)) {
        output_free(LIST_ENTRY(gate->outputs.next, struct held_output, link));
    }
    list_remove(&gate->link);
    memory_free(gate->marks);
    memory_free(gate);
    connection->quorum = NULL;
    gate_await_end(connection->home->node);
}

/* ---- marks ---- */

static struct reply_mark marked_end(const struct quorum_gate *gate) {
    return gate->marks_count == 0 ? gate->passed : gate->marks[gate->marks_count - 1].end;
}

static bool mark_equal(struct reply_mark one, struct reply_mark other) {
    return one.at == other.at && one.blocks_count == other.blocks_count;
}

static void marks_add(struct quorum_gate *gate, const struct held_reply *mark) {
    if (gate->marks_count == gate->marks_capacity) {
        gate->marks_capacity = gate->marks_capacity == 0 ? MARKS_MIN : gate->marks_capacity * 2;
        gate->marks = memory_realloc(gate->marks, gate->marks_capacity * sizeof(*gate->marks));
    }
    gate->marks[gate->marks_count++] = *mark;
}

void quorum_gate_mark(const struct worker *worker, struct connection *connection, bool is_push) {
    const unsigned of_one = CONNECTION_FOLLOWS | CONNECTION_HAS_WRITTEN | CONNECTION_SHOWS_DATA;
    struct quorum_gate *gate = connection->quorum;
    unsigned flags = connection->flags;
    struct held_reply mark = {
        .end = reply_mark_here(&connection->reply),
        .position = connection->gate,
        .members = is_push || (flags & CONNECTION_SHOWS_DATA) != 0 ? members_of(connection) : 1,
        .is_open = (flags & CONNECTION_FOLLOWS) != 0,
        .is_push = is_push,
        .has_written = (flags & CONNECTION_HAS_WRITTEN) != 0,
    };
    if (mark.members > 1 && worker->node->log == NULL) {
        mark.position = UINT64_MAX; /* Nothing was recorded, and nobody can hold it. */
    }
    if (!mark_equal(mark.end, marked_end(gate))) {
        marks_add(gate, &mark);
    }
    connection->gate = 0;
    connection->flags &= ~of_one;
}

void quorum_gate_settle(const struct worker *worker, struct connection *connection) {
    struct quorum_gate *gate = connection->quorum;
    for (uint32_t i = 0; i < gate->marks_count; i++) {
        struct held_reply *mark = &gate->marks[i];
        if (mark->is_open) {
            mark->is_open = false;
            if (mark->position < worker->appended) {
                mark->position = worker->appended;
            }
        }
    }
}

/* ---- holding ---- */

static size_t output_bytes(const struct held_output *output) {
    return sizeof(*output) + output->count * sizeof(output->items[0]) + reply_bytes(&output->reply);
}

static int64_t due_us_of(const struct connection *connection) {
    const struct quorum_gate *gate = connection->quorum;
    int64_t timeout_ms = gate->timeout_ms >= 0
                             ? gate->timeout_ms
                             : connection->home->node->options->write_quorum_timeout;
    return deadline_us_in(timeout_ms);
}

/* Moves the marked output behind `passed` out of the connection's reply. */
static struct held_output *output_take(struct connection *connection) {
    struct quorum_gate *gate = connection->quorum;
    uint32_t count = gate->marks_count;
    struct held_output *output = memory_alloc(sizeof(*output) + count * sizeof(output->items[0]));
    list_init(&output->link);
    reply_init(&output->reply, connection->reply.protocol);
    reply_append_part(&output->reply, &connection->reply, gate->passed, marked_end(gate));
    reply_rewind(&connection->reply, gate->passed);
    output->due_us = due_us_of(connection);
    output->count = count;
    output->next = 0;
    memcpy(output->items, gate->marks, count * sizeof(output->items[0]));
    for (uint32_t i = 0; i < count; i++) {
        output->items[i].end.at -= gate->passed.at;
        output->items[i].end.blocks_count -= gate->passed.blocks_count;
    }
    return output;
}

static bool log_holds(const struct node *node, const struct held_reply *reply) {
    const struct oplog *log = node->log;
    return !node->log_gates || oplog_safe_position(log) >= reply->position ||
           (reply->members <= 1 && !reply->has_written && oplog_error(log) != 0);
}

static bool may_pass(struct worker *worker, const struct held_reply *reply) {
    const struct node *node = worker->node;
    if (reply->position == 0) {
        return true;
    }
    if (node->log == NULL) {
        return reply->members <= 1;
    }
    bool is_synced = node->log_gates && oplog_syncs_always(node->log);
    if (reply->members > 1 &&
        (reply->position == UINT64_MAX ||
         quorum_position(&node->quorum, reply->members - 1, is_synced) < reply->position)) {
        return false;
    }
    if (!log_holds(node, reply)) {
        /* Asks to be woken, then looks again: the log may have gone on in between. */
        atomic_store(&worker->awaits_log, true);
        return log_holds(node, reply);
    }
    return true;
}

static bool all_may_pass(struct worker *worker, const struct quorum_gate *gate) {
    for (uint32_t i = 0; i < gate->marks_count; i++) {
        if (!may_pass(worker, &gate->marks[i])) {
            return false;
        }
    }
    return true;
}

/* What is new in the connection's reply is held, or passes at once if nothing is before it. */
static void take(struct worker *worker, struct connection *connection) {
    struct quorum_gate *gate = connection->quorum;
    quorum_gate_mark(worker, connection, false); /* What no request ended: errors of the parser. */
    gate_carry(worker, connection);
    if (gate->marks_count == 0) {
        return;
    }
    if (list_is_empty(&gate->outputs) && all_may_pass(worker, gate)) {
        gate->passed = marked_end(gate);
        gate->marks_count = 0;
        return;
    }
    struct held_output *output = output_take(connection);
    gate->marks_count = 0;
    if (list_is_empty(&gate->outputs)) {
        list_push_back(&worker->quorum_gates, &gate->link);
    }
    list_push_back(&gate->outputs, &output->link);
    gate->held_bytes += output_bytes(output);
    gate->held_count += output->count;
    deadlines_add(worker, output->due_us);
    if (gate->held_bytes >= CONNECTION_OUTPUT_CHECK_BYTES) {
        connection_check_output_limit(connection, worker->now_ms);
    }
}

/* ---- passing ---- */

/* The first held reply is due: in its place comes an error, if what it shows needs the quorum. */
static void give_up(struct connection *connection, const struct held_output *output,
                    struct reply_mark begin, const struct held_reply *reply) {
    if (reply->members <= 1) {
        reply_append_part(&connection->reply, &output->reply, begin, reply->end);
        return;
    }
    struct node *node = connection->home->node;
    if (reply->is_push) {
        atomic_fetch_add(&node->quorum_messages_lost, 1);
        return;
    }
    atomic_fetch_add(&node->quorum_timeouts, 1);
    reply_error_format(&connection->reply, UNKNOWN_OUTCOME, reply->members);
}

/* A node that is no primary any more has no members that could confirm anything. */
static bool is_due(const struct worker *worker, const struct held_output *output) {
    return output->due_us <= clock_monotonic_us() || !quorum_is_primary(&worker->node->quorum);
}

/* Lets go of what of the output may pass or is due. True: that was all. */
static bool pass_output(struct worker *worker, struct connection *connection,
                        struct held_output *output) {
    bool gives_up = false;
    while (output->next < output->count) {
        const struct held_reply *reply = &output->items[output->next];
        struct reply_mark begin =
            output->next == 0 ? (struct reply_mark){0} : output->items[output->next - 1].end;
        if (may_pass(worker, reply)) {
            reply_append_part(&connection->reply, &output->reply, begin, reply->end);
        } else if (gives_up || is_due(worker, output)) {
            gives_up = true;
            give_up(connection, output, begin, reply);
        } else {
            return false;
        }
        output->next++;
    }
    return true;
}

static void pass(struct worker *worker, struct connection *connection) {
    struct quorum_gate *gate = connection->quorum;
    bool was_full = quorum_gate_is_full(connection);
    while (!list_is_empty(&gate->outputs)) {
        struct held_output *output = LIST_ENTRY(gate->outputs.next, struct held_output, link);
        if (!pass_output(worker, connection, output)) {
            break;
        }
        gate->held_bytes -= output_bytes(output);
        gate->held_count -= output->count;
        output_free(output);
    }
    gate->passed = reply_mark_here(&connection->reply);
    if (was_full && !quorum_gate_is_full(connection)) {
        loop_wake(worker->loop); /* Its requests go on with the next tick. */
    }
}

bool quorum_gate_holds(struct worker *worker, struct connection *connection) {
    struct quorum_gate *gate = connection->quorum;
    if (connection->gather.store_count != 0) {
        return true; /* The answer is not whole: it is marked as output again when it is. */
    }
    atomic_store(&worker->awaits_quorum, true);
    take(worker, connection);
    if (connection->closes) {
        return true;
    }
    pass(worker, connection);
    if (!list_is_empty(&gate->outputs)) {
        return connection_output_bytes(connection) == 0;
    }
    list_remove(&gate->link);
    if (!is_wanted(connection)) {
        connection->flags &= ~(unsigned)CONNECTION_QUORUM;
        connection->passed_bytes = connection_output_bytes(connection);
    }
    return false;
}

void quorum_gate_written(struct connection *connection) {
    connection->quorum->passed = (struct reply_mark){0};
    ASSERT(connection->quorum->marks_count == 0);
}

/* ---- questions ---- */

bool quorum_gate_is_empty(const struct connection *connection) {
    return connection->quorum == NULL || list_is_empty(&connection->quorum->outputs);
}

bool quorum_gate_is_full(const struct connection *connection) {
    return connection->quorum != NULL && connection->quorum->held_count >= QUORUM_GATE_REPLIES_MAX;
}

size_t quorum_gate_bytes(const struct connection *connection) {
    const struct quorum_gate *gate = connection->quorum;
    return gate == NULL
               ? 0
               : sizeof(*gate) + gate->held_bytes + gate->marks_capacity * sizeof(*gate->marks);
}

/* ---- the worker ---- */

static struct held_output *first_output(const struct quorum_gate *gate) {
    return LIST_ENTRY(gate->outputs.next, struct held_output, link);
}

void quorum_gate_open_step(struct worker *worker) {
    if (LIKELY(list_is_empty(&worker->quorum_gates))) {
        return;
    }
    atomic_store(&worker->awaits_quorum, true);
    LIST_FOR_EACH(link, &worker->quorum_gates) {
        struct connection *connection = LIST_ENTRY(link, struct quorum_gate, link)->connection;
        const struct held_output *output = first_output(connection->quorum);
        if (!connection->is_away &&
            (may_pass(worker, &output->items[output->next]) || is_due(worker, output))) {
            connection_mark_output(connection);
        }
    }
}

int64_t quorum_gate_next_due_us(const struct worker *worker) {
    int64_t next_us = INT64_MAX;
    LIST_FOR_EACH(link, &worker->quorum_gates) {
        int64_t due_us = first_output(LIST_ENTRY(link, struct quorum_gate, link))->due_us;
        next_us = due_us < next_us ? due_us : next_us;
    }
    return next_us;
}

static void void_output(struct held_output *output) {
    output->due_us = 0;
    for (uint32_t i = output->next; i < output->count; i++) {
        output->items[i].position = output->items[i].members > 1 ? UINT64_MAX : 0;
    }
}

void quorum_gate_void(struct worker *worker) {
    LIST_FOR_EACH(link, &worker->quorum_gates) {
        LIST_FOR_EACH(output, &LIST_ENTRY(link, struct quorum_gate, link)->outputs) {
            void_output(LIST_ENTRY(output, struct held_output, link));
        }
    }
    deadlines_add(worker, 0);
}

void quorum_gate_progress(void *context) {
    const struct node *node = context;
    /* The progress must be seen by a worker whose wish to be woken is not seen here. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];
        if (worker != NULL && atomic_load_explicit(&worker->awaits_quorum, memory_order_relaxed) &&
            atomic_exchange(&worker->awaits_quorum, false)) {
            loop_wake(worker->loop);
        }
    }
}
