#define _GNU_SOURCE 1

#include "io/network.h"

#include "base/logger.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* An address of TEST-NET-1, which no machine has. */
#define ABSENT_ADDRESS "192.0.2.1"

/* A listener and both ends of a connection to it. */
struct link {
    int listener;
    int client;
    int server;
};

static int listen_at(const char *bind, uint16_t port, int fds[NETWORK_LISTENERS_MAX]) {
    /* Refusals are expected here, and their log lines would be noise. */
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    return network_listen_tcp(
        &(struct network_listen_options){.bind = bind, .port = port, .backlog = 16}, fds);
}

static uint16_t own_port(int fd) {
    char text[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    network_own_host(fd, text, &port);
    return port;
}

static void wait_until(int fd, short events) {
    struct pollfd poll_fd = {.fd = fd, .events = events};
    ck_assert_int_eq(poll(&poll_fd, 1, 60000), 1);
}

static int accept_one(int listener) {
    int fd = -1;
    wait_until(listener, POLLIN);
    ck_assert_int_eq(network_accept(listener, &fd), NETWORK_ACCEPTED);
    return fd;
}

static struct link link_new(const char *address) {
    struct link link;
    int fds[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at(address, 0, fds), 1);
    link.listener = fds[0];
    link.client = network_connect_start(
        &(struct network_connect_options){.host = address, .port = own_port(link.listener)});
    ck_assert_int_ge(link.client, 0);
    link.server = accept_one(link.listener);
    wait_until(link.client, POLLOUT);
    ck_assert_int_eq(network_connect_result(link.client), 0);
    return link;
}

static void link_free(struct link *link) {
    network_close(link->client);
    network_close(link->server);
    network_close(link->listener);
}

static bool machine_has_ipv6(void) {
    int fds[NETWORK_LISTENERS_MAX];
    int count = listen_at("-::1", 0, fds);
    if (count == 1) {
        network_close(fds[0]);
    }
    return count == 1;
}

static int option_of(int fd, int level, int option) {
    int value = -1;
    socklen_t length = sizeof(value);
    ck_assert_int_eq(getsockopt(fd, level, option, &value, &length), 0);
    return value;
}

static bool is_prepared(int fd) {
    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

START_TEST(listen_opens_a_socket_per_address_and_none_for_an_empty_list) {
    int fds[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at("", 0, fds), 0);
    ck_assert_int_eq(listen_at("  ", 0, fds), 0);
    ck_assert_int_eq(listen_at(" 127.0.0.1   127.0.0.2 ", 0, fds), 2);
    char text[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    network_own_host(fds[0], text, &port);
    ck_assert_str_eq(text, "127.0.0.1");
    ck_assert_uint_ne(port, 0);
    network_own_host(fds[1], text, &port);
    ck_assert_str_eq(text, "127.0.0.2");
    ck_assert(is_prepared(fds[0]));
    network_close(fds[0]);
    network_close(fds[1]);
}
END_TEST

START_TEST(listen_refuses_an_absent_address_unless_it_is_marked_with_a_dash) {
    int fds[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at("127.0.0.1 " ABSENT_ADDRESS, 0, fds), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
    ck_assert_int_eq(listen_at("-" ABSENT_ADDRESS " 127.0.0.1", 0, fds), 1);
    network_close(fds[0]);
}
END_TEST

START_TEST(listen_that_fails_leaves_nothing_open) {
    int fds[NETWORK_LISTENERS_MAX];
    int next_fd = dup(0);
    close(next_fd);
    ck_assert_int_eq(listen_at("127.0.0.1 127.0.0.2 " ABSENT_ADDRESS, 0, fds), -1);
    int next_fd_after = dup(0);
    ck_assert_int_eq(next_fd_after, next_fd);
    close(next_fd_after);
}
END_TEST

START_TEST(listen_refuses_a_port_in_use_even_with_a_dash) {
    int fds[NETWORK_LISTENERS_MAX];
    int other[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at("127.0.0.1", 0, fds), 1);
    ck_assert_int_eq(listen_at("-127.0.0.1", own_port(fds[0]), other), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    network_close(fds[0]);
}
END_TEST

START_TEST(listen_refuses_names_that_do_not_resolve_and_lists_that_are_too_long) {
    int fds[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at("1.2.3.4.5", 0, fds), -1);
    ck_assert_int_eq(errno, EINVAL);
    char list[512] = "";
    size_t length = 0;
    for (int i = 0; i < NETWORK_LISTENERS_MAX; i++) {
        length += (size_t)snprintf(list + length, sizeof(list) - length, "127.0.0.%d ", i + 1);
    }
    int count = listen_at(list, 0, fds);
    ck_assert_int_eq(count, NETWORK_LISTENERS_MAX);
    for (int i = 0; i < count; i++) {
        network_close(fds[i]);
    }
    snprintf(list + length, sizeof(list) - length, "127.0.0.99");
    ck_assert_int_eq(listen_at(list, 0, fds), -1);
    ck_assert_int_eq(errno, E2BIG);
    char word[400];
    memset(word, 'x', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    ck_assert_int_eq(listen_at(word, 0, fds), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(both_wildcards_listen_on_one_port_without_taking_it_from_each_other) {
    int fds[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at("*", 0, fds), 1);
    char text[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    network_own_host(fds[0], text, &port);
    ck_assert_str_eq(text, "0.0.0.0");
    if (machine_has_ipv6()) {
        int other[NETWORK_LISTENERS_MAX];
        ck_assert_int_eq(listen_at("-::*", port, other), 1);
        network_own_host(other[0], text, &port);
        ck_assert_str_eq(text, "::");
        network_close(other[0]);
    }
    network_close(fds[0]);
}
END_TEST

START_TEST(accept_gives_a_prepared_socket_or_says_that_nobody_waits) {
    struct link link = link_new("127.0.0.1");
    ck_assert(is_prepared(link.server));
    int fd = -7;
    ck_assert_int_eq(network_accept(link.listener, &fd), NETWORK_ACCEPT_NONE);
    ck_assert_int_eq(fd, -7);
    link_free(&link);
}
END_TEST

START_TEST(accept_tells_a_lack_of_descriptors_from_a_broken_listener) {
    struct link link = link_new("127.0.0.1");
    int second = network_connect_start(
        &(struct network_connect_options){.host = "127.0.0.1", .port = own_port(link.listener)});
    wait_until(link.listener, POLLIN);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit scarce = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
    int fd;
    setrlimit(RLIMIT_NOFILE, &scarce);
    enum network_accept_status status = network_accept(link.listener, &fd);
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_int_eq(status, NETWORK_ACCEPT_LIMIT);
    ck_assert_int_eq(network_accept(link.listener, &fd), NETWORK_ACCEPTED);
    network_close(fd);
    ck_assert_int_eq(network_accept(link.client, &fd), NETWORK_ACCEPT_ERROR);
    network_close(second);
    link_free(&link);
}
END_TEST

START_TEST(addresses_of_ipv4_are_host_colon_port_at_both_ends) {
    struct link link = link_new("127.0.0.1");
    char expected[NETWORK_ADDRESS_BYTES];
    char text[NETWORK_ADDRESS_BYTES];
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)own_port(link.listener));
    ck_assert_uint_eq(network_own_address(link.server, text), strlen(expected));
    ck_assert_str_eq(text, expected);
    network_peer_address(link.client, text);
    ck_assert_str_eq(text, expected);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)own_port(link.client));
    network_peer_address(link.server, text);
    ck_assert_str_eq(text, expected);
    uint16_t port;
    network_peer_host(link.server, text, &port);
    ck_assert_str_eq(text, "127.0.0.1");
    ck_assert_uint_eq(port, own_port(link.client));
    ck_assert(network_peer_is_local(link.server));
    ck_assert(!network_is_unix(link.server));
    link_free(&link);
}
END_TEST

START_TEST(addresses_of_ipv6_stand_in_brackets) {
    if (!machine_has_ipv6()) {
        return;
    }
    struct link link = link_new("::1");
    char expected[NETWORK_ADDRESS_BYTES];
    char text[NETWORK_ADDRESS_BYTES];
    snprintf(expected, sizeof(expected), "[::1]:%u", (unsigned)own_port(link.client));
    network_peer_address(link.server, text);
    ck_assert_str_eq(text, expected);
    uint16_t port;
    network_peer_host(link.server, text, &port);
    ck_assert_str_eq(text, "::1");
    ck_assert(network_peer_is_local(link.server));
    link_free(&link);
}
END_TEST

START_TEST(addresses_that_cannot_be_told_are_question_marks) {
    int fds[NETWORK_LISTENERS_MAX];
    char text[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    ck_assert_int_eq(listen_at("127.0.0.1", 0, fds), 1);
    network_peer_address(fds[0], text);
    ck_assert_str_eq(text, "?:0");
    network_peer_host(fds[0], text, &port);
    ck_assert_str_eq(text, "?");
    ck_assert_uint_eq(port, 0);
    ck_assert(!network_peer_is_local(fds[0]));
    network_close(fds[0]);
}
END_TEST

struct unix_path {
    char folder[64];
    char socket[128];
};

static struct unix_path unix_path_new(void) {
    struct unix_path path = {.folder = "/tmp/tarn-network-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(path.folder));
    snprintf(path.socket, sizeof(path.socket), "%s/socket", path.folder);
    return path;
}

static void unix_path_free(struct unix_path *path) {
    unlink(path->socket);
    ck_assert_int_eq(rmdir(path->folder), 0);
}

START_TEST(unix_socket_s_two_ends_are_named_by_its_path_and_are_local) {
    struct unix_path path = unix_path_new();
    int listener = network_listen_unix(path.socket, 0, 16);
    ck_assert_int_ge(listener, 0);
    int client = network_connect_unix_start(path.socket);
    ck_assert_int_ge(client, 0);
    ck_assert_int_eq(network_connect_result(client), 0);
    int server = accept_one(listener);
    char expected[NETWORK_ADDRESS_BYTES + 2];
    snprintf(expected, sizeof(expected), "%s:0", path.socket);
    char text[NETWORK_ADDRESS_BYTES];
    network_peer_address(server, text);
    ck_assert_str_eq(text, expected);
    network_own_address(server, text);
    ck_assert_str_eq(text, expected);
    network_peer_address(client, text);
    ck_assert_str_eq(text, expected);
    ck_assert(network_is_unix(server));
    ck_assert(network_peer_is_local(server));
    ck_assert_int_eq(network_set_no_delay(server), 0);
    ck_assert_int_eq(network_set_keepalive(server, 300), 0);
    network_close(server);
    network_close(client);
    network_close(listener);
    unix_path_free(&path);
}
END_TEST

START_TEST(unix_socket_has_the_wanted_mode_and_takes_the_place_of_a_leftover) {
    struct unix_path path = unix_path_new();
    int leftover = network_listen_unix(path.socket, 0, 16);
    network_close(leftover);
    int listener = network_listen_unix(path.socket, 0720, 16);
    ck_assert_int_ge(listener, 0);
    struct stat status;
    ck_assert_int_eq(stat(path.socket, &status), 0);
    ck_assert_uint_eq(status.st_mode & 0777, 0720);
    network_close(listener);
    unix_path_free(&path);
}
END_TEST

START_TEST(unix_socket_never_replaces_a_file_and_its_path_has_a_limit) {
    struct unix_path path = unix_path_new();
    close(open(path.socket, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    ck_assert_int_eq(network_listen_unix(path.socket, 0, 16), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    struct stat status;
    ck_assert_int_eq(stat(path.socket, &status), 0);
    ck_assert(S_ISREG(status.st_mode));
    char long_path[200];
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    ck_assert_int_eq(network_listen_unix(long_path, 0, 16), -1);
    ck_assert_int_eq(errno, ENAMETOOLONG);
    ck_assert_int_eq(network_connect_unix_start(long_path), -1);
    ck_assert_int_eq(errno, ENAMETOOLONG);
    unix_path_free(&path);
}
END_TEST

START_TEST(the_longest_path_of_a_unix_socket_fits_into_an_address) {
    char path[108];
    char folder[] = "/tmp/tarn-network-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    int length = snprintf(path, sizeof(path), "%s/", folder);
    memset(path + length, 'x', sizeof(path) - 1 - (size_t)length);
    path[sizeof(path) - 1] = '\0';
    int listener = network_listen_unix(path, 0, 16);
    ck_assert_int_ge(listener, 0);
    char text[NETWORK_ADDRESS_BYTES];
    ck_assert_uint_eq(network_own_address(listener, text), 107 + 2);
    ck_assert_int_eq(strncmp(text, path, 107), 0);
    network_close(listener);
    unlink(path);
    rmdir(folder);
}
END_TEST

START_TEST(connect_to_a_port_without_listener_ends_as_refused) {
    int fds[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at("127.0.0.1", 0, fds), 1);
    uint16_t port = own_port(fds[0]);
    network_close(fds[0]);
    int fd =
        network_connect_start(&(struct network_connect_options){.host = "127.0.0.1", .port = port});
    if (fd == -1) {
        ck_assert_int_eq(errno, ECONNREFUSED);
        return;
    }
    ck_assert(is_prepared(fd));
    wait_until(fd, POLLOUT);
    ck_assert_int_eq(network_connect_result(fd), ECONNREFUSED);
    network_close(fd);
}
END_TEST

START_TEST(connect_binds_the_source_address_first) {
    int fds[NETWORK_LISTENERS_MAX];
    ck_assert_int_eq(listen_at("127.0.0.1", 0, fds), 1);
    struct network_connect_options options = {
        .host = "127.0.0.1", .port = own_port(fds[0]), .source_host = "127.0.0.3"};
    int client = network_connect_start(&options);
    ck_assert_int_ge(client, 0);
    int server = accept_one(fds[0]);
    char text[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    network_peer_host(server, text, &port);
    ck_assert_str_eq(text, "127.0.0.3");
    options.source_host = ABSENT_ADDRESS;
    ck_assert_int_eq(network_connect_start(&options), -1);
    ck_assert_int_eq(errno, EADDRNOTAVAIL);
    options.host = "1.2.3.4.5";
    ck_assert_int_eq(network_connect_start(&options), -1);
    ck_assert_int_eq(errno, EHOSTUNREACH);
    network_close(server);
    network_close(client);
    network_close(fds[0]);
}
END_TEST

START_TEST(read_tells_bytes_from_would_block_from_closed_from_error) {
    struct link link = link_new("127.0.0.1");
    char bytes[16];
    struct network_result result = network_read(link.server, bytes, sizeof(bytes));
    ck_assert_int_eq(result.status, NETWORK_WOULD_BLOCK);
    ck_assert_uint_eq(result.bytes, 0);
    ck_assert_int_eq(network_write(link.client, "hello", 5).status, NETWORK_MOVED);
    wait_until(link.server, POLLIN);
    result = network_read(link.server, bytes, sizeof(bytes));
    ck_assert_int_eq(result.status, NETWORK_MOVED);
    ck_assert_uint_eq(result.bytes, 5);
    ck_assert_int_eq(memcmp(bytes, "hello", 5), 0);
    network_shutdown(link.client);
    wait_until(link.server, POLLIN);
    ck_assert_int_eq(network_read(link.server, bytes, sizeof(bytes)).status, NETWORK_CLOSED);
    /* A reset: the client closes with bytes unread. */
    struct link broken = link_new("127.0.0.1");
    network_write(broken.server, "x", 1);
    wait_until(broken.client, POLLIN);
    close(broken.client);
    broken.client = dup(0);
    wait_until(broken.server, POLLIN);
    result = network_read(broken.server, bytes, sizeof(bytes));
    ck_assert_int_eq(result.status, NETWORK_ERROR);
    ck_assert_int_eq(result.error, ECONNRESET);
    link_free(&broken);
    link_free(&link);
}
END_TEST

START_TEST(write_stops_at_what_the_socket_holds_and_survives_a_closed_peer) {
    struct link link = link_new("127.0.0.1");
    static const char chunk[65536];
    struct network_result result;
    do {
        result = network_write(link.client, chunk, sizeof(chunk));
    } while (result.status == NETWORK_MOVED);
    ck_assert_int_eq(result.status, NETWORK_WOULD_BLOCK);
    network_shutdown(link.client);
    /* Without a signal, which would end this test. */
    result = network_write(link.client, chunk, sizeof(chunk));
    ck_assert_int_eq(result.status, NETWORK_ERROR);
    ck_assert_int_eq(result.error, EPIPE);
    struct iovec part = {.iov_base = (void *)(uintptr_t)chunk, .iov_len = 1};
    result = network_write_parts(link.client, &part, 1);
    ck_assert_int_eq(result.status, NETWORK_ERROR);
    ck_assert_int_eq(result.error, EPIPE);
    link_free(&link);
}
END_TEST

START_TEST(write_of_parts_sends_them_in_order_and_accepts_more_than_the_kernel_does) {
    struct link link = link_new("127.0.0.1");
    static char bytes[3000];
    struct iovec parts[3000];
    for (size_t i = 0; i < 3000; i++) {
        bytes[i] = (char)(i % 251);
        parts[i] = (struct iovec){.iov_base = &bytes[i], .iov_len = 1};
    }
    size_t sent = 0;
    while (sent < 3000) {
        struct network_result result = network_write_parts(link.client, parts + sent, 3000 - sent);
        ck_assert_int_eq(result.status, NETWORK_MOVED);
        sent += result.bytes;
    }
    char received[3000];
    size_t count = 0;
    while (count < 3000) {
        wait_until(link.server, POLLIN);
        count += network_read(link.server, received + count, 3000 - count).bytes;
    }
    ck_assert_int_eq(memcmp(received, bytes, 3000), 0);
    link_free(&link);
}
END_TEST

START_TEST(a_peer_that_left_is_seen_behind_bytes_that_wait) {
    struct link link = link_new("127.0.0.1");
    ck_assert(!network_peer_has_left(link.server));
    ck_assert_int_eq(network_write(link.client, "abc", 3).status, NETWORK_MOVED);
    ck_assert(!network_peer_has_left(link.server));
    network_shutdown(link.client);
    struct pollfd end = {.fd = link.server, .events = POLLRDHUP};
    ck_assert_int_eq(poll(&end, 1, 10000), 1);
    ck_assert(network_peer_has_left(link.server));
    link_free(&link);
}
END_TEST

START_TEST(options_of_a_connection_are_set_as_redis_sets_them) {
    struct link link = link_new("127.0.0.1");
    ck_assert_int_eq(network_set_no_delay(link.server), 0);
    ck_assert_int_ne(option_of(link.server, IPPROTO_TCP, TCP_NODELAY), 0);
    ck_assert_int_eq(network_set_keepalive(link.server, 300), 0);
    ck_assert_int_ne(option_of(link.server, SOL_SOCKET, SO_KEEPALIVE), 0);
    ck_assert_int_eq(option_of(link.server, IPPROTO_TCP, TCP_KEEPIDLE), 300);
    ck_assert_int_eq(option_of(link.server, IPPROTO_TCP, TCP_KEEPINTVL), 100);
    ck_assert_int_eq(option_of(link.server, IPPROTO_TCP, TCP_KEEPCNT), 3);
    ck_assert_int_eq(network_set_keepalive(link.server, 1), 0);
    ck_assert_int_eq(option_of(link.server, IPPROTO_TCP, TCP_KEEPINTVL), 1);
    ck_assert_int_eq(network_set_keepalive(link.server, 0), 0);
    ck_assert_int_eq(option_of(link.server, SOL_SOCKET, SO_KEEPALIVE), 0);
    ck_assert_int_eq(network_set_no_delay(-1), EBADF);
    link_free(&link);
}
END_TEST

START_TEST(descriptor_limit_is_raised_as_far_as_wanted_and_never_lowered) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit low = {.rlim_cur = 64, .rlim_max = limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    ck_assert_uint_eq(network_raise_descriptor_limit(100), 100);
    ck_assert_uint_eq(network_raise_descriptor_limit(50), 100);
    getrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_uint_eq(limit.rlim_cur, 100);
    ck_assert_uint_eq(limit.rlim_max, low.rlim_max);
    /* More than any kernel grants: what holds then is the hard limit. */
    ck_assert_uint_eq(network_raise_descriptor_limit(UINT64_C(1) << 40), low.rlim_max);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        listen_opens_a_socket_per_address_and_none_for_an_empty_list,
        listen_refuses_an_absent_address_unless_it_is_marked_with_a_dash,
        listen_that_fails_leaves_nothing_open,
        listen_refuses_a_port_in_use_even_with_a_dash,
        listen_refuses_names_that_do_not_resolve_and_lists_that_are_too_long,
        both_wildcards_listen_on_one_port_without_taking_it_from_each_other,
        accept_gives_a_prepared_socket_or_says_that_nobody_waits,
        accept_tells_a_lack_of_descriptors_from_a_broken_listener,
        addresses_of_ipv4_are_host_colon_port_at_both_ends,
        addresses_of_ipv6_stand_in_brackets,
        addresses_that_cannot_be_told_are_question_marks,
        unix_socket_s_two_ends_are_named_by_its_path_and_are_local,
        unix_socket_has_the_wanted_mode_and_takes_the_place_of_a_leftover,
        unix_socket_never_replaces_a_file_and_its_path_has_a_limit,
        the_longest_path_of_a_unix_socket_fits_into_an_address,
        connect_to_a_port_without_listener_ends_as_refused,
        connect_binds_the_source_address_first,
        read_tells_bytes_from_would_block_from_closed_from_error,
        write_stops_at_what_the_socket_holds_and_survives_a_closed_peer,
        write_of_parts_sends_them_in_order_and_accepts_more_than_the_kernel_does,
        a_peer_that_left_is_seen_behind_bytes_that_wait,
        options_of_a_connection_are_set_as_redis_sets_them,
        descriptor_limit_is_raised_as_far_as_wanted_and_never_lowered,
    };
    return unit_run(unit_suite("network", tests, UNIT_COUNT(tests)));
}
