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
        log_warning("The signal to end is without effect: see the errors above.");
    }
    atomic_store(&server->shutdowns_refused, asked);
    stop_visit(&server->node, end_pause, server);
}

bool shutdown_prepare(struct server *server, int signal_number) {
    uint64_t asked = atomic_load(&server->shutdowns_asked);
    int flags = announce(server, signal_number);
    if (!must_save(server, flags)) {
        return true;
    }
    stop_visit(&server->node, begin_pause, server);
    log_notice("Saving the final snapshot before exiting.");
    if (persistence_save_last(server)) {
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
