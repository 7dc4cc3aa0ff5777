#include "server/shutdown.h"

#include "base/logger.h"
#include "io/clock.h"
#include "io/signals.h"
#include "server/cluster.h"
#include "server/persistence.h"
#include "worker/gate.h"

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

uint64_t shutdown_request(struct server *server, int flags) {
    atomic_store(&server->shutdown_flags, flags);
    uint64_t number = atomic_fetch_add(&server->shutdowns_asked, 1) + 1;
    atomic_store(&server->is_shutting_down, true);
    kill(getpid(), SIGTERM); /* Wakes the main thread from its wait. */
    return number;
}

bool shutdown_is_refused(const struct server *server, uint64_t number) {
    return atomic_load(&server->shutdowns_refused) >= number;
}

/* ---- the decision ---- */

/* As Redis does: when there are save rules, or SHUTDOWN says so. */
static bool must_save(const struct server *server, int flags) {
    return (flags & SHUTDOWN_FLAG_SAVE) != 0 ||
           (server->options->server.save.count > 0 && (flags & SHUTDOWN_FLAG_NOSAVE) == 0);
}

static int announce(struct server *server, int signal_number) {
    if (atomic_load(&server->is_shutting_down)) {
        log_warning("User requested shutdown...");
        return atomic_load(&server->shutdown_flags);
    }
    bool is_sigterm = signal_number == SIGTERM;
    log_warning("Received %s scheduling shutdown...", is_sigterm ? "SIGTERM" : "SIGINT");
    const struct server_options *options = &server->options->server;
    return is_sigterm ? options->shutdown_on_sigterm : options->shutdown_on_sigint;
}

static void begin_pause(void *context) {
    write_pause_begin(&((struct server *)context)->write_pause);
}

static void end_pause(void *context) {
    write_pause_end(&((struct server *)context)->write_pause);
}

static void refuse(struct server *server, uint64_t asked) {
    if (!atomic_exchange(&server->is_shutting_down, false)) {
        log_warning("The signal to end is without effect: see above.");
    }
    atomic_store(&server->shutdowns_refused, asked);
    stop_visit(&server->node, end_pause, server);
}

/* ---- replicas that are behind ---- */

/* With each look, while the server waits for them. */
#define LOOK_MS 20

struct census {
    struct server *server;
    bool is_told; /* who is behind, to the log */
    uint32_t replicas;
    uint32_t behind;
};

/* Under a stop, since the log may be switched. */
static void count_replicas(void *context) {
    struct census *census = context;
    struct node *node = &census->server->node;
    struct replication_link links[REPLICATION_LINKS_MAX];
    census->replicas = 0;
    census->behind = 0;
    if (node_is_led(node) || node->log == NULL) {
        return;
    }
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    uint64_t end = oplog_end_position(node->log);
    census->replicas = replication_links_read(&census->server->replication, links);
    for (uint32_t i = 0; i < census->replicas; i++) {
        const struct feed_figures *figures = &links[i].figures;
        bool is_behind = links[i].stage != FEED_LOG || figures->applied < end;
        census->behind += is_behind;
        if (is_behind && census->is_told) {
            log_warning("Lagging replica %s:%u reported position %" PRIu64 ", the log ends at "
                        "%" PRIu64 ".",
                        links[i].address, links[i].port, figures->applied, end);
        }
    }
}

/* False: it is to be waited no more. */
static bool waits_on(struct server *server, int signal_number, uint64_t *asked) {
    if (atomic_load(&server->shutdown_wait) != SHUTDOWN_WAITS) {
        return false;
    }
    if (signal_number != SIGTERM && signal_number != SIGINT) {
        return true;
    }
    uint64_t now_asked = atomic_load(&server->shutdowns_asked);
    bool is_command = now_asked != *asked;
    *asked = now_asked;
    return is_command && (atomic_load(&server->shutdown_flags) & SHUTDOWN_FLAG_NOW) == 0;
}

static bool end_wait(struct server *server) {
    return atomic_exchange(&server->shutdown_wait, SHUTDOWN_WAITS_NOT) == SHUTDOWN_WAITS;
}

static int64_t timeout_ms(const struct server *server) {
    return server->options->server.shutdown_timeout * 1000;
}

/* In a cluster a replica takes over first, so that nobody misses this node. False: SHUTDOWN
 * ABORT. */
static bool make_way(struct server *server, uint64_t *asked) {
    if (server->seat == NULL) {
        return true;
    }
    atomic_store(&server->shutdown_wait, SHUTDOWN_WAITS);
    cluster_leave(server, (uint64_t)timeout_ms(server));
    while (cluster_is_leaving(server) && waits_on(server, signals_wait(LOOK_MS), asked)) {
    }
    return end_wait(server);
}

/* Writes are held. False: SHUTDOWN ABORT. */
static bool wait_for_replicas(struct server *server, uint64_t *asked) {
    struct census census = {.server = server};
    int64_t until_us = clock_monotonic_us() + timeout_ms(server) * 1000;
    stop_visit(&server->node, count_replicas, &census);
    if (census.behind == 0) {
        return true;
    }
    log_notice("Waiting for replicas before shutting down.");
    atomic_store(&server->shutdown_wait, SHUTDOWN_WAITS);
    while (census.behind > 0 && clock_monotonic_us() < until_us &&
           waits_on(server, signals_wait(LOOK_MS), asked)) {
        stop_visit(&server->node, count_replicas, &census);
    }
    census.is_told = true;
    stop_visit(&server->node, count_replicas, &census);
    log_notice("%u of %u replicas are in sync when shutting down.", census.replicas - census.behind,
               census.replicas);
    return end_wait(server);
}

bool shutdown_abort(struct server *server) {
    int waits = SHUTDOWN_WAITS;
    return atomic_compare_exchange_strong(&server->shutdown_wait, &waits, SHUTDOWN_ABORTED);
}

/* ---- all of it ---- */

static void abort_all(struct server *server, uint64_t asked) {
    log_notice("Shutdown manually aborted.");
    refuse(server, asked);
}

/* Snapshots that are tried. */
#define SAVES_MAX 3

static bool has_nothing_whole(struct server *server) {
    bool is_whole = replica_is_whole(&server->replica);
    if (!is_whole) {
        log_warning("This replica does not have all data yet: there is nothing whole to save.");
    }
    return !is_whole;
}

/* False: it could not be saved. */
static bool save_last(struct server *server) {
    if (has_nothing_whole(server)) {
        return true;
    }
    log_notice("Saving the final snapshot before exiting.");
    /* In a cluster the history may turn meanwhile, since another node has taken over. */
    bool is_saved = persistence_save_last(server);
    for (int i = 1; !is_saved && server->seat != NULL && i < SAVES_MAX; i++) {
        is_saved = persistence_save_last(server);
    }
    /* Or it has become a replica meanwhile, which is copied. */
    return is_saved || has_nothing_whole(server);
}

bool shutdown_prepare(struct server *server, int signal_number) {
    uint64_t asked = atomic_load(&server->shutdowns_asked);
    int flags = announce(server, signal_number);
    bool saves = must_save(server, flags);
    bool waits = (flags & SHUTDOWN_FLAG_NOW) == 0 && server->options->server.shutdown_timeout > 0;
    if (!saves && !waits) {
        return true;
    }
    bool goes_on = !waits || make_way(server, &asked);
    stop_visit(&server->node, begin_pause, server);
    if (!goes_on || (waits && !wait_for_replicas(server, &asked))) {
        abort_all(server, asked);
        return false;
    }
    if (!saves || save_last(server)) {
        return true;
    }
    if ((flags & SHUTDOWN_FLAG_FORCE) != 0) {
        log_warning("Error trying to save the DB. Exit anyway.");
        return true;
    }
    log_warning("Error trying to save the DB, can't exit.");
    refuse(server, asked);
    return false;
}
