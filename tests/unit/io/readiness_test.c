#include "io/readiness.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A service manager's end: a datagram socket at this path, '@' first for the abstract name
 * space. */
static int manager_open(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, address_length), 0);
    return fd;
}

static void assert_received(int manager, const char *expected) {
    char text[256];
    ssize_t length = recv(manager, text, sizeof(text) - 1, MSG_DONTWAIT);
    ck_assert_int_gt(length, 0);
    text[length] = '\0';
    ck_assert_str_eq(text, expected);
}

START_TEST(state_arrives_at_a_socket_in_the_file_system) {
    char folder[] = "/tmp/tarn-readiness-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char path[64];
    snprintf(path, sizeof(path), "%s/notify", folder);
    int manager = manager_open(path);
    ck_assert_int_eq(readiness_notify(path, READINESS_STATUS("Ready") READINESS_READY), 0);
    assert_received(manager, "STATUS=Ready\nREADY=1\n");
    close(manager);
    unlink(path);
    rmdir(folder);
}
END_TEST

START_TEST(state_arrives_at_an_abstract_socket) {
    char path[64];
    snprintf(path, sizeof(path), "@tarn-readiness-%d", (int)getpid());
    int manager = manager_open(path);
    ck_assert_int_eq(readiness_notify(path, READINESS_STOPPING), 0);
    assert_received(manager, "STOPPING=1\n");
    close(manager);
}
END_TEST

START_TEST(without_a_manager_nothing_is_told_and_nothing_fails) {
    ck_assert_int_eq(readiness_notify(NULL, READINESS_READY), 0);
    ck_assert_int_eq(readiness_notify("", READINESS_READY), 0);
}
END_TEST

START_TEST(a_socket_that_cannot_be_reached_is_an_error) {
    ck_assert_int_eq(readiness_notify("/nonexistent/notify", READINESS_READY), ENOENT);
    ck_assert_int_eq(readiness_notify("relative", READINESS_READY), EAFNOSUPPORT);
    char path[300];
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    ck_assert_int_eq(readiness_notify(path, READINESS_READY), ENAMETOOLONG);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        state_arrives_at_a_socket_in_the_file_system,
        state_arrives_at_an_abstract_socket,
        without_a_manager_nothing_is_told_and_nothing_fails,
        a_socket_that_cannot_be_reached_is_an_error,
    };
    return unit_run(unit_suite("readiness", tests, UNIT_COUNT(tests)));
}
