#include "io/readiness.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int readiness_notify(const char *socket_path, const char *state) {
    if (socket_path == NULL || socket_path[0] == '\0') {
        return 0;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(socket_path);
    if (length >= sizeof(address.sun_path)) {
        return ENAMETOOLONG;
    }
    if (socket_path[0] != '/' && socket_path[0] != '@') {
        return EAFNOSUPPORT;
    }
    memcpy(address.sun_path, socket_path, length);
    if (socket_path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return errno;
    }
    /* The address ends with the name: in the abstract name space a zero behind it would be part. */
    socklen_t address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    ssize_t sent =
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, address_length);
    int result = sent == -1 ? errno : 0;
    close(fd);
    return result;
}
