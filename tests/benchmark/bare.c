/* A responder with no store: the floor that the kernel sets for a server of one thread.
 *
 * It reads, counts the complete requests by their known sizes without looking into them, and
 * answers each with the same reply, all replies of one read with one write. Large requests are read
 * and dropped, large replies written from one buffer, so the figure is the price of the sockets.
 *
 *   bare --port N --request ARGUMENTS:BYTES [--request ...] (--bulk BYTES | --ok | --number)
 *
 * A request's number of arguments (one digit) tells its size, so a mix of two sizes is possible.
 * One thread; a request that is not announced ends the process with exit code 1.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "program.h"

enum {
    READ_SIZE_MIN = 64 * 1024,
    READ_SIZE_MAX = 1024 * 1024,
    REPLIES_SIZE_MIN = 256 * 1024, /* of ready replies, so that one write takes many */
    EVENTS_MAX = 256,
    ARGUMENTS_MAX = 10,
};

struct connection {
    int fd;
    bool waits_for_output;
    bool split;      /* a read ended between a request's first byte and its second */
    size_t request;  /* bytes of the current request still to come */
    size_t reply_at; /* bytes of the current reply already sent */
    uint64_t owed;   /* bytes to send, from reply_at on */
};

struct bare {
    int epoll_fd;
    int listen_fd;
    size_t sizes[ARGUMENTS_MAX]; /* of requests, by their number of arguments; 0: not announced */
    size_t only_size;            /* of requests, if there is one size only */
    char *replies;               /* one reply, repeated; any phase can be sent from it */
    size_t replies_size;
    size_t reply_size;
    char *input;
    size_t read_size; /* as large as a request, within bounds: fewer calls for large ones */
};

static void watch(struct bare *bare, struct connection *connection, bool output) {
    struct epoll_event event = {.events = output ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(bare->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) != 0) {
        program_fail("epoll_ctl: %s", strerror(errno));
    }
    connection->waits_for_output = output;
}

static void connection_close(struct connection *connection) {
    close(connection->fd);
    free(connection);
}

static uint64_t requests_count_mixed(struct bare *bare, struct connection *connection,
                                     size_t size) {
    uint64_t requests = 0;
    size_t at = 0;
    while (at < size) {
        if (connection->request == 0) {
            if (!connection->split && at + 1 == size) {
                connection->split = true;
                break;
            }
            unsigned digit = (unsigned)(bare->input[at + (connection->split ? 0 : 1)] - '0');
            if (digit >= ARGUMENTS_MAX || bare->sizes[digit] == 0) {
                program_fail("a request of a size that was not announced");
            }
            connection->request = bare->sizes[digit] - (connection->split ? 1 : 0);
            connection->split = false;
        }
        size_t step = size - at < connection->request ? size - at : connection->request;
        at += step;
        connection->request -= step;
        requests += connection->request == 0 ? 1 : 0;
    }
    return requests;
}

/* With one size only, the number of complete requests is a division. */
static uint64_t requests_count(struct bare *bare, struct connection *connection, size_t size) {
    if (bare->only_size == 0) {
        return requests_count_mixed(bare, connection, size);
    }
    size_t gathered = connection->request + size;
    connection->request = gathered % bare->only_size;
    return gathered / bare->only_size;
}

/* Returns false when the peer has gone. */
static bool connection_send(struct bare *bare, struct connection *connection) {
    while (connection->owed > 0) {
        size_t ready = bare->replies_size - connection->reply_at;
        size_t size = connection->owed < ready ? (size_t)connection->owed : ready;
        ssize_t sent =
            send(connection->fd, bare->replies + connection->reply_at, size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) {
                break;
            }
            return false;
        }
        connection->owed -= (uint64_t)sent;
        connection->reply_at = (connection->reply_at + (size_t)sent) % bare->reply_size;
    }
    if ((connection->owed > 0) != connection->waits_for_output) {
        watch(bare, connection, connection->owed > 0);
    }
    return true;
}

static bool connection_read(struct bare *bare, struct connection *connection) {
    ssize_t size = recv(connection->fd, bare->input, bare->read_size, 0);
    if (size < 0 && errno == EAGAIN) {
        return true;
    }
    if (size <= 0) {
        return false;
    }
    uint64_t requests = requests_count(bare, connection, (size_t)size);
    connection->owed += requests * bare->reply_size;
    return connection_send(bare, connection);
}

static void connection_accept(struct bare *bare) {
    int one = 1;
    int fd = accept4(bare->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct connection *connection = program_allocate(sizeof *connection);
    connection->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(bare->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        program_fail("accept: %s", strerror(errno));
    }
}

static void serve(struct bare *bare) {
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int count = epoll_wait(bare->epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL) {
                connection_accept(bare);
                continue;
            }
            bool alive = (events[i].events & EPOLLOUT) != 0 ? connection_send(bare, connection)
                                                            : connection_read(bare, connection);
            if (!alive) {
                connection_close(connection);
            }
        }
    }
}

static void listen_on(struct bare *bare, uint16_t port) {
    int one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    bare->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bare->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bare->epoll_fd < 0 || bare->listen_fd < 0 ||
        setsockopt(bare->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(bare->listen_fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(bare->listen_fd, 1024) != 0 ||
        epoll_ctl(bare->epoll_fd, EPOLL_CTL_ADD, bare->listen_fd, &event) != 0) {
        program_fail("listen: %s", strerror(errno));
    }
}

/* The replies are a stream that repeats, so any part of it can be sent from one buffer. */
static void replies_make(struct bare *bare, const char *head, size_t body_size) {
    size_t head_size = strlen(head);
    bare->reply_size = head_size + (body_size > 0 ? body_size + 2 : 0);
    size_t copies = REPLIES_SIZE_MIN / bare->reply_size + 1;
    bare->replies_size = copies * bare->reply_size;
    bare->replies = program_allocate(bare->replies_size);
    for (size_t i = 0; i < copies; i++) {
        char *reply = bare->replies + i * bare->reply_size;
        memcpy(reply, head, head_size);
        if (body_size > 0) {
            memset(reply + head_size, 'b', body_size);
            memcpy(reply + head_size + body_size, "\r\n", 2);
        }
    }
}

static void request_announce(struct bare *bare, const char *text) {
    char *end = NULL;
    unsigned long arguments = strtoul(text, &end, 10);
    unsigned long size = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
    if (arguments >= ARGUMENTS_MAX || size < 2 || *end != '\0') {
        program_fail("--request wants ARGUMENTS:BYTES, not %s", text);
    }
    bool first = true;
    for (size_t i = 0; i < ARGUMENTS_MAX; i++) {
        first = first && bare->sizes[i] == 0;
    }
    bare->sizes[arguments] = size;
    if (size > bare->read_size) {
        bare->read_size = size < READ_SIZE_MAX ? size : READ_SIZE_MAX;
    }
    bare->only_size = first ? size : 0;
}

int main(int count, char **arguments) {
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'}, {"request", required_argument, NULL, 'r'},
        {"bulk", required_argument, NULL, 'b'}, {"ok", no_argument, NULL, 'o'},
        {"number", no_argument, NULL, 'n'},     {NULL, 0, NULL, 0},
    };
    struct bare bare = {.epoll_fd = -1, .listen_fd = -1, .read_size = READ_SIZE_MIN};
    unsigned long port = 0;
    unsigned long body_size = 0;
    char head[32] = "+OK\r\n";
    int option;

    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
        switch (option) {
        case 'p':
            port = strtoul(optarg, NULL, 10);
            break;
        case 'r':
            request_announce(&bare, optarg);
            break;
        case 'b':
            body_size = strtoul(optarg, NULL, 10);
            snprintf(head, sizeof head, "$%lu\r\n", body_size);
            break;
        case 'o':
            break;
        case 'n':
            snprintf(head, sizeof head, ":1\r\n");
            break;
        default:
            program_fail("see the top of bare.c");
        }
    }
    if (port == 0 || port > UINT16_MAX) {
        program_fail("--port is missing");
    }
    bare.input = program_allocate(bare.read_size);
    replies_make(&bare, head, body_size);
    listen_on(&bare, (uint16_t)port);
    serve(&bare);
}
