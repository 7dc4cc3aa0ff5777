#include "server/cluster_listeners.h"

#define BACKLOG 128

static void listener_is_ready(void *context, unsigned events) {
    struct cluster_listener *listener = context;
    (void)events;
    listener->is_ready = true;
}

bool cluster_listeners_open(struct cluster_listeners *listeners, struct loop *loop,
                            const char *bind, uint16_t port) {
    int fds[NETWORK_LISTENERS_MAX];
    int count = network_listen_tcp(
        &(struct network_listen_options){.bind = bind, .port = port, .backlog = BACKLOG}, fds);
    listeners->loop = loop;
    for (int i = 0; i < count; i++) {
        struct cluster_listener *listener = &listeners->items[listeners->count++];
        *listener = (struct cluster_listener){.fd = fds[i]};
        loop_watch_start(loop, &listener->watch, fds[i], LOOP_READ, listener_is_ready, listener);
    }
    return count > 0;
}

void cluster_listeners_close(struct cluster_listeners *listeners) {
    for (size_t i = 0; i < listeners->count; i++) {
        loop_watch_stop(listeners->loop, &listeners->items[i].watch);
        network_close(listeners->items[i].fd);
    }
    listeners->count = 0;
}

int cluster_listeners_accept(struct cluster_listeners *listeners) {
    for (size_t i = 0; i < listeners->count; i++) {
        struct cluster_listener *listener = &listeners->items[i];
        int fd = -1;
        if (!listener->is_ready) {
            continue;
        }
        enum network_accept_status status = network_accept(listener->fd, &fd);
        if (status == NETWORK_ACCEPTED) {
            return fd;
        }
        listener->is_ready = false; /* The loop tells when somebody waits. */
        if (status != NETWORK_ACCEPT_NONE) {
            listener->is_paused = true;
            loop_watch_change(listeners->loop, &listener->watch, 0);
        }
    }
    return -1;
}

void cluster_listeners_resume(struct cluster_listeners *listeners) {
    for (size_t i = 0; i < listeners->count; i++) {
        if (listeners->items[i].is_paused) {
            listeners->items[i].is_paused = false;
            loop_watch_change(listeners->loop, &listeners->items[i].watch, LOOP_READ);
        }
    }
}
