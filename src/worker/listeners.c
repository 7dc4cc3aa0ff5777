#include "worker/listeners.h"

#include "base/logger.h"
#include "base/memory.h"

#include <errno.h>

struct adoption {
    struct post post;
    int fd;
    bool is_unix;
};

static void adopt(struct worker *worker, struct post *post) {
    struct adoption *adoption = (struct adoption *)post;
    worker_adopt(worker, adoption->fd, adoption->is_unix);
    memory_free(adoption);
}

/* Tells the client why it is not let in. Best effort: the socket is new, so there is room. */
static void refuse(struct node *node, int fd, const char *text) {
    network_write(fd, text, strlen(text));
    network_close(fd);
    atomic_fetch_add(&node->connections_rejected, 1);
}

static bool is_protected(const struct node *node, int fd, bool is_unix) {
    return node->protected_mode && node->password[0] == '\0' && !is_unix &&
           !network_peer_is_local(fd);
}

static void welcome(struct listeners *listeners, int fd, bool is_unix) {
    struct node *node = listeners->worker->node;
    if (atomic_load(&node->clients) >= (uint64_t)node->options->maxclients) {
        refuse(node, fd, "-ERR max number of clients reached\r\n");
        return;
    }
    if (is_protected(node, fd, is_unix)) {
        refuse(node, fd,
               "-DENIED Tarn is running in protected mode: no password is set for the default "
               "user, so only clients on this machine are let in. To let in others, set a "
               "password (CONFIG SET requirepass, or requirepass in the config file), or, where "
               "the network itself is trusted, switch the mode off from this machine with CONFIG "
               "SET protected-mode no.\r\n");
        return;
    }
    atomic_fetch_add(&node->clients, 1);
    atomic_fetch_add(&node->connections_received, 1);
    struct worker *target = node->workers[listeners->next_worker];
    listeners->next_worker = (listeners->next_worker + 1) % node->worker_count;
    if (target == listeners->worker) {
        worker_adopt(target, fd, is_unix);
        return;
    }
    struct adoption *adoption = memory_alloc_zeroed(sizeof(*adoption));
    adoption->post.run = adopt;
    adoption->fd = fd;
    adoption->is_unix = is_unix;
    worker_post(target, &adoption->post);
}

static void pause_all(struct listeners *listeners) {
    for (uint32_t i = 0; i < listeners->count; i++) {
        loop_watch_change(listeners->worker->loop, &listeners->items[i].watch, 0);
    }
    listeners->is_paused = true;
}

void listeners_resume(struct listeners *listeners) {
    if (!listeners->is_paused) {
        return;
    }
    for (uint32_t i = 0; i < listeners->count; i++) {
        loop_watch_change(listeners->worker->loop, &listeners->items[i].watch, LOOP_READ);
    }
    listeners->is_paused = false;
}

static void acceptable(void *context, unsigned events) {
    struct listener *listener = context;
    /* A flood at one of them does not shut the others. */
    const uint32_t share = TICK_ACCEPTS_MAX / listener->owner->count;
    (void)events;
    for (uint32_t i = 0; i < share; i++) {
        int fd = -1;
        switch (network_accept(listener->fd, &fd)) {
        case NETWORK_ACCEPTED:
            listener->owner->worker->work.accepts++;
            welcome(listener->owner, fd, listener->is_unix);
            break;
        case NETWORK_ACCEPT_NONE:
            return;
        case NETWORK_ACCEPT_LIMIT:
        case NETWORK_ACCEPT_ERROR:
            log_warning("Accepting client connection: %s", strerror(errno));
            pause_all(listener->owner);
            return;
        }
    }
}

static void add(struct listeners *listeners, int fd, bool is_unix) {
    ASSERT(listeners->count < NETWORK_LISTENERS_MAX + 1);
    struct listener *listener = &listeners->items[listeners->count++];
    listener->owner = listeners;
    listener->fd = fd;
    listener->is_unix = is_unix;
    loop_watch_start(listeners->worker->loop, &listener->watch, fd, LOOP_READ, acceptable,
                     listener);
}

void worker_listen(struct worker *worker, const int *fds, size_t count, int unix_fd) {
    if (worker->listeners == NULL) {
        worker->listeners = memory_alloc_zeroed(sizeof(struct listeners));
        worker->listeners->worker = worker;
    }
    for (size_t i = 0; i < count; i++) {
        add(worker->listeners, fds[i], false);
    }
    if (unix_fd >= 0) {
        add(worker->listeners, unix_fd, true);
    }
}

static void close_one(struct listener *listener) {
    loop_watch_stop(listener->owner->worker->loop, &listener->watch);
    network_close(listener->fd);
}

void worker_listen_stop_tcp(struct worker *worker) {
    struct listeners *listeners = worker->listeners;
    int unix_fds[NETWORK_LISTENERS_MAX + 1];
    uint32_t unix_count = 0;
    if (listeners == NULL) {
        return;
    }
    /* A watch may not move while it runs: those that stay are started anew. */
    for (uint32_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->items[i];
        if (listener->is_unix) {
            loop_watch_stop(worker->loop, &listener->watch);
            unix_fds[unix_count++] = listener->fd;
        } else {
            close_one(listener);
        }
    }
    listeners->count = 0;
    listeners->is_paused = false;
    for (uint32_t i = 0; i < unix_count; i++) {
        add(listeners, unix_fds[i], true);
    }
}

void worker_listen_stop(struct worker *worker) {
    struct listeners *listeners = worker->listeners;
    if (listeners == NULL) {
        return;
    }
    for (uint32_t i = 0; i < listeners->count; i++) {
        close_one(&listeners->items[i]);
    }
    memory_free(listeners);
    worker->listeners = NULL;
}
