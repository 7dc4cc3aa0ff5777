#include "server/shutdown.h"

#include "base/logger.h"
#include "server/persistence.h"
#include "worker/worker.h"

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

/* ---- writes are held ---- */

struct pause {
    struct node *node;
    int mode; /* what was there before */
    int64_t until_ms;
};

static void pause_begin(void *context) {
    struct pause *pause = context;
    struct node *node = pause->node;
    pause->mode = atomic_load(&node->pause_mode);
    pause->until_ms = atomic_load(&node->pause_until_ms);
    if (pause->mode == PAUSE_NONE) {
        atomic_store(&node->pause_mode, PAUSE_WRITE);
    }
    atomic_store(&node->pause_until_ms, INT64_MAX);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i]->is_paused = true;
    }
}

/* A CLIENT PAUSE goes on, if it was on: each worker sees when its time is over. */
static void pause_end(void *context) {
    const struct pause *pause = context;
    struct node *node = pause->node;
    atomic_store(&node->pause_mode, pause->mode);
    atomic_store(&node->pause_until_ms, pause->until_ms);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_end_pause(node->workers[i]);
        node->workers[i]->is_paused = pause->mode != PAUSE_NONE;
        loop_wake(node->workers[i]->loop);
    }
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

static void refuse(struct server *server, struct pause *pause, uint64_t asked) {
    if (!atomic_exchange(&server->is_shutting_down, false)) {
        log_warning("The signal to end is without effect: see the errors above.");
    }
    atomic_store(&server->shutdowns_refused, asked);
    stop_visit(&server->node, pause_end, pause);
}

bool shutdown_prepare(struct server *server, int signal_number) {
    uint64_t asked = atomic_load(&server->shutdowns_asked);
    int flags = announce(server, signal_number);
    if (!must_save(server, flags)) {
        return true;
    }
    struct pause pause = {.node = &server->node};
    stop_visit(&server->node, pause_begin, &pause);
    log_notice("Saving the final snapshot before exiting.");
    if (persistence_save_last(server)) {
        return true;
    }
    if ((flags & SHUTDOWN_FLAG_FORCE) != 0) {
        log_warning("Error trying to save the DB. Exit anyway.");
        return true;
    }
    log_warning("Error trying to save the DB, can't exit.");
    refuse(server, &pause, asked);
    return false;
}
