#include "worker/worker.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/cutting.h"
#include "worker/dispatch.h"
#include "worker/gate.h"
#include "worker/housekeeping.h"
#include "worker/loading.h"
#include "worker/notices.h"
#include "worker/pubsub.h"
#include "worker/transactions.h"

#define LOOK_AHEAD_LINE_BYTES 64

/* ---- pools ---- */

char *worker_borrow_input(struct worker *worker) {
    return worker->spare_inputs_count > 0 ? worker->spare_inputs[--worker->spare_inputs_count]
                                          : memory_alloc(INPUT_BYTES);
}

void worker_return_input(struct worker *worker, char *input) {
    if (worker->spare_inputs_count < SPARE_INPUTS_MAX) {
        worker->spare_inputs[worker->spare_inputs_count++] = input;
    } else {
        memory_free(input);
    }
}

struct request_list *worker_borrow_list(struct worker *worker) {
    struct list *link = list_pop_front(&worker->spare_lists);
    if (link != NULL) {
        worker->spare_lists_count--;
        return LIST_ENTRY(link, struct request_list, link);
    }
    struct request_list *list = memory_alloc(sizeof(*list));
    list_init(&list->link);
    list->count = 0;
    list->next = 0;
    list->spans_count = 0;
    list->spans_capacity = 0;
    list->spans = NULL;
    list->blocks = NULL;
    return list;
}

void worker_return_list(struct worker *worker, struct request_list *list) {
    request_list_clear(list);
    if (worker->spare_lists_count < SPARE_LISTS_MAX && list->spans_capacity <= ARGUMENTS_KEPT_MAX) {
        list_push_front(&worker->spare_lists, &list->link);
        worker->spare_lists_count++;
    } else {
        request_list_free(list);
    }
}

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

/* ---- mail ---- */

void worker_post(struct worker *worker, struct post *post) {
    if (mailbox_push(&worker->mailbox, &post->mail)) {
        loop_wake(worker->loop);
    }
}

/* The connection goes on at that worker: now, or with the tick's mail. */
static void send_to(struct worker *worker, struct connection *connection, uint32_t target) {
    list_remove(&connection->run_link);
    if (connection->home == worker) {
        if (target != worker->index) {
            connection->is_away = true;
        } else if (connection->is_away) {
            connection_arrived(connection);
        }
    }
    if (target == worker->index) {
        list_push_back(&worker->runnable, &connection->run_link);
    } else {
        list_push_back(&worker->leaving[target], &connection->run_link);
        worker->has_leaving = true;
    }
}

/* What travellers bring lies in another core's cache: it is asked for all at once. */
static void fetch_travellers(struct mailbox_node *first) {
    for (struct mailbox_node *node = first; node != NULL; node = node->next) {
        const char *connection = (const char *)MAILBOX_ENTRY(node, struct connection, mail);
        for (size_t at = LOOK_AHEAD_LINE_BYTES; at < offsetof(struct connection, link);
             at += LOOK_AHEAD_LINE_BYTES) {
            __builtin_prefetch(connection + at);
        }
        __builtin_prefetch(MAILBOX_ENTRY(node, struct connection, mail)->requests);
    }
    for (struct mailbox_node *node = first; node != NULL; node = node->next) {
        const struct connection *connection = MAILBOX_ENTRY(node, struct connection, mail);
        const struct request_list *list = connection->requests;
        __builtin_prefetch(connection->reply.buffer.bytes + connection->reply.buffer.length, 1);
        if (list != NULL && list->next < list->count) {
            __builtin_prefetch(&list->items[list->next]);
            __builtin_prefetch(&list->items[list->next + 1]);
            __builtin_prefetch(list->spans + list->items[list->next].args_at);
            __builtin_prefetch(list->spans[list->items[list->next].args_at].bytes);
        }
    }
}

static void run_posts(struct worker *worker) {
    for (struct mailbox_node *node = mailbox_take_all(&worker->mailbox); node != NULL;) {
        struct post *post = MAILBOX_ENTRY(node, struct post, mail);
        node = node->next;
        post->run(worker, post);
    }
    gate_follow(worker);
}

static void mail_stage(struct worker *worker) {
    /* Travellers first, since what they run here must not overtake the posts that left before
     * them. */
    if (!mailbox_is_empty(&worker->travellers)) {
        struct mailbox_node *first = mailbox_take_all(&worker->travellers);
        fetch_travellers(first);
        for (struct mailbox_node *node = first; node != NULL;) {
            struct connection *connection = MAILBOX_ENTRY(node, struct connection, mail);
            node = node->next;
            if (connection->home == worker) {
                connection_arrived(connection);
            }
            list_push_back(&worker->runnable, &connection->run_link);
        }
    }
    if (UNLIKELY(!mailbox_is_empty(&worker->mailbox))) {
        run_posts(worker);
    }
}

static void send_mail_stage(struct worker *worker) {
    if (!worker->has_leaving) {
        return;
    }
    worker->has_leaving = false;
    /* All notices first: a connection may go on from its next worker before this loop is
     * through. */
    for (uint32_t i = 0; i < worker->node->worker_count; i++) {
        struct post *notices = notices_take(worker->notices, i);
        if (notices != NULL) {
            worker_post(worker->node->workers[i], notices);
        }
    }
    for (uint32_t i = 0; i < worker->node->worker_count; i++) {
        struct worker *target = worker->node->workers[i];
        bool must_wake = false;
        for (struct list *link; (link = list_pop_front(&worker->leaving[i])) != NULL;) {
            struct connection *connection = LIST_ENTRY(link, struct connection, run_link);
            gate_carry(worker, connection);
            must_wake |= mailbox_push(&target->travellers, &connection->mail);
        }
        if (must_wake) {
            loop_wake(target->loop);
        }
    }
}

/* ---- requests ---- */

static void read_stage(struct worker *worker) {
    for (struct list *link; (link = list_pop_front(&worker->readable)) != NULL;) {
        struct connection *connection = LIST_ENTRY(link, struct connection, run_link);
        if (connection->closes) {
            continue;
        }
        if (worker->work.read_bytes >= TICK_READ_BYTES_MAX) {
            continue; /* The socket is still readable: the next tick sees it. */
        }
        connection_read(connection);
        if ((connection->flags & CONNECTION_INPUT_LEFT) != 0 && !connection->closes) {
            list_push_back(&worker->runnable, &connection->run_link);
        }
    }
}

/* Finds the command, and the slot and hash of the first key. */
static void know_request(const struct worker *worker, const struct connection *connection,
                         struct request *request) {
    const struct span *args = connection->requests->spans + request->args_at;
    const struct command_slot *found = command_table_resolve(
        worker->node->commands, args, request->args_count, &request->container);
    request->is_known = true;
    request->command = found;
    if (found == NULL || found->command->run == NULL) {
        return;
    }
    const struct key_spec *spec = &found->command->keys[0];
    if (spec->flags == 0 || spec->keyword != NULL || spec->begin <= 0 || spec->step == 0 ||
        (uint32_t)spec->begin >= request->args_count) {
        return;
    }
    request->first_key = (uint32_t)spec->begin;
    struct span key = args[spec->begin];
    request->first_slot = slot_of_key(key);
    request->first_hash = store_hash(worker->store, key);
}

/* A request whose first key's entry is to be fetched, and where that would stand. */
struct prospect {
    const struct table *table;
    const struct table_bucket *bucket;
    uint64_t hash;
};

/* Looks at the connection's requests up to the first that must run elsewhere. Answers how many
 * prospects were added. */
static uint32_t look_at_requests(const struct worker *worker, const struct connection *connection,
                                 struct prospect *prospects) {
    struct request_list *list = connection->requests;
    uint32_t count = 0;
    for (uint32_t i = list->next; i < list->count; i++) {
        struct request *request = &list->items[i];
        if (!request->is_known) {
            know_request(worker, connection, request);
        }
        if (request->first_key == 0) {
            continue;
        }
        if (!store_owns(worker->store, request->first_slot)) {
            break;
        }
        const struct table *table =
            store_table(worker->store, connection->database, request->first_slot);
        if (table != NULL) {
            __builtin_prefetch(table);
            prospects[count++] = (struct prospect){.table = table, .hash = request->first_hash};
        }
    }
    return count;
}

/* Has what the requests will touch fetched into the cache, across connections: the slot's header,
 * then its bucket, then the entry. */
static void look_ahead(const struct worker *worker, struct connection *const *group,
                       uint32_t count) {
    struct prospect prospects[GROUP_REQUESTS_MAX + REQUESTS_MAX];
    uint32_t prospects_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        prospects_count += look_at_requests(worker, group[i], prospects + prospects_count);
    }
    for (uint32_t i = 0; i < prospects_count; i++) {
        prospects[i].bucket = table_home(prospects[i].table, prospects[i].hash);
        __builtin_prefetch(prospects[i].bucket);
    }
    for (uint32_t i = 0; i < prospects_count; i++) {
        if (prospects[i].bucket != NULL) {
            const char *entry = table_guess(prospects[i].bucket, prospects[i].hash);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + LOOK_AHEAD_LINE_BYTES);
        }
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
            list_push_back(&worker->runnable, &connection->run_link);
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
    connection_resume_reading(connection);
}

/* True: the request changes data, and must wait for room in the log or in an image. */
static bool must_hold(struct worker *worker, const struct connection *connection,
                      const struct request *request) {
    const struct command_slot *slot = request->command;
    const unsigned writes = COMMAND_WRITE | COMMAND_MAY_REPLICATE;
    if (slot == NULL ||
        ((slot->command->flags & writes) == 0 &&
         (slot->command->session == NULL || !transaction_has_flag(connection, writes)))) {
        return false;
    }
    if (worker->node->log != NULL && oplog_is_full(worker->node->log)) {
        atomic_store(&worker->awaits_log, true);
        return oplog_is_full(worker->node->log);
    }
    return worker->cut != NULL &&
           cutting_holds(worker, request_has_one_key(request) ? request->first_slot : SLOTS);
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
            know_request(worker, connection, request);
        }
        if (UNLIKELY(worker->may_hold) && must_hold(worker, connection, request)) {
            list_push_back(&worker->held, &connection->run_link);
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
            send_to(worker, connection, route.target);
            return;
        case DISPATCH_STOP:
            if (connection->home == worker) {
                connection->is_away = true;
            }
            stop_wait(worker->node, connection, route.stopped);
            return;
        case DISPATCH_HOLD:
            list_push_back(&worker->held, &connection->run_link);
            return;
        case DISPATCH_SUSPEND:
            if (connection->home != worker) {
                send_to(worker, connection, connection->home->index);
            } else {
                connection->is_suspended = true;
                list_push_back(&worker->suspended, &connection->run_link);
                connection_mark_output(connection);
            }
            return;
        }
    }
    if (connection->home != worker) {
        send_to(worker, connection, connection->home->index);
    } else {
        requests_finished(worker, connection);
    }
}

void worker_run_stopped(struct worker *worker, struct connection *connection) {
    struct request_list *list = connection->requests;
    struct route route = {0};
    enum dispatch_outcome outcome = DISPATCH_DONE;
    if (connection->home != worker || !connection->closes) {
        worker->running = connection;
        outcome = dispatch_request(worker, connection, &list->items[list->next], true, &route);
        worker->running = NULL;
    }
    /* A CLIENT PAUSE that was served by this same stop holds it: it waits at home. */
    if (outcome != DISPATCH_SUSPEND) {
        ASSERT(outcome == DISPATCH_DONE);
        list->next++;
        worker->work.requests++;
    }
    send_to(worker, connection, connection->home->index);
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
            if (UNLIKELY(connection->is_gated) && connection->home == worker) {
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
    bool is_full = node->log != NULL && oplog_is_full(node->log);
    worker->log_has_failed =
        node->log != NULL && node->log_gates && (is_full || oplog_error(node->log) != 0);
    worker->may_hold = worker->cut != NULL || is_full;
    worker->may_refuse = atomic_load_explicit(&node->is_loading, memory_order_relaxed) ||
                         atomic_load_explicit(&node->refuses_writes, memory_order_relaxed) ||
                         atomic_load_explicit(&node->log_is_at_max, memory_order_relaxed) ||
                         (node->log != NULL && oplog_error(node->log) != 0);
    gate_open_step(worker);
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
        if (UNLIKELY(reply_bytes(&connection->reply) >= CONNECTION_OUTPUT_CHECK_BYTES)) {
            connection_check_output_limit(connection, worker->now_ms);
            if (connection->closes) {
                continue;
            }
        }
        if (worker->work.written_bytes >= TICK_WRITE_BYTES_MAX) {
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
           worker->has_leaving || cutting_has_work(worker) || loading_has_work(worker);
}

static void note_work(struct worker *worker) {
    const struct tick_work *work = &worker->work;
    struct tick_work *max = &worker->work_max;
    max->accepts = work->accepts > max->accepts ? work->accepts : max->accepts;
    max->requests = work->requests > max->requests ? work->requests : max->requests;
    max->read_bytes = work->read_bytes > max->read_bytes ? work->read_bytes : max->read_bytes;
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
    mail_stage(worker);
    read_stage(worker);
    run_stage(worker);
    gate_append(worker);
    stop_serve(worker);
    write_stage(worker);
    send_mail_stage(worker);
    if (!list_is_empty(&worker->closing)) {
        close_stage(worker);
    }
    housekeeping_tick(worker);
    gate_append(worker);

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

void worker_configure(struct worker *worker) {
    const struct worker_options *options = worker->node->options;
    struct executor *executor = &worker->executor;
    bool measures_latency = options->latency_monitor_threshold > 0;
    int64_t slower_than_us = options->slowlog_log_slower_than;
    executor->tracks_latency = options->latency_tracking;
    executor->times_all =
        measures_latency || (slower_than_us >= 0 && slower_than_us < EXECUTOR_EXACT_BELOW_US);
    int64_t from_us = slower_than_us >= 0 ? slower_than_us : INT64_MAX;
    if (measures_latency && options->latency_monitor_threshold < from_us / 1000) {
        from_us = options->latency_monitor_threshold * 1000;
    }
    worker->note_from_us = atomic_load(&worker->node->monitors) != 0 ? 0 : from_us;
    pubsub_notify_configure(worker);
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
    void (*const steps[])(struct worker *) = {drop_travellers, run_posts, close_connections,
                                              run_posts};
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
