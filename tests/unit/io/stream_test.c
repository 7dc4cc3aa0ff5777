#include "io/stream.h"

#include "tests/unit/unit.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than a socket holds. */
#define MUCH ((size_t)8 * 1024 * 1024)

struct pair {
    struct loop *loop;
    struct stream stream;
    int other;
    int calls; /* of ready() */
};

static void ready(void *context) {
    ((struct pair *)context)->calls++;
}

static void pair_begin(struct pair *pair) {
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    memset(pair, 0, sizeof(*pair));
    pair->loop = loop_new();
    pair->other = fds[1];
    stream_begin(&pair->stream, pair->loop, fds[0], ready, pair);
}

static void pair_end(struct pair *pair) {
    stream_end(&pair->stream);
    if (pair->other != -1) {
        close(pair->other);
    }
    loop_free(pair->loop);
}

static void turn(struct pair *pair) {
    loop_run(pair->loop, 1000);
}

/* Reads all that is there; answers how much. */
static size_t drain(int fd) {
    static char bytes[64 * 1024];
    size_t count = 0;
    ssize_t got;
    while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
        count += (size_t)got;
    }
    return count;
}

START_TEST(stream_sends_what_the_socket_takes_and_the_rest_when_it_can) {
    struct pair pair;
    pair_begin(&pair);
    turn(&pair); /* It is connected. */
    memset(buffer_reserve(&pair.stream.out, MUCH), 'x', MUCH);
    buffer_commit(&pair.stream.out, MUCH);
    ck_assert(stream_flush(&pair.stream));
    ck_assert(pair.stream.is_full);
    ck_assert_uint_gt(stream_waiting_bytes(&pair.stream), 0);
    size_t received = 0;
    while (received < MUCH) {
        size_t got = drain(pair.other);
        ck_assert_uint_gt(got, 0);
        received += got;
        if (received < MUCH) {
            int calls = pair.calls;
            turn(&pair);
            ck_assert_int_gt(pair.calls, calls);
            ck_assert(stream_flush(&pair.stream));
        }
    }
    ck_assert_uint_eq(received, MUCH);
    ck_assert_uint_eq(stream_waiting_bytes(&pair.stream), 0);
    ck_assert_ptr_null(pair.stream.out.bytes); /* The burst's room is given back. */
    pair_end(&pair);
}
END_TEST

START_TEST(stream_tells_that_something_came_until_it_is_read) {
    struct pair pair;
    char bytes[8];
    pair_begin(&pair);
    turn(&pair);
    ck_assert_int_eq(write(pair.other, "0123456789", 10), 10);
    turn(&pair);
    ck_assert(pair.stream.is_readable);
    ck_assert_uint_eq(stream_read(&pair.stream, bytes, sizeof(bytes)).bytes, 8);
    ck_assert(pair.stream.is_readable); /* There may be more. */
    ck_assert_uint_eq(stream_read(&pair.stream, bytes, sizeof(bytes)).bytes, 2);
    ck_assert(!pair.stream.is_readable);
    pair_end(&pair);
}
END_TEST

START_TEST(stream_tells_that_the_other_side_has_gone) {
    struct pair pair;
    char bytes[8];
    pair_begin(&pair);
    turn(&pair);
    close(pair.other);
    pair.other = -1;
    turn(&pair);
    ck_assert_int_eq(stream_read(&pair.stream, bytes, sizeof(bytes)).status, NETWORK_CLOSED);
    buffer_append_string(&pair.stream.out, "to nobody");
    ck_assert(!stream_flush(&pair.stream));
    pair_end(&pair);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        stream_sends_what_the_socket_takes_and_the_rest_when_it_can,
        stream_tells_that_something_came_until_it_is_read,
        stream_tells_that_the_other_side_has_gone,
    };
    return unit_run(unit_suite("stream", tests, UNIT_COUNT(tests)));
}
