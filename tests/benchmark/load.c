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
 * reply. One thread; an error reply or a lost connection ends the run with exit code 1.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
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

#include "histogram.h"

enum {
    KEY_DIGITS = 12,
    PREFIX_SIZE = 4,
    FIELDS_MAX = 10,
    CONNECTIONS_MAX = 10000,
    PIPELINE_MAX = 1024,
    EXPIRY_DIGITS = 7,
    LARGE_VALUE_MIN = 16 * 1024,  /* from here on a value is sent from the shared block */
    LARGE_REPLY_MIN = 256 * 1024, /* from here on a reply's body is dropped in the kernel */
    READ_SIZE = 64 * 1024,
    EVENTS_MAX = 256,
    LARGE_KEYS = 64,
    LARGE_SIZE = 1024 * 1024,
    ERROR_TEXT_SIZE = 200,
};

enum command { COMMAND_GET, COMMAND_SET, COMMAND_MIXED, COMMAND_HSET, COMMAND_HGET, COMMAND_INCR };

struct options {
    int port;
    pid_t server_pid; /* 0: do not measure CPU time */
    int core;         /* -1: do not pin */
    enum command command;
    size_t connections;
    size_t pipeline;
    size_t value_size;
    uint64_t keys;
    uint64_t fields;
    const char *prefix;
    uint64_t seed;
    double warmup_seconds;
    double seconds;
    bool fill;   /* every key once, all fields, in a scattered order, then end */
    bool expiry; /* SET with EX */
    double large_percent;
};

/* A request whose variable digits are overwritten in a copy. `body_size` bytes of the shared block
 * follow the text. A position of 0 means: there is none. */
struct request {
    char *text;
    size_t size;
    size_t key_at;
    size_t field_at;
    size_t expiry_at;
    size_t body_size;
    uint64_t keys;
};

enum { REQUEST_READ, REQUEST_WRITE, REQUEST_LARGE_READ, REQUEST_LARGE_WRITE, REQUEST_KINDS };

struct connection {
    int fd;
    bool waits_for_output;
    char *text;           /* the texts of one pipeline */
    struct iovec *pieces; /* what is to be sent: from `piece` up to `pieces_count` */
    size_t pieces_count;
    size_t piece;
    size_t replies_due;
    int64_t sent_ns;
    size_t skip;   /* bytes of the current reply's body still to come */
    char line[32]; /* the beginning of a first line that a read has cut */
    size_t line_size;
};

struct snapshot {
    int64_t wall_ns;
    int64_t cpu_ns;
    uint64_t replies;
};

struct load {
    struct options options;
    struct request requests[REQUEST_KINDS];
    char *body; /* the shared block: a large value and its line end */
    char *input;
    struct connection *connections;
    struct histogram *latency;
    int epoll_fd;
    clockid_t cpu_clock;
    uint64_t random;
    uint64_t sent; /* commands; in a fill also the number of the next key */
    uint64_t replies;
    uint64_t misses;
    uint64_t stride; /* of a fill; has no divisor in common with the number of keys */
    bool stopping;
    char digits[1000][3]; /* the decimal digits of 0 .. 999 */
};

static _Noreturn void __attribute__((format(printf, 1, 2))) fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fail("out of memory");
    }
    return memory;
}

static int64_t clock_ns(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) {
        fail("cannot read a clock: %s", strerror(errno));
    }
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* xorshift64*: good enough to scatter keys, and free. */
static uint64_t random_next(struct load *load) {
    load->random ^= load->random >> 12;
    load->random ^= load->random << 25;
    load->random ^= load->random >> 27;
    return load->random * UINT64_C(2685821657736338717);
}

static uint64_t random_below(struct load *load, uint64_t limit) {
    return (uint64_t)(((unsigned __int128)random_next(load) * limit) >> 64);
}

/* ---- requests ---- */

static void __attribute__((format(printf, 3, 4)))
append(struct request *request, size_t capacity, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int size =
        vsnprintf(request->text + request->size, capacity - request->size, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= capacity - request->size) {
        fail("a request is too long");
    }
    request->size += (size_t)size;
}

static void append_key(struct request *request, size_t capacity, const char *prefix) {
    append(request, capacity, "$%d\r\n%.4s", PREFIX_SIZE + KEY_DIGITS, prefix);
    request->key_at = request->size;
    append(request, capacity, "%0*d\r\n", KEY_DIGITS, 0);
}

static void append_value(struct request *request, size_t capacity, const char *body, size_t size) {
    append(request, capacity, "$%zu\r\n", size);
    if (size >= LARGE_VALUE_MIN) {
        request->body_size = size + 2;
    } else {
        append(request, capacity, "%.*s\r\n", (int)size, body);
    }
}

static void append_name(struct request *request, size_t capacity, int arguments, const char *name) {
    append(request, capacity, "*%d\r\n$%zu\r\n%s\r\n", arguments, strlen(name), name);
}

struct request_shape {
    const char *name;
    const char *prefix;
    uint64_t keys;
    uint64_t fields;   /* 0: not a hash; more than 1: the request sets them all */
    size_t value_size; /* 0: carries no value */
    bool expiry;
};

static void request_make(struct request *request, const struct request_shape *shape,
                         const char *body) {
    size_t in_text = shape->value_size < LARGE_VALUE_MIN ? shape->value_size : 0;
    size_t capacity = 256 + FIELDS_MAX * (32 + in_text);
    uint64_t per_field = shape->value_size > 0 ? 2 : 1;
    *request = (struct request){.text = allocate(capacity), .keys = shape->keys};
    append_name(request, capacity,
                (int)(2 + (shape->fields > 0 ? shape->fields * per_field : per_field - 1)) +
                    (shape->expiry ? 2 : 0),
                shape->name);
    append_key(request, capacity, shape->prefix);
    for (uint64_t field = 0; field < shape->fields; field++) {
        append(request, capacity, "$6\r\nfield%d\r\n", (int)field);
        request->field_at = shape->fields == 1 ? request->size - 3 : 0;
        if (shape->value_size > 0) {
            append_value(request, capacity, body, shape->value_size);
        }
    }
    if (shape->fields == 0 && shape->value_size > 0) {
        append_value(request, capacity, body, shape->value_size);
    }
    if (shape->expiry) {
        append(request, capacity, "$2\r\nEX\r\n$%d\r\n", EXPIRY_DIGITS);
        request->expiry_at = request->size;
        append(request, capacity, "%0*d\r\n", EXPIRY_DIGITS, 0);
    }
}

static void requests_make(struct load *load) {
    const struct options *options = &load->options;
    bool hash = options->command == COMMAND_HSET || options->command == COMMAND_HGET;
    bool count = options->command == COMMAND_INCR;
    size_t body_size = options->value_size > LARGE_SIZE ? options->value_size : LARGE_SIZE;

    load->body = allocate(body_size + 3);
    for (size_t i = 0; i < body_size; i++) {
        load->body[i] = (char)('a' + random_below(load, 26));
    }

    struct request_shape read = {
        .name = count  ? "INCR"
                : hash ? "HGET"
                       : "GET",
        .prefix = options->prefix,
        .keys = options->keys,
        .fields = hash ? 1 : 0,
    };
    struct request_shape write = read;
    write.name = count ? "INCR" : hash ? "HSET" : "SET";
    write.fields = hash && options->fill ? options->fields : read.fields;
    write.value_size = count ? 0 : options->value_size;
    write.expiry = options->expiry;
    request_make(&load->requests[REQUEST_READ], &read, load->body);
    request_make(&load->requests[REQUEST_WRITE], &write, load->body);

    struct request_shape large = {.name = "GET", .prefix = "big:", .keys = LARGE_KEYS};
    request_make(&load->requests[REQUEST_LARGE_READ], &large, load->body);
    large.name = "SET";
    large.value_size = LARGE_SIZE;
    request_make(&load->requests[REQUEST_LARGE_WRITE], &large, load->body);

    /* The line end stands where the sent value stops; a longer one is never sent beside it. */
    size_t end = options->value_size >= LARGE_VALUE_MIN ? options->value_size : LARGE_SIZE;
    memcpy(load->body + end, "\r\n", 2);
}

static const struct request *request_choose(struct load *load) {
    bool write = false;
    switch (load->options.command) {
    case COMMAND_SET:
    case COMMAND_HSET:
    case COMMAND_INCR:
        write = true;
        break;
    case COMMAND_MIXED:
        write = random_below(load, 11) == 0;
        break;
    case COMMAND_GET:
    case COMMAND_HGET:
        break;
    }
    bool large = load->options.large_percent > 0 &&
                 random_below(load, 100000) < (uint64_t)(load->options.large_percent * 1000);
    if (large) {
        return &load->requests[write ? REQUEST_LARGE_WRITE : REQUEST_LARGE_READ];
    }
    return &load->requests[write ? REQUEST_WRITE : REQUEST_READ];
}

static void key_write(const struct load *load, char *place, uint64_t number) {
    for (int at = KEY_DIGITS - 3; at >= 0 && number > 0; at -= 3) {
        memcpy(place + at, load->digits[number % 1000], 3);
        number /= 1000;
    }
}

static uint64_t key_choose(struct load *load, const struct request *request) {
    if (load->options.fill) {
        return (uint64_t)((unsigned __int128)load->sent * load->stride % request->keys);
    }
    return random_below(load, request->keys);
}

/* ---- connections ---- */

static void watch(struct load *load, struct connection *connection, bool output) {
    struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0),
                                .data.ptr = connection};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
    connection->waits_for_output = output;
}

static void connection_open(struct load *load, struct connection *connection) {
    size_t text_max = 0;
    for (size_t i = 0; i < REQUEST_KINDS; i++) {
        text_max = load->requests[i].size > text_max ? load->requests[i].size : text_max;
    }
    connection->text = allocate(text_max * load->options.pipeline);
    connection->pieces = allocate((2 * load->options.pipeline + 1) * sizeof(struct iovec));

    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)load->options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("cannot connect to port %d: %s", load->options.port, strerror(errno));
    }
    if (setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0) {
        fail("cannot set up a socket: %s", strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

static void connection_send(struct load *load, struct connection *connection) {
    while (connection->piece < connection->pieces_count) {
        struct iovec *first = &connection->pieces[connection->piece];
        size_t count = connection->pieces_count - connection->piece;
        ssize_t sent = count == 1 ? send(connection->fd, first->iov_base, first->iov_len, 0)
                                  : writev(connection->fd, first, (int)(count > 64 ? 64 : count));
        if (sent < 0) {
            if (errno == EAGAIN) {
                break;
            }
            fail("cannot send: %s", strerror(errno));
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
        const struct request *request = request_choose(load);
        memcpy(place, request->text, request->size);
        key_write(load, place + request->key_at, key_choose(load, request));
        if (request->field_at > 0) {
            place[request->field_at] = (char)('0' + random_below(load, load->options.fields));
        }
        if (request->expiry_at > 0) {
            uint64_t seconds = 1000000 + random_below(load, 9000000);
            for (size_t digit = EXPIRY_DIGITS; digit-- > 0; seconds /= 10) {
                place[request->expiry_at + digit] = (char)('0' + seconds % 10);
            }
        }
        connection_add_piece(connection, place, request->size);
        if (request->body_size > 0) {
            connection_add_piece(connection, load->body, request->body_size);
        }
        place += request->size;
        connection->replies_due++;
        load->sent++;
        load->stopping = load->options.fill && load->sent == load->options.keys;
    }
    connection->sent_ns = now_ns;
    connection_send(load, connection);
}

/* ---- replies ---- */

/* Judges a reply's first line (without its line end). Returns the size of the body that follows. */
static size_t reply_body_size(struct load *load, const char *line, size_t size) {
    if (line[0] == '+' || line[0] == ':') {
        return 0;
    }
    if (line[0] == '_' || (line[0] == '$' && line[1] == '-')) {
        load->misses++;
        return 0;
    }
    if (line[0] != '$') {
        fail("unexpected reply: %.*s", (int)(size < ERROR_TEXT_SIZE ? size : ERROR_TEXT_SIZE),
             line);
    }
    size_t body = 0;
    for (size_t i = 1; i < size; i++) {
        body = body * 10 + (size_t)(line[i] - '0');
    }
    return body + 2;
}

/* Counts the replies that end in these bytes. A reply ends with its line or with its body. */
static size_t replies_count(struct load *load, struct connection *connection, size_t size) {
    const char *at = load->input;
    const char *end = at + size;
    size_t replies = 0;

    while (at < end) {
        if (connection->skip > 0) {
            size_t step =
                (size_t)(end - at) < connection->skip ? (size_t)(end - at) : connection->skip;
            at += step;
            connection->skip -= step;
            replies += connection->skip == 0 ? 1 : 0;
            continue;
        }
        const char *line = at;
        while (at < end && *at != '\n') {
            at++;
        }
        size_t line_size = (size_t)(at - line);
        if (at == end || connection->line_size > 0) {
            size_t room = sizeof connection->line - connection->line_size;
            size_t step = line_size < room ? line_size : room;
            memcpy(connection->line + connection->line_size, line, step);
            connection->line_size += step;
            if (at == end) {
                break;
            }
            line = connection->line;
            line_size = connection->line_size;
            connection->line_size = 0;
        }
        at++;
        connection->skip = reply_body_size(load, line, line_size - 1);
        replies += connection->skip == 0 ? 1 : 0;
    }
    return replies;
}

static void connection_read(struct load *load, struct connection *connection) {
    /* A body's last bytes are read in the ordinary way, so that its end is found there. */
    bool drop = connection->skip >= LARGE_REPLY_MIN;
    ssize_t size = drop ? recv(connection->fd, NULL, connection->skip - 1, MSG_TRUNC)
                        : recv(connection->fd, load->input, READ_SIZE, 0);
    if (size < 0 && errno == EAGAIN) {
        return;
    }
    if (size <= 0) {
        fail("the server closed a connection: %s", size < 0 ? strerror(errno) : "end of stream");
    }
    if (drop) {
        connection->skip -= (size_t)size;
        return;
    }
    size_t replies = replies_count(load, connection, (size_t)size);
    if (replies == 0) {
        return;
    }
    if (replies > connection->replies_due) {
        fail("more replies than requests");
    }
    int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    connection->replies_due -= replies;
    load->replies += replies;
    histogram_add(load->latency, (uint64_t)(now_ns - connection->sent_ns), replies);
    if (connection->replies_due == 0) {
        connection_next(load, connection, now_ns);
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
    int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, 100);
    if (count < 0 && errno != EINTR) {
        fail("epoll_wait: %s", strerror(errno));
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
}

static void report(const struct load *load, struct snapshot from, struct snapshot to) {
    double commands = (double)(to.replies - from.replies);
    double seconds = (double)(to.wall_ns - from.wall_ns) / 1e9;
    double cpu_seconds = (double)(to.cpu_ns - from.cpu_ns) / 1e9;
    printf("{\"commands\": %.0f, \"seconds\": %.4f, \"per_second\": %.0f, \"cpu_us\": %.4f, "
           "\"busy\": %.3f, \"misses\": %llu",
           commands, seconds, commands / seconds, cpu_seconds * 1e6 / commands,
           cpu_seconds / seconds, (unsigned long long)load->misses);
    printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}\n",
           (double)histogram_quantile(load->latency, 0.5) / 1e3,
           (double)histogram_quantile(load->latency, 0.99) / 1e3,
           (double)histogram_quantile(load->latency, 0.999) / 1e3,
           (double)histogram_quantile(load->latency, 1.0) / 1e3);
}

static void run(struct load *load) {
    const struct options *options = &load->options;
    struct snapshot from = snapshot_take(load);
    int64_t warm_ns = from.wall_ns + (int64_t)(options->warmup_seconds * 1e9);
    int64_t end_ns = warm_ns + (int64_t)(options->seconds * 1e9);
    bool warm = options->fill;

    for (size_t i = 0; i < options->connections; i++) {
        connection_next(load, &load->connections[i], from.wall_ns);
    }
    while (!load->stopping) {
        events_serve(load);
        int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        if (!warm && now_ns >= warm_ns) {
            warm = true;
            histogram_reset(load->latency);
            from = snapshot_take(load);
        }
        load->stopping = load->stopping || (!options->fill && now_ns >= end_ns);
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

/* ---- options ---- */

static double option_number(const char *name, const char *text, double min, double max) {
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= min && number <= max)) {
        fail("--%s wants a number from %g to %g", name, min, max);
    }
    return number;
}

static enum command option_command(const char *text) {
    static const char *const names[] = {"get", "set", "mixed", "hset", "hget", "incr"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum command)i;
        }
    }
    fail("no such command: %s", text);
}

static struct options options_read(int count, char **arguments) {
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"pid", required_argument, NULL, 'i'},
        {"core", required_argument, NULL, 'o'},
        {"command", required_argument, NULL, 'c'},
        {"connections", required_argument, NULL, 'n'},
        {"pipeline", required_argument, NULL, 'P'},
        {"size", required_argument, NULL, 's'},
        {"keys", required_argument, NULL, 'k'},
        {"fields", required_argument, NULL, 'f'},
        {"prefix", required_argument, NULL, 'x'},
        {"seed", required_argument, NULL, 'r'},
        {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 't'},
        {"fill", no_argument, NULL, 'F'},
        {"expiry", no_argument, NULL, 'e'},
        {"large-percent", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.port = 6379,
                              .core = -1,
                              .command = COMMAND_GET,
                              .connections = 50,
                              .pipeline = 1,
                              .value_size = 64,
                              .keys = 1000000,
                              .fields = 1,
                              .prefix = "key:",
                              .seed = 1,
                              .warmup_seconds = 0.3,
                              .seconds = 1.5};
    int option;
    int index = 0;

    while ((option = getopt_long(count, arguments, "", known, &index)) != -1) {
        const char *name = option == '?' ? "" : known[index].name;
        switch (option) {
        case 'p':
            options.port = (int)option_number(name, optarg, 1, 65535);
            break;
        case 'i':
            options.server_pid = (pid_t)option_number(name, optarg, 0, 4194304);
            break;
        case 'o':
            options.core = (int)option_number(name, optarg, -1, 1023);
            break;
        case 'c':
            options.command = option_command(optarg);
            break;
        case 'n':
            options.connections = (size_t)option_number(name, optarg, 1, CONNECTIONS_MAX);
            break;
        case 'P':
            options.pipeline = (size_t)option_number(name, optarg, 1, PIPELINE_MAX);
            break;
        case 's':
            options.value_size = (size_t)option_number(name, optarg, 1, 64 << 20);
            break;
        case 'k':
            options.keys = (uint64_t)option_number(name, optarg, 1, 1e11);
            break;
        case 'f':
            options.fields = (uint64_t)option_number(name, optarg, 1, FIELDS_MAX);
            break;
        case 'x':
            options.prefix = optarg;
            break;
        case 'r':
            options.seed = (uint64_t)option_number(name, optarg, 0, 1e15);
            break;
        case 'w':
            options.warmup_seconds = option_number(name, optarg, 0, 3600);
            break;
        case 't':
            options.seconds = option_number(name, optarg, 0, 3600);
            break;
        case 'F':
            options.fill = true;
            break;
        case 'e':
            options.expiry = true;
            break;
        case 'l':
            options.large_percent = option_number(name, optarg, 0, 100);
            break;
        default:
            fail("see tests/benchmark/README.md for the options");
        }
    }
    if (optind < count) {
        fail("unexpected argument: %s", arguments[optind]);
    }
    if (strlen(options.prefix) != PREFIX_SIZE) {
        fail("--prefix wants %d bytes", PREFIX_SIZE);
    }
    if (options.value_size >= LARGE_VALUE_MIN && options.large_percent > 0) {
        fail("--large-percent goes with small values only");
    }
    return options;
}

static uint64_t divisor_common(uint64_t a, uint64_t b) {
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int main(int count, char **arguments) {
    struct load *load = allocate(sizeof *load);
    load->options = options_read(count, arguments);
    if (load->options.core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET((size_t)load->options.core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
            fail("cannot run on core %d: %s", load->options.core, strerror(errno));
        }
    }
    if (load->options.server_pid > 0 &&
        clock_getcpuclockid(load->options.server_pid, &load->cpu_clock) != 0) {
        fail("process %d has no CPU clock", (int)load->options.server_pid);
    }
    load->random = load->options.seed * UINT64_C(0x9e3779b97f4a7c15) + 0x1234567;
    load->stride = load->options.keys * 5 / 8 + 1;
    while (divisor_common(load->stride, load->options.keys) != 1) {
        load->stride++;
    }
    for (int i = 0; i < 1000; i++) {
        load->digits[i][0] = (char)('0' + i / 100);
        load->digits[i][1] = (char)('0' + i / 10 % 10);
        load->digits[i][2] = (char)('0' + i % 10);
    }
    requests_make(load);
    load->input = allocate(READ_SIZE);
    load->latency = histogram_new();
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load->connections = allocate(load->options.connections * sizeof *load->connections);
    if (load->latency == NULL || load->epoll_fd < 0) {
        fail("cannot start");
    }
    for (size_t i = 0; i < load->options.connections; i++) {
        connection_open(load, &load->connections[i]);
    }
    run(load);
    return 0;
}
