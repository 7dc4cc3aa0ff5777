#define _GNU_SOURCE 1

#include "io/network.h"

#include "base/assertion.h"
#include "base/logger.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* Room for one word of a bind list: a host name of DNS, and more than any address. */
#define HOST_BYTES 256
#define PORT_TEXT_BYTES sizeof("65535")

#define KEEPALIVE_PROBES 3

struct address_text {
    char host[NETWORK_ADDRESS_BYTES];
    uint16_t port;
    bool is_unix;
    bool is_ipv6;
};

static int set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) == -1 ? errno : 0;
}

/* Closes what failed, and leaves in errno why it failed. Always -1. */
static int close_failed(int fd) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int open_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Looks up addresses; *reason is what to tell people when it fails. The caller frees *found. */
static bool resolve(const char *host, uint16_t port, const struct addrinfo *hints,
                    struct addrinfo **found, const char **reason) {
    char port_text[PORT_TEXT_BYTES];
    snprintf(port_text, sizeof(port_text), "%u", (unsigned)port);
    int result = getaddrinfo(host, port_text, hints, found);
    if (result != 0) {
        *reason = gai_strerror(result);
    }
    return result == 0;
}

/* Listening */

/* One word of a bind list. */
struct bind_address {
    char host[HOST_BYTES];
    bool may_be_absent;
};

/* Takes the next word off the list: 1, 0 at the end, -1 for a word that is too long. */
static int next_bind_address(const char **list, struct bind_address *address) {
    const char *word = *list + strspn(*list, " \t");
    size_t length = strcspn(word, " \t");
    *list = word + length;
    if (length == 0) {
        return 0;
    }
    address->may_be_absent = word[0] == '-';
    if (address->may_be_absent) {
        word++;
        length--;
    }
    if (length >= sizeof(address->host)) {
        return -1;
    }
    memcpy(address->host, word, length);
    address->host[length] = '\0';
    return 1;
}

/* A socket that listens at one resolved address, or -1; *step is the call that failed. */
static int listen_at(const struct addrinfo *at, int backlog, const char **step) {
    *step = "socket";
    int fd = open_socket(at->ai_family);
    if (fd == -1) {
        return -1;
    }
    /* "::*" and "*" are two entries of one list, so neither may take the other's port. */
    *step = "setsockopt IPV6_V6ONLY";
    if (at->ai_family == AF_INET6 && (errno = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) != 0) {
        return close_failed(fd);
    }
    *step = "setsockopt SO_REUSEADDR";
    if ((errno = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) != 0) {
        return close_failed(fd);
    }
    *step = "bind";
    if (bind(fd, at->ai_addr, at->ai_addrlen) == -1) {
        return close_failed(fd);
    }
    *step = "listen";
    if (listen(fd, backlog) == -1) {
        return close_failed(fd);
    }
    return fd;
}

/* The machine lacks the protocol: the list goes on without this address, as in Redis. */
static bool protocol_is_missing(int error) {
    return error == ENOPROTOOPT || error == EPROTONOSUPPORT || error == ESOCKTNOSUPPORT ||
           error == EPFNOSUPPORT || error == EAFNOSUPPORT;
}

static int listen_host(const char *host, uint16_t port, int backlog) {
    bool is_ipv6 = strchr(host, ':') != NULL;
    const char *wildcard = is_ipv6 ? "::*" : "*";
    struct addrinfo hints = {.ai_family = is_ipv6 ? AF_INET6 : AF_INET,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    const char *reason;
    if (!resolve(strcmp(host, wildcard) == 0 ? NULL : host, port, &hints, &found, &reason)) {
        log_warning("Warning: Could not create server TCP listening socket %s:%u: %s", host,
                    (unsigned)port, reason);
        errno = EINVAL;
        return -1;
    }
    const char *step = "";
    int fd = -1;
    for (struct addrinfo *at = found; at != NULL && fd == -1; at = at->ai_next) {
        fd = listen_at(at, backlog, &step);
    }
    int error = errno;
    freeaddrinfo(found);
    if (fd == -1) {
        log_warning("Warning: Could not create server TCP listening socket %s:%u: %s: %s", host,
                    (unsigned)port, step, strerror(error));
        errno = error;
    }
    return fd;
}

static int close_listeners(const int *fds, int count) {
    int error = errno;
    for (int i = 0; i < count; i++) {
        close(fds[i]);
    }
    errno = error;
    return -1;
}

int network_listen_tcp(const struct network_listen_options *options,
                       int fds[NETWORK_LISTENERS_MAX]) {
    int count = 0;
    int words = 0;
    const char *list = options->bind;
    struct bind_address address;
    int more;
    while ((more = next_bind_address(&list, &address)) != 0) {
        if (more == -1 || ++words > NETWORK_LISTENERS_MAX) {
            errno = more == -1 ? EINVAL : E2BIG;
            return close_listeners(fds, count);
        }
        int fd = listen_host(address.host, options->port, options->backlog);
        if (fd != -1) {
            fds[count++] = fd;
        } else if (!(errno == EADDRNOTAVAIL && address.may_be_absent) &&
                   !protocol_is_missing(errno)) {
            return close_listeners(fds, count);
        }
    }
    return count;
}

/* False with errno: the path does not fit. */
static bool unix_address(const char *path, struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof(address->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, length + 1);
    return true;
}

int network_listen_unix(const char *path, mode_t mode, int backlog) {
    struct sockaddr_un address;
    if (!unix_address(path, &address)) {
        return -1;
    }
    /* Only a socket is taken for a leftover: a file that somebody named by mistake stays. */
    struct stat existing;
    if (lstat(path, &existing) == 0 && S_ISSOCK(existing.st_mode)) {
        unlink(path);
    }
    int fd = open_socket(AF_UNIX);
    if (fd == -1) {
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
        return close_failed(fd);
    }
    /* Before it listens, so that nobody gets in by the umask's permissions. */
    if ((mode != 0 && chmod(path, mode) == -1) || listen(fd, backlog) == -1) {
        close_failed(fd);
        int error = errno;
        unlink(path);
        errno = error;
        return -1;
    }
    return fd;
}

/* Accepting */

enum network_accept_status network_accept(int listener, int *fd) {
    int accepted;
    do {
        accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (accepted == -1 && errno == EINTR);
    if (accepted != -1) {
        *fd = accepted;
        return NETWORK_ACCEPTED;
    }
    switch (errno) {
    case EAGAIN:
    /* On Linux accept() also reports what befell the connection while it waited. */
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case ETIMEDOUT:
        return NETWORK_ACCEPT_NONE;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return NETWORK_ACCEPT_LIMIT;
    default:
        return NETWORK_ACCEPT_ERROR;
    }
}

/* Connecting */

/* Binds a socket that is about to connect; false with errno. */
static bool bind_source(int fd, const char *host, int family) {
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    const char *reason;
    if (!resolve(host, 0, &hints, &found, &reason)) {
        errno = EADDRNOTAVAIL;
        return false;
    }
    bool is_bound = bind(fd, found->ai_addr, found->ai_addrlen) == 0;
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return is_bound;
}

static int connect_to(const struct addrinfo *to, const char *source_host) {
    int fd = open_socket(to->ai_family);
    if (fd == -1) {
        return -1;
    }
    if (source_host != NULL && source_host[0] != '\0' &&
        !bind_source(fd, source_host, to->ai_family)) {
        return close_failed(fd);
    }
    if (connect(fd, to->ai_addr, to->ai_addrlen) == -1 && errno != EINPROGRESS) {
        return close_failed(fd);
    }
    return fd;
}

int network_connect_start(const struct network_connect_options *options) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    const char *reason;
    if (!resolve(options->host, options->port, &hints, &found, &reason)) {
        errno = EHOSTUNREACH;
        return -1;
    }
    int fd = -1;
    for (struct addrinfo *to = found; to != NULL && fd == -1; to = to->ai_next) {
        fd = connect_to(to, options->source_host);
    }
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return fd;
}

int network_connect_unix_start(const char *path) {
    struct sockaddr_un address;
    if (!unix_address(path, &address)) {
        return -1;
    }
    int fd = open_socket(AF_UNIX);
    if (fd == -1) {
        return -1;
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
        return close_failed(fd);
    }
    return fd;
}

int network_connect_result(int fd) {
    int error = 0;
    socklen_t length = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == -1) {
        return errno;
    }
    if (error != 0) {
        return error;
    }
    struct sockaddr_storage peer;
    length = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &length) == -1) {
        return errno == ENOTCONN ? EINPROGRESS : errno;
    }
    return 0;
}

/* Moving bytes */

static struct network_result moved(ssize_t count) {
    if (LIKELY(count > 0)) {
        return (struct network_result){.bytes = (size_t)count, .status = NETWORK_MOVED};
    }
    if (count == 0) {
        return (struct network_result){.status = NETWORK_CLOSED};
    }
    if (LIKELY(errno == EAGAIN)) {
        return (struct network_result){.status = NETWORK_WOULD_BLOCK};
    }
    return (struct network_result){.status = NETWORK_ERROR, .error = errno};
}

struct network_result network_read(int fd, void *bytes, size_t length) {
    ASSERT(length > 0);
    ssize_t count;
    do {
        count = recv(fd, bytes, length, 0);
    } while (UNLIKELY(count == -1 && errno == EINTR));
    return moved(count);
}

struct network_result network_write(int fd, const void *bytes, size_t length) {
    ASSERT(length > 0);
    ssize_t count;
    do {
        count = send(fd, bytes, length, MSG_NOSIGNAL);
    } while (UNLIKELY(count == -1 && errno == EINTR));
    return moved(count);
}

struct network_result network_write_parts(int fd, const struct iovec *parts, size_t count) {
    ASSERT(count > 0);
    /* The kernel only reads the parts, though the structure's type does not say so. */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = count < IOV_MAX ? count : IOV_MAX};
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (UNLIKELY(sent == -1 && errno == EINTR));
    return moved(sent);
}

bool network_peer_has_left(int fd) {
    struct pollfd socket = {.fd = fd, .events = POLLRDHUP};
    return poll(&socket, 1, 0) == 1;
}

void network_shutdown(int fd) {
    shutdown(fd, SHUT_RDWR);
}

void network_close(int fd) {
    close(fd);
}

/* Options */

/* A unix socket has no such option, and needs none. */
static int set_tcp_option(int fd, int option, int value) {
    int error = set_option(fd, IPPROTO_TCP, option, value);
    return error == EOPNOTSUPP || error == ENOPROTOOPT ? 0 : error;
}

int network_set_no_delay(int fd) {
    return set_tcp_option(fd, TCP_NODELAY, 1);
}

int network_set_delay(int fd) {
    return set_tcp_option(fd, TCP_NODELAY, 0);
}

int network_set_keepalive(int fd, int interval_seconds) {
    int error = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, interval_seconds > 0);
    if (error != 0 || interval_seconds <= 0) {
        return error;
    }
    int probe_interval = interval_seconds / KEEPALIVE_PROBES;
    if ((error = set_tcp_option(fd, TCP_KEEPIDLE, interval_seconds)) != 0 ||
        (error = set_tcp_option(fd, TCP_KEEPINTVL, probe_interval > 0 ? probe_interval : 1)) != 0) {
        return error;
    }
    return set_tcp_option(fd, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

/* Names */

typedef int (*name_function)(int fd, struct sockaddr *address, socklen_t *length);

/* Path of a unix socket's address, which may lack its final zero; false if it has none. */
static bool read_unix_path(int fd, name_function name, char path[NETWORK_ADDRESS_BYTES]) {
    struct sockaddr_un address;
    socklen_t length = sizeof(address);
    const size_t path_at = offsetof(struct sockaddr_un, sun_path);
    if (name(fd, (struct sockaddr *)&address, &length) == -1 || length <= path_at) {
        return false;
    }
    size_t path_length = length - path_at;
    path_length = path_length < sizeof(address.sun_path) ? path_length : sizeof(address.sun_path);
    memcpy(path, address.sun_path, path_length);
    path[path_length] = '\0';
    if (path[0] == '\0') {
        path[0] = '@'; /* a name that is not in the file system, written as ss and lsof do */
    }
    return true;
}

/* False: it cannot be told. */
static bool read_address(int fd, name_function name, struct address_text *text) {
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
        struct sockaddr_storage room;
    } address;
    socklen_t length = sizeof(address);
    if (name(fd, &address.any, &length) == -1) {
        return false;
    }
    *text = (struct address_text){.port = 0};
    switch (address.any.sa_family) {
    case AF_INET:
        text->port = ntohs(address.ipv4.sin_port);
        return inet_ntop(AF_INET, &address.ipv4.sin_addr, text->host, sizeof(text->host)) != NULL;
    case AF_INET6:
        text->port = ntohs(address.ipv6.sin6_port);
        text->is_ipv6 = true;
        return inet_ntop(AF_INET6, &address.ipv6.sin6_addr, text->host, sizeof(text->host)) != NULL;
    case AF_UNIX:
        /* One of the two sides is bound to a path: the listener's. */
        text->is_unix = true;
        return read_unix_path(fd, getsockname, text->host) ||
               read_unix_path(fd, getpeername, text->host);
    default:
        return false;
    }
}

static size_t write_address(int fd, name_function name, char text[NETWORK_ADDRESS_BYTES]) {
    struct address_text address;
    int length;
    if (!read_address(fd, name, &address)) {
        length = snprintf(text, NETWORK_ADDRESS_BYTES, "?:0");
    } else {
        length = snprintf(text, NETWORK_ADDRESS_BYTES, address.is_ipv6 ? "[%s]:%u" : "%s:%u",
                          address.host, (unsigned)address.port);
    }
    ASSERT(length > 0 && length < NETWORK_ADDRESS_BYTES);
    return (size_t)length;
}

static size_t write_host(int fd, name_function name, char text[NETWORK_ADDRESS_BYTES],
                         uint16_t *port) {
    struct address_text address;
    if (!read_address(fd, name, &address)) {
        address = (struct address_text){.host = "?", .port = 0};
    }
    size_t length = strlen(address.host);
    memcpy(text, address.host, length + 1);
    *port = address.port;
    return length;
}

size_t network_peer_address(int fd, char text[NETWORK_ADDRESS_BYTES]) {
    return write_address(fd, getpeername, text);
}

size_t network_own_address(int fd, char text[NETWORK_ADDRESS_BYTES]) {
    return write_address(fd, getsockname, text);
}

size_t network_peer_host(int fd, char text[NETWORK_ADDRESS_BYTES], uint16_t *port) {
    return write_host(fd, getpeername, text, port);
}

size_t network_own_host(int fd, char text[NETWORK_ADDRESS_BYTES], uint16_t *port) {
    return write_host(fd, getsockname, text, port);
}

bool network_is_unix(int fd) {
    int family = 0;
    socklen_t length = sizeof(family);
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family == AF_UNIX;
}

bool network_peer_is_local(int fd) {
    struct address_text address;
    if (!read_address(fd, getpeername, &address)) {
        return network_is_unix(fd);
    }
    return address.is_unix || strncmp(address.host, "127.", 4) == 0 ||
           strcmp(address.host, "::1") == 0;
}

/* Descriptors */

uint64_t network_raise_descriptor_limit(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        return 0;
    }
    if (limit.rlim_cur >= wanted) {
        return limit.rlim_cur;
    }
    struct rlimit raised = {.rlim_cur = wanted, .rlim_max = wanted};
    if (limit.rlim_max >= wanted) {
        raised.rlim_max = limit.rlim_max;
    }
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        return raised.rlim_cur;
    }
    /* Beyond the hard limit only a privileged process gets. */
    raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}
