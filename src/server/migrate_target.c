#include "server/migrate_target.h"

#include "base/assertion.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/clock.h"
#include "io/network.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define READ_BYTES ((size_t)16 * 1024)
/* A wait looks so often whether the server is to end. */
#define LOOK_MS 100
/* What has come and was not read: a target that sends more is none. */
#define INPUT_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* ---- waiting ---- */

/* False: the time is over, or the server is to end. */
static bool wait_for(struct migrate_target *target, short events) {
    int64_t until_ms;
    int64_t now_ms = clock_monotonic_us() / 1000;
    if (__builtin_add_overflow(now_ms, target->timeout_ms, &until_ms)) {
        until_ms = INT64_MAX;
    }
    while (!atomic_load(target->targets->is_stopping)) {
        int64_t left_ms = until_ms - clock_monotonic_us() / 1000;
        struct pollfd poll_fd = {.fd = target->fd, .events = events};
        int ready = poll(&poll_fd, 1, left_ms > LOOK_MS ? LOOK_MS : left_ms > 0 ? (int)left_ms : 0);
        if (ready > 0) {
            return true;
        }
        if (ready == 0 && left_ms <= 0) {
            break;
        }
    }
    target->has_timed_out = true;
    return false;
}

/* Takes in what is there. False: the connection is gone. */
static bool take_in(struct migrate_target *target) {
    buffer_consume(&target->input, target->read_bytes);
    target->read_bytes = 0;
    if (target->input.length > INPUT_BYTES_MAX) {
        return false;
    }
    char *place = buffer_reserve(&target->input, READ_BYTES);
    struct network_result result = network_read(target->fd, place, READ_BYTES);
    if (result.status == NETWORK_MOVED) {
        buffer_commit(&target->input, result.bytes);
    }
    return result.status == NETWORK_MOVED || result.status == NETWORK_WOULD_BLOCK;
}

bool migrate_target_send(struct migrate_target *target, struct span bytes) {
    while (bytes.length > 0) {
        struct network_result result = network_write(target->fd, bytes.bytes, bytes.length);
        if (result.status == NETWORK_MOVED) {
            bytes = span_of(bytes.bytes + result.bytes, bytes.length - result.bytes);
        } else if (result.status != NETWORK_WOULD_BLOCK || !wait_for(target, POLLOUT | POLLIN) ||
                   !take_in(target)) {
            return false;
        }
    }
    return true;
}

bool migrate_target_line(struct migrate_target *target, bool waits, struct span *line) {
    for (;;) {
        const char *begin = target->input.bytes + target->read_bytes;
        size_t bytes = target->input.length - target->read_bytes;
        const char *end = bytes == 0 ? NULL : memchr(begin, '\n', bytes);
        if (end != NULL) {
            size_t length = (size_t)(end - begin);
            target->read_bytes += length + 1;
            length -= length > 0 && end[-1] == '\r';
            *line = span_of(begin, length);
            return true;
        }
        if (bytes > MIGRATE_LINE_BYTES_MAX || !waits || !wait_for(target, POLLIN) ||
            !take_in(target)) {
            return false;
        }
    }
}

/* ---- connections ---- */

static char *name_of(const char *host, const char *port) {
    struct buffer name = BUFFER_EMPTY;
    buffer_format(&name, "%s:%s", host, port);
    buffer_append_byte(&name, '\0');
    return name.bytes;
}

/* As the C library reads a number, like redis-server: the digits that there are. */
static uint16_t port_of(const char *text) {
    uint32_t port = 0;
    for (; *text >= '0' && *text <= '9' && port <= UINT16_MAX; text++) {
        port = port * 10 + (uint32_t)(*text - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

void migrate_target_close(struct migrate_target *target) {
    network_close(target->fd);
    atomic_fetch_sub(&target->targets->count, 1);
    buffer_free(&target->input);
    memory_free(target->name);
    memory_free(target);
}

/* That is kept, or NULL. */
static struct migrate_target *take_kept(struct migrate_targets *targets, const char *name) {
    struct migrate_target *found = NULL;
    pthread_mutex_lock(&targets->mutex);
    LIST_FOR_EACH(link, &targets->idle) {
        struct migrate_target *target = LIST_ENTRY(link, struct migrate_target, link);
        if (strcmp(target->name, name) == 0) {
            found = target;
            list_remove(&target->link);
            targets->idle_count--;
            break;
        }
    }
    pthread_mutex_unlock(&targets->mutex);
    return found;
}

/* Nothing has come that nobody asked for, the end of the connection among it: it would be taken for
 * the answer to what is asked next. */
static bool is_quiet(struct migrate_target *target) {
    char byte;
    return target->input.length == target->read_bytes &&
           network_read(target->fd, &byte, sizeof(byte)).status == NETWORK_WOULD_BLOCK;
}

static struct migrate_target *target_new(struct migrate_targets *targets, char *name, int fd) {
    struct migrate_target *target = memory_alloc(sizeof(*target));
    *target = (struct migrate_target){
        .targets = targets,
        .name = name,
        .fd = fd,
        .database = -1,
        .input = BUFFER_EMPTY,
    };
    list_init(&target->link);
    atomic_fetch_add(&targets->count, 1);
    return target;
}

enum migrate_connect migrate_target_take(struct migrate_targets *targets, const char *host,
                                         const char *port, int64_t timeout_ms,
                                         struct migrate_target **target) {
    char *name = name_of(host, port);
    while ((*target = take_kept(targets, name)) != NULL) {
        if (is_quiet(*target)) {
            memory_free(name);
            (*target)->timeout_ms = timeout_ms;
            (*target)->has_timed_out = false;
            return MIGRATE_CONNECTED;
        }
        migrate_target_close(*target);
    }
    int fd = network_connect_start(
        &(struct network_connect_options){.host = host, .port = port_of(port)});
    if (fd < 0) {
        bool is_refused = errno == ECONNREFUSED;
        memory_free(name);
        return is_refused ? MIGRATE_REFUSED : MIGRATE_UNREACHABLE;
    }
    struct migrate_target *made = target_new(targets, name, fd);
    made->timeout_ms = timeout_ms;
    int error = network_connect_result(fd);
    if (error == EINPROGRESS && wait_for(made, POLLOUT)) {
        error = network_connect_result(fd);
    }
    if (error != 0) {
        migrate_target_close(made);
        return error == EINPROGRESS ? MIGRATE_UNREACHABLE : MIGRATE_REFUSED;
    }
    network_set_no_delay(fd);
    *target = made;
    return MIGRATE_CONNECTED;
}

/* Takes the oldest out, if it was idle too long or there are too many. */
static struct migrate_target *take_old(struct migrate_targets *targets, int64_t now_ms) {
    if (list_is_empty(&targets->idle)) {
        return NULL;
    }
    struct migrate_target *oldest = LIST_ENTRY(targets->idle.next, struct migrate_target, link);
    if (targets->idle_count <= MIGRATE_TARGETS_MAX &&
        oldest->used_ms + MIGRATE_TARGET_IDLE_MS > now_ms) {
        return NULL;
    }
    list_remove(&oldest->link);
    targets->idle_count--;
    return oldest;
}

bool migrate_targets_sweep(struct migrate_targets *targets, int64_t now_ms) {
    for (;;) {
        pthread_mutex_lock(&targets->mutex);
        struct migrate_target *old = take_old(targets, now_ms);
        bool has_more = !list_is_empty(&targets->idle);
        pthread_mutex_unlock(&targets->mutex);
        if (old == NULL) {
            return has_more;
        }
        migrate_target_close(old);
    }
}

void migrate_target_give(struct migrate_target *target, int64_t now_ms) {
    struct migrate_targets *targets = target->targets;
    if (target->input.length > target->read_bytes) {
        migrate_target_close(target);
        return;
    }
    target->used_ms = now_ms;
    pthread_mutex_lock(&targets->mutex);
    list_push_back(&targets->idle, &target->link);
    targets->idle_count++;
    pthread_mutex_unlock(&targets->mutex);
    migrate_targets_sweep(targets, now_ms);
}

void migrate_targets_init(struct migrate_targets *targets, const atomic_bool *is_stopping) {
    int failed = pthread_mutex_init(&targets->mutex, NULL);
    ASSERT(failed == 0);
    list_init(&targets->idle);
    targets->idle_count = 0;
    targets->is_stopping = is_stopping;
    atomic_init(&targets->count, 0);
}

void migrate_targets_free(struct migrate_targets *targets) {
    for (struct list *link; (link = list_pop_front(&targets->idle)) != NULL;) {
        migrate_target_close(LIST_ENTRY(link, struct migrate_target, link));
    }
    pthread_mutex_destroy(&targets->mutex);
}
