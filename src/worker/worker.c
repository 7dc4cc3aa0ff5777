#include "worker/worker.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/applying.h"
#include "worker/blocking.h"
#include "worker/client_info.h"
#include "worker/cluster.h"
#include "worker/cutting.h"
#include "worker/deadlines.h"
#include "worker/digesting.h"
#include "worker/dispatch.h"
#include "worker/gate.h"
#include "worker/housekeeping.h"
#include "worker/key_holds.h"
#include "worker/loading.h"
#include "worker/look_ahead.h"
#include "worker/mail.h"
#include "worker/notices.h"
#include "worker/pubsub.h"
#include "worker/quorum_gate.h"
#include "worker/transactions.h"

/* ---- connections come and go ---- */

void worker_adopt(struct worker *worker, int fd, bool is_unix) {
    struct connection *connection = connection_new(worker, fd, is_unix);
    if (!is_unix) {
        network_set_no_delay(fd);
        network_set_keepalive(fd, (int)worker->node->options->tcp_keepalive);
    }
    list_push_back(&worker->connections, &connection->link);
    worker->connections_count++;
    connection_watch(connection);
}

static void close_stage(struct worker *worker) {
    for (struct list *link = worker->closing.next; link != &worker->closing;) {
        struct connection *connection = LIST_ENTRY(link, struct connection, link);
        link = link->next;
        if (!connection->is_away) {
            list_remove(&connection->link);
            connection_free(connection);
        }
    }
}

/* ---- requests ---- */

/* Those beyond the tick's bounds keep their places: whoever is quick to send again comes behind
 * them. */
static void read_stage(struct worker *worker) {
    const struct tick_work *work = &worker->work;
    while (!list_is_empty(&worker->readable) && work->reads < TICK_READS_MAX &&
           work->read_bytes < TICK_READ_BYTES_MAX) {
        struct list *link = list_pop_front(&worker->readable);
        struct connection *connection = LIST_ENTRY(link, struct connection, run_link);
        if (connection->closes) {
            continue;
        }
        worker->work.reads++;
        connection_read(connection);
        if ((connection->flags & CONNECTION_INPUT_LEFT) == 0) {
            connection_resume_reading(connection); /* Its turn may have been long in coming. */
        } else if (!connection->closes) {
            list_push_back(&worker->runnable, &connection->run_link);
        }
    }
}

/* There is more input, which it goes on with at once, unless it has had its turn. */
static void take_turn(struct worker *worker, struct connection *connection) {
    if (connection->turn < TURN_REQUESTS_MAX) {
        list_push_front(&worker->runnable, &connection->run_link);
    } else {
        connection->turn = 0;
        list_push_back(&worker->runnable, &connection->run_link);
    }
}

/* At home, and all parsed requests have run. */
static void requests_finished(struct worker *worker, struct connection *connection) {
    connection_requests_done(connection);
    connection_mark_output(connection);
    if (connection->closes) {
        return;
    }
    if ((connection->flags & CONNECTION_CLOSE_AFTER_REPLY) == 0) {
        if ((connection->flags & CONNECTION_INPUT_LEFT) != 0) {
            take_turn(worker, connection);
            return;
        }
        if ((connection->flags & CONNECTION_PARSE_FAILED) != 0) {
            if ((connection->flags & (CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP)) == 0) {
                reply_error(&connection->reply, connection->parser.error);
            }
            executor_count_error(&worker->executor, span_of_string(connection->parser.error));
            connection->flags |= CONNECTION_CLOSE_AFTER_REPLY;
            return;
        }
    }
    connection->turn = 0;
    connection_resume_reading(connection);
}

/* What is full will have room by itself; where it has failed, changes are refused. */
static bool log_is_full(const struct node *node) {
    return oplog_is_full(node->log) && !(node->log_gates && oplog_error(node->log) != 0);
}

static bool may_write(const struct connection *connection, const struct request *request) {
    const struct command_slot *slot = request->command;
    const unsigned writes = COMMAND_WRITE | COMMAND_MAY_REPLICATE;
    return slot != NULL &&
           ((slot->command->flags & writes) != 0 ||
            (slot->command->session != NULL && transaction_has_flag(connection, writes)));
}

/* True: the request changes data, and must wait for room in the log or in an image. */
static bool must_hold(struct worker *worker, const struct connection *connection,
                      struct request *request) {
    if (!may_write(connection, request)) {
        return false;
    }
    if (worker->node->log != NULL && log_is_full(worker->node)) {
        atomic_store(&worker->awaits_log, true);
        return log_is_full(worker->node);
    }
    return cutting_holds_back(worker, request) || cutting_holds(worker, connection, request);
}

/* Its next request waits; the replies so far do not. */
static void hold(struct worker *worker, struct connection *connection) {
    list_push_back(&worker->held, &connection->run_link);
    if (connection->home == worker) {
        connection_mark_output(connection); /* It may take long. */
    }
}

/* Runs the parsed requests for as long as they may run here. */
static void run_requests(struct worker *worker, struct connection *connection) {
    struct request_list *list = connection->requests;
    while (list->next < list->count) {
        if (UNLIKELY((connection->home == worker && connection->closes) ||
                     (connection->flags & CONNECTION_CLOSE_AFTER_REPLY) != 0)) {
            list->next = list->count;
            break;
        }
        struct request *request = &list->items[list->next];
        if (UNLIKELY(!request->is_known)) {
            look_ahead_know(worker, connection, request);
        }
        if (UNLIKELY(worker->may_hold) && must_hold(worker, connection, request)) {
            hold(worker, connection);
            return;
        }
        struct route route = {0};
        enum dispatch_outcome outcome =
            dispatch_request(worker, connection, request, false, &route);
        switch (outcome) {
        case DISPATCH_DONE:
            list->next++;
            worker->work.requests++;
            continue;
        case DISPATCH_TRAVEL:
            mail_send(worker, connection, route.target);
            return;
        case DISPATCH_STOP:
            if (connection->home == worker) {
                connection->is_away = true;
            }
            stop_wait(worker->node, connection, route.stopped);
            return;
        case DISPATCH_HOLD:
            hold(worker, connection);
            return;
        case DISPATCH_BLOCK:
            list_push_back(&worker->blocked, &connection->run_link);
            connection_mark_output(connection);
            return;
        case DISPATCH_SUSPEND:
            if (connection->home != worker) {
                mail_send(worker, connection, connection->home->index);
            } else {
                connection->is_suspended = true;
                list_push_back(&worker->suspended, &connection->run_link);
                connection_mark_output(connection);
            }
            return;
        }
    }
    if (connection->home != worker) {
        mail_send(worker, connection, connection->home->index);
    } else {
        requests_finished(worker, connection);
    }
}

void worker_run_stopped(struct worker *worker, struct connection *connection) {
    struct request_list *list = connection->requests;
    struct route route = {0};
    enum dispatch_outcome outcome = DISPATCH_DONE;
    if (connection->home != worker || !connection->closes) {
        worker->may_refuse |= key_holds_any(worker->node);
        struct request *request = &list->items[list->next];
        worker->running = connection;
        outcome = may_write(connection, request) && cutting_holds_stopped(connection, request)
                      ? DISPATCH_HOLD
                      : dispatch_request(worker, connection, request, true, &route);
        worker->running = NULL;
    }
    /* A CLIENT PAUSE that was served by this same stop holds it, a key is held since, or an image
     * has no room for it: it waits at home. */
    if (outcome != DISPATCH_SUSPEND && outcome != DISPATCH_HOLD) {
        ASSERT(outcome == DISPATCH_DONE);
        list->next++;
        worker->work.requests++;
    }
    mail_send(worker, connection, connection->home->index);
}

static void run_stage(struct worker *worker) {
    struct connection *group[GROUP_CONNECTIONS_MAX];
    while (!list_is_empty(&worker->runnable) && worker->work.requests < TICK_REQUESTS_MAX) {
        uint32_t count = 0;
        uint32_t requests = 0;
        while (count < GROUP_CONNECTIONS_MAX && requests < GROUP_REQUESTS_MAX) {
            struct list *link = list_pop_front(&worker->runnable);
            if (link == NULL) {
                break;
            }
            struct connection *connection = LIST_ENTRY(link, struct connection, run_link);
            if (UNLIKELY(connection->is_gated || connection->quorum != NULL) &&
                connection->home == worker &&
                (connection->is_gated || quorum_gate_is_full(connection))) {
                list_push_back(&worker->held, &connection->run_link);
                continue;
            }
            if (connection->home == worker && !connection_parse(connection)) {
                requests_finished(worker, connection);
                continue;
            }
            requests += connection->requests->count - connection->requests->next;
            group[count++] = connection;
        }
        look_ahead(worker, group, count);
        for (uint32_t i = 0; i < count; i++) {
            worker->running = group[i];
            run_requests(worker, group[i]);
        }
        worker->running = NULL;
    }
}

/* Those that are held go on, if what they wait for may have come. */
static void release_stage(struct worker *worker) {
    const struct node *node = worker->node;
    if (UNLIKELY(node->cluster != NULL)) {
        cluster_read_lease(worker);
    }
    bool is_full = node->log != NULL && oplog_is_full(node->log);
    worker->log_has_failed =
        node->log != NULL && node->log_gates && (is_full || oplog_error(node->log) != 0);
    worker->may_hold = worker->cut != NULL || is_full ||
                       atomic_load_explicit(&worker->awaits_chunk, memory_order_relaxed);
    worker->may_refuse =
        node_is_led(node) || atomic_load_explicit(&node->is_loading, memory_order_relaxed) ||
        atomic_load_explicit(&node->refuses_writes, memory_order_relaxed) ||
        node_log_is_at_max(node) || (node->log != NULL && oplog_error(node->log) != 0) ||
        node->options->min_replicas_to_write > 0 || key_holds_any(node) || worker->lacks_lease;
    gate_open_step(worker);
    quorum_gate_open_step(worker);
    blocking_step(worker);
    if (LIKELY(list_is_empty(&worker->held))) {
        return;
    }
    for (struct list *link; (link = list_pop_front(&worker->held)) != NULL;) {
        list_push_back(&worker->runnable, link);
    }
}

static void write_stage(struct worker *worker) {
    struct list todo;
    list_init(&todo);
    for (struct list *link; (link = list_pop_front(&worker->writable)) != NULL;) {
        list_push_back(&todo, link);
    }
    for (struct list *link; (link = list_pop_front(&todo)) != NULL;) {
        struct connection *connection = LIST_ENTRY(link, struct connection, write_link);
        if (connection->closes || connection->is_away) {
            continue;
        }
        if (UNLIKELY(!cluster_may_leave(worker, connection))) {
            client_info_log(LOG_WARNING, "The lease ended while it was served: client ", connection,
                            " is disconnected.");
            connection_close(connection);
            continue;
        }
        if (UNLIKELY(reply_bytes(&connection->reply) >= CONNECTION_OUTPUT_CHECK_BYTES)) {
            connection_check_output_limit(connection, worker->now_ms);
            if (connection->closes) {
                continue;
            }
        }
        if (worker_has_no_writes_left(worker)) {
            connection_mark_output(connection);
            continue;
        }
        if (UNLIKELY(gate_holds(worker, connection))) {
            continue;
        }
        connection_write(connection);
    }
}

/* ---- the tick ---- */

static bool has_work(const struct worker *worker) {
    return !list_is_empty(&worker->runnable) || !list_is_empty(&worker->writable) ||
           !list_is_empty(&worker->readable) || !list_is_empty(&worker->store->graveyard) ||
           worker->has_leaving || worker->gated_may_go || cutting_has_work(worker) ||
           loading_has_work(worker) || applying_has_work(worker) || digesting_has_work(worker);
}

static void note_work(struct worker *worker) {
    const struct tick_work *work = &worker->work;
    struct tick_work *max = &worker->work_max;
    max->accepts = work->accepts > max->accepts ? work->accepts : max->accepts;
    max->requests = work->requests > max->requests ? work->requests : max->requests;
    max->reads = work->reads > max->reads ? work->reads : max->reads;
    max->read_bytes = work->read_bytes > max->read_bytes ? work->read_bytes : max->read_bytes;
    max->writes = work->writes > max->writes ? work->writes : max->writes;
    max->written_bytes =
        work->written_bytes > max->written_bytes ? work->written_bytes : max->written_bytes;
    max->buckets = work->buckets > max->buckets ? work->buckets : max->buckets;
    max->buried = work->buried > max->buried ? work->buried : max->buried;
    max->cut_bytes = work->cut_bytes > max->cut_bytes ? work->cut_bytes : max->cut_bytes;
    max->evictions = work->evictions > max->evictions ? work->evictions : max->evictions;
    worker->read_bytes += work->read_bytes;
    worker->written_bytes += work->written_bytes;
    worker->work = (struct tick_work){0};
}

void worker_tick(struct worker *worker) {
    loop_run(worker->loop, has_work(worker) ? 0 : LOOP_WAIT_FOREVER);
    bool is_sampled = worker->ticks++ % TICK_SAMPLE == 0;
    int64_t cpu_ns = is_sampled ? clock_thread_cpu_ns() : 0;
    worker->now_ms = clock_wall_ms();
    store_tick(worker->store, worker->now_ms);
    uint64_t steps = worker->store->table_steps;
    uint64_t buried = worker->store->buried_elements;
    if (UNLIKELY(worker->is_paused) &&
        worker->now_ms >= atomic_load(&worker->node->pause_until_ms)) {
        worker_end_pause(worker);
    }

    release_stage(worker);
    mail_receive_stage(worker);
    applying_step(worker);
    read_stage(worker);
    run_stage(worker);
    gate_append(worker);
    stop_serve(worker);
    if (UNLIKELY(worker->node->cluster != NULL)) {
        cluster_check_lease(worker);
    }
    write_stage(worker);
    mail_send_stage(worker);
    if (!list_is_empty(&worker->closing)) {
        close_stage(worker);
    }
    housekeeping_tick(worker);
    gate_append(worker);
    deadlines_step(worker);

    worker->work.buckets += worker->store->table_steps - steps;
    worker->work.buried += worker->store->buried_elements - buried;
    if (is_sampled) {
        uint64_t took_ns = (uint64_t)(clock_thread_cpu_ns() - cpu_ns);
        histogram_add(&worker->tick_cpu_ns, took_ns, 1);
        worker->busy_ns += took_ns * TICK_SAMPLE;
    }
    note_work(worker);
}

/* ---- options ---- */

void worker_configure_notes(struct worker *worker) {
    const struct worker_options *options = worker->node->options;
    int64_t slower_than_us = options->slowlog_log_slower_than;
    int64_t from_us = slower_than_us >= 0 ? slower_than_us : INT64_MAX;
    if (options->latency_monitor_threshold > 0 &&
        options->latency_monitor_threshold < from_us / 1000) {
        from_us = options->latency_monitor_threshold * 1000;
    }
    worker->note_from_us = atomic_load(&worker->node->monitors) != 0 ? 0 : from_us;
}

void worker_configure(struct worker *worker) {
    const struct worker_options *options = worker->node->options;
    struct executor *executor = &worker->executor;
    int64_t slower_than_us = options->slowlog_log_slower_than;
    executor->tracks_latency = options->latency_tracking;
    executor->times_all = options->latency_monitor_threshold > 0 ||
                          (slower_than_us >= 0 && slower_than_us < EXECUTOR_EXACT_BELOW_US);
    worker_configure_notes(worker);
    pubsub_notify_configure(worker);
    LIST_FOR_EACH(link, &worker->connections) {
        quorum_gate_configure(LIST_ENTRY(link, struct connection, link));
    }
}

void worker_end_pause(struct worker *worker) {
    worker->is_paused = false;
    for (struct list *link; (link = list_pop_front(&worker->suspended)) != NULL;) {
        struct connection *connection = LIST_ENTRY(link, struct connection, run_link);
        connection->is_suspended = false;
        list_push_back(&worker->runnable, &connection->run_link);
    }
}

/* ---- lifecycle ---- */

static void cron_is_due(void *context) {
    struct worker *worker = context;
    worker->cron_is_due = true;
}

struct worker *worker_new(struct node *node, uint32_t index) {
    struct worker *worker = memory_alloc_aligned(MAILBOX_ALIGNMENT, sizeof(*worker));
    memset(worker, 0, sizeof(*worker));
    worker->node = node;
    worker->index = index;
    worker->store = node->keyspace->stores[index];
    worker->store->background = node->background;
    worker->loop = loop_new();
    if (worker->loop == NULL) {
        memory_free(worker);
        return NULL;
    }
    mailbox_init(&worker->mailbox);
    mailbox_init(&worker->travellers);
    uint64_t seed = 0;
    random_seed_bytes(&seed, sizeof(seed));
    random_seed(&worker->random, seed);
    executor_init(&worker->executor, node->commands, clock_monotonic_us);
    worker->executor.environment = (struct call_environment){
        .keyspace = node->keyspace,
        .options = node->store_options,
        .random = &worker->random,
    };
    list_init(&worker->connections);
    list_init(&worker->readable);
    list_init(&worker->runnable);
    list_init(&worker->suspended);
    list_init(&worker->blocked);
    list_init(&worker->quorum_gates);
    list_init(&worker->writable);
    list_init(&worker->gated);
    list_init(&worker->held);
    list_init(&worker->closing);
    list_init(&worker->monitors);
    list_init(&worker->spare_lists);
    for (uint32_t i = 0; i < KEYSPACE_STORES_MAX; i++) {
        list_init(&worker->leaving[i]);
    }
    worker->pubsub = pubsub_new(worker);
    worker->notices = notices_new();
    worker_configure(worker);
    worker->now_ms = clock_wall_ms();
    store_tick(worker->store, worker->now_ms);
    return worker;
}

static void list_empty(struct list *list) {
    while (list_pop_front(list) != NULL) {
    }
}

/* Connections of any home leave the places where they wait to run here. */
static void drop_travellers(struct worker *worker) {
    mailbox_take_all(&worker->travellers);
    list_empty(&worker->readable);
    list_empty(&worker->runnable);
    list_empty(&worker->held);
    list_empty(&worker->suspended);
    list_empty(&worker->blocked);
    for (uint32_t i = 0; i < KEYSPACE_STORES_MAX; i++) {
        list_empty(&worker->leaving[i]);
    }
}

static void close_connections(struct worker *worker) {
    while (!list_is_empty(&worker->connections)) {
        connection_close(LIST_ENTRY(worker->connections.next, struct connection, link));
    }
    for (struct list *link = worker->closing.next; link != &worker->closing; link = link->next) {
        LIST_ENTRY(link, struct connection, link)->is_away = false;
    }
    close_stage(worker);
}

/* Lets go of what workers hold of each other: all threads have ended, the worker may be the first
 * of several to be freed, and connections may be anywhere. */
static void part(const struct node *node) {
    void (*const steps[])(struct worker *) = {drop_travellers, mail_run_posts, close_connections,
                                              mail_run_posts};
    for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        for (uint32_t i = 0; i < node->worker_count; i++) {
            if (node->workers[i] != NULL) {
                steps[step](node->workers[i]);
            }
        }
    }
}

void worker_free(struct worker *worker) {
    worker_listen_stop(worker);
    part(worker->node);
    worker->node->workers[worker->index] = NULL;
    loop_timer_stop(worker->loop, &worker->cron);
    loop_timer_stop(worker->loop, &worker->removal_timer);
    loop_timer_stop(worker->loop, &worker->deadline_timer);
    pubsub_free(worker->pubsub);
    notices_free(worker->notices);
    while (worker->spare_inputs_count > 0) {
        memory_free(worker->spare_inputs[--worker->spare_inputs_count]);
    }
    for (struct list *link; (link = list_pop_front(&worker->spare_lists)) != NULL;) {
        request_list_free(LIST_ENTRY(link, struct request_list, link));
    }
    worker->store->background = NULL;
    executor_free(&worker->executor);
    oplog_batch_free(&worker->batch);
    loading_forget(worker);
    loop_free(worker->loop);
    memory_free(worker);
}

static void *thread_main(void *context) {
    struct worker *worker = context;
    housekeeping_start(worker);
    while (!worker->is_stopping) {
        worker_tick(worker);
    }
    gate_append(worker);
    stop_leave(worker);
    return NULL;
}

int worker_start(struct worker *worker) {
    loop_timer_start(worker->loop, &worker->cron, HOUSEKEEPING_PERIOD_MS, HOUSEKEEPING_PERIOD_MS,
                     cron_is_due, worker);
    return pthread_create(&worker->thread, NULL, thread_main, worker);
}

static void stop_running(struct worker *worker, struct post *post) {
    worker->is_stopping = true;
    memory_free(post);
}

void worker_join(struct worker *worker) {
    struct post *post = memory_alloc_zeroed(sizeof(*post));
    post->run = stop_running;
    worker_post(worker, post);
    pthread_join(worker->thread, NULL);
}
