/* A load generator for one server that speaks the Redis protocol.
 *
 * It keeps `connections` pipelines full with one kind of command over uniformly random keys, and
 * prints one JSON object: commands, time, the server's own CPU time and the latency percentiles.
 * It must cost less than the server that it loads, so it
 *  - copies a ready-made request and overwrites only the digits of its key,
 *  - sends a whole pipeline with one call, the large values straight from one shared block,
 *  - looks only at the first line of a reply and steps over the rest by its length.
 *
 * Closed loop: a connection sends its next pipeline when the last reply of the former has come.
 * The latency of a command is the time from the sending of its pipeline to the reading of its
 * reply. With --rate, pipelines rest until their time has come: the rate holds as long as the
 * server keeps up. One thread; an error reply or a lost connection ends the run with exit code 1.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "generator.h"
#include "histogram.h"
#include "options.h"
#include "program.h"
#include "replies.h"

enum {
    LARGE_REPLY_MIN = 256 * 1024, /* from here on a reply's body is dropped in the kernel */
    READ_SIZE = 64 * 1024,
    EVENTS_MAX = 256,
    PIECES_SENT_MAX = 64,
};

struct connection {
    int fd;
    bool waits_for_output;
    char *text;           /* the texts of one pipeline */
    struct iovec *pieces; /* what is to be sent: from `piece` up to `pieces_count` */
    size_t pieces_count;
    size_t piece;
    size_t replies_due;
    int64_t sent_ns;
    struct replies replies;
};

struct snapshot {
    int64_t wall_ns;
    int64_t cpu_ns;
    uint64_t replies;
};

struct load {
    struct options options;
    struct generator *generator;
    struct connection *connections;
    struct histogram *latency;
    char *input;
    int epoll_fd;
    clockid_t cpu_clock;
    uint64_t replies;
    bool stopping;
    int64_t started_ns;
    uint64_t sent;
    struct connection **resting; /* with --rate: connections whose next pipeline is not due yet */
    size_t resting_count;
};

static int64_t clock_ns(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) {
        program_fail("cannot read a clock: %s", strerror(errno));
    }
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* ---- connections ---- */

static void watch(struct load *load, struct connection *connection, bool output) {
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0),
                                .data.ptr = connection};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) != 0) {
        program_fail("epoll_ctl: %s", strerror(errno));
    }
    connection->waits_for_output = output;
}

static void connection_open(struct load *load, struct connection *connection) {
    connection->text =
        program_allocate(generator_text_size_max(load->generator) * load->options.pipeline);
    connection->pieces = program_allocate((2 * load->options.pipeline + 1) * sizeof(struct iovec));

    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)load->options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        program_fail("cannot connect to port %d: %s", load->options.port, strerror(errno));
    }
    if (setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0) {
        program_fail("cannot set up a socket: %s", strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        program_fail("epoll_ctl: %s", strerror(errno));
    }
}

static void connection_send(struct load *load, struct connection *connection) {
    while (connection->piece < connection->pieces_count) {
        struct iovec *first = &connection->pieces[connection->piece];
        size_t count = connection->pieces_count - connection->piece;
        ssize_t sent = count == 1
                           ? send(connection->fd, first->iov_base, first->iov_len, 0)
                           : writev(connection->fd, first,
                                    (int)(count < PIECES_SENT_MAX ? count : PIECES_SENT_MAX));
        if (sent < 0) {
            if (errno == EAGAIN) {
                break;
            }
            program_fail("cannot send: %s", strerror(errno));
        }
        for (size_t left = (size_t)sent; left > 0;) {
            struct iovec *piece = &connection->pieces[connection->piece];
            size_t step = left < piece->iov_len ? left : piece->iov_len;
            piece->iov_base = (char *)piece->iov_base + step;
            piece->iov_len -= step;
            left -= step;
            connection->piece += piece->iov_len == 0 ? 1 : 0;
        }
    }
    bool output = connection->piece < connection->pieces_count;
    if (output != connection->waits_for_output) {
        watch(load, connection, output);
    }
}

static void connection_add_piece(struct connection *connection, char *place, size_t size) {
    struct iovec *last = &connection->pieces[connection->pieces_count];
    if (connection->pieces_count > 0 && (char *)last[-1].iov_base + last[-1].iov_len == place) {
        last[-1].iov_len += size;
        return;
    }
    *last = (struct iovec){.iov_base = place, .iov_len = size};
    connection->pieces_count++;
}

/* Makes and sends the next pipeline, if the run goes on. */
static void connection_next(struct load *load, struct connection *connection, int64_t now_ns) {
    char *place = connection->text;

    connection->piece = 0;
    connection->pieces_count = 0;
    for (size_t i = 0; i < load->options.pipeline && !load->stopping; i++) {
        struct generator_request request = generator_next(load->generator, place);
        connection_add_piece(connection, place, request.text_size);
        if (request.body != NULL) {
            connection_add_piece(connection, request.body, request.body_size);
        }
        place += request.text_size;
        connection->replies_due++;
        load->sent++;
        load->stopping = generator_ended(load->generator);
    }
    connection->sent_ns = now_ns;
    connection_send(load, connection);
}

static bool is_due(const struct load *load, int64_t now_ns) {
    double rate = load->options.rate;
    return rate == 0 || (double)load->sent < (double)(now_ns - load->started_ns) / 1e9 * rate;
}

static void connection_rest(struct load *load, struct connection *connection, int64_t now_ns) {
    if (is_due(load, now_ns)) {
        connection_next(load, connection, now_ns);
    } else {
        load->resting[load->resting_count++] = connection;
    }
}

static void resting_wake(struct load *load) {
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    while (load->resting_count > 0 && is_due(load, now_ns) && !load->stopping) {
        connection_next(load, load->resting[--load->resting_count], now_ns);
    }
}

static void connection_read(struct load *load, struct connection *connection) {
    /* A body's last bytes are read in the ordinary way, so that its end is found there. */
    bool drop = connection->replies.skip >= LARGE_REPLY_MIN;
    ssize_t size = drop ? recv(connection->fd, NULL, connection->replies.skip - 1, MSG_TRUNC)
                        : recv(connection->fd, load->input, READ_SIZE, 0);
    if (size < 0 && errno == EAGAIN) {
        return;
    }
    if (size <= 0) {
        program_fail("the server closed a connection: %s",
                     size < 0 ? strerror(errno) : "end of stream");
    }
    if (drop) {
        connection->replies.skip -= (size_t)size;
        return;
    }
    size_t replies = replies_count(&connection->replies, load->input, (size_t)size);
    if (replies == 0) {
        return;
    }
    if (replies > connection->replies_due) {
        program_fail("more replies than requests");
    }
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    connection->replies_due -= replies;
    load->replies += replies;
    histogram_add(load->latency, (uint64_t)(now_ns - connection->sent_ns), replies);
    if (connection->replies_due == 0) {
        connection_rest(load, connection, now_ns);
    }
}

/* ---- the run ---- */

static struct snapshot snapshot_take(const struct load *load) {
    return (struct snapshot){
        .wall_ns = clock_ns(CLOCK_MONOTONIC),
        .cpu_ns = load->options.server_pid > 0 ? clock_ns(load->cpu_clock) : 0,
        .replies = load->replies,
    };
}

static void events_serve(struct load *load) {
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, load->resting_count > 0 ? 1 : 100);
    if (count < 0 && errno != EINTR) {
        program_fail("epoll_wait: %s", strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0) {
            connection_send(load, connection);
        }
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
            connection_read(load, connection);
        }
    }
    if (load->resting_count > 0) {
        resting_wake(load);
    }
}

static uint64_t nulls_count(const struct load *load) {
    uint64_t nulls = 0;
    for (size_t i = 0; i < load->options.connections; i++) {
        nulls += load->connections[i].replies.nulls;
    }
    return nulls;
}

static void report(const struct load *load, struct snapshot from, struct snapshot to) {
    double commands = (double)(to.replies - from.replies);
    double seconds = (double)(to.wall_ns - from.wall_ns) / 1e9;
    double cpu_seconds = (double)(to.cpu_ns - from.cpu_ns) / 1e9;
    /* A short paced run beside other work may end before the first reply. */
    double cpu_us = commands > 0 ? cpu_seconds * 1e6 / commands : 0;
    printf("{\"commands\": %.0f, \"seconds\": %.4f, \"per_second\": %.0f, \"cpu_us\": %.4f, "
           "\"busy\": %.3f, \"misses\": %llu",
           commands, seconds, commands / seconds, cpu_us, cpu_seconds / seconds,
           (unsigned long long)nulls_count(load));
    printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}\n",
           (double)histogram_quantile(load->latency, 0.5) / 1e3,
           (double)histogram_quantile(load->latency, 0.99) / 1e3,
           (double)histogram_quantile(load->latency, 0.999) / 1e3,
           (double)histogram_quantile(load->latency, 1.0) / 1e3);
}

/* The warm-up and what is measured take so long, and so many replies: on a slow machine the first
 * large values of each connection would be most of them. */
static void run(struct load *load) {
    const struct options *options = &load->options;
    struct snapshot from = snapshot_take(load);
    int64_t warm_ns = from.wall_ns + (int64_t)(options->warmup_seconds * 1e9);
    int64_t end_ns = 0;
    uint64_t replies_min = 3 * (uint64_t)options->connections * options->pipeline;
    bool warm = options->fill;

    load->started_ns = from.wall_ns;
    for (size_t i = 0; i < options->connections; i++) {
        connection_rest(load, &load->connections[i], from.wall_ns);
    }
    while (!load->stopping) {
        events_serve(load);
        int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        if (!warm && now_ns >= warm_ns && load->replies >= replies_min) {
            warm = true;
            histogram_reset(load->latency);
            from = snapshot_take(load);
            end_ns = from.wall_ns + (int64_t)(options->seconds * 1e9);
        } else if (warm && !options->fill && now_ns >= end_ns) {
            load->stopping = load->stopping || load->replies - from.replies >= replies_min;
        }
    }
    struct snapshot to = snapshot_take(load);

    /* The pipelines under way are read to their end, so that the server is left idle. */
    for (size_t i = 0; i < options->connections; i++) {
        while (load->connections[i].replies_due > 0) {
            events_serve(load);
        }
    }
    report(load, from, options->fill ? snapshot_take(load) : to);
}

int main(int count, char **arguments) {
    struct load *load = program_allocate(sizeof *load);
    load->options = options_read(count, arguments);
    if (load->options.core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET((size_t)load->options.core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
            program_fail("cannot run on core %d: %s", load->options.core, strerror(errno));
        }
    }
    if (load->options.server_pid > 0 &&
        clock_getcpuclockid(load->options.server_pid, &load->cpu_clock) != 0) {
        program_fail("process %d has no CPU clock", (int)load->options.server_pid);
    }
    load->generator = generator_new(&load->options);
    load->input = program_allocate(READ_SIZE);
    load->latency = histogram_new();
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->connections = program_allocate(load->options.connections * sizeof *load->connections);
    load->resting = program_allocate(load->options.connections * sizeof(struct connection *));
    if (load->latency == NULL || load->epoll_fd < 0) {
        program_fail("cannot start");
    }
    for (size_t i = 0; i < load->options.connections; i++) {
        connection_open(load, &load->connections[i]);
    }
    run(load);
    return 0;
}
