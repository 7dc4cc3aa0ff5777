/* Sockets: listening, accepting, connecting, moving bytes. All are non-blocking and close-on-exec.
 *
 * An fd is owned by the caller, who closes it with network_close(). Nothing here keeps state, so
 * any thread may call anything. What the environment does is answered, never asserted: a status, or
 * -1 with errno.
 */
#ifndef TARN_IO_NETWORK_H
#define TARN_IO_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct iovec;

/* Listening */

#define NETWORK_LISTENERS_MAX 16 /* addresses in a bind list, as in Redis */

struct network_listen_options {
    /* Addresses or names, separated by blanks; "" binds nothing. "*" is all of IPv4, "::*" all of
     * IPv6, which never includes IPv4. A leading '-' allows that the machine lacks the address. */
    const char *bind;
    uint16_t port; /* 0: the kernel chooses one for each address */
    int backlog;
};

/* Opens a listening socket per address. Answers how many, which may be 0 (nothing to bind, all that
 * failed were allowed to, or the machine lacks the protocol), or -1: an address failed, errno says
 * why (EINVAL too for a name that does not resolve, E2BIG for too many addresses), and nothing
 * stays open. Every address that fails gets a line in the log, worded as Redis does. */
int network_listen_tcp(const struct network_listen_options *options,
                       int fds[NETWORK_LISTENERS_MAX]);

/* Opens a listening unix socket; one that an earlier process left behind is removed first. mode 0
 * leaves the permissions to the umask. The fd, or -1 with errno (ENAMETOOLONG beyond
 * sockaddr_un). */
int network_listen_unix(const char *path, mode_t mode, int backlog);

/* Accepting */

enum network_accept_status {
    NETWORK_ACCEPTED,
    NETWORK_ACCEPT_NONE,  /* nobody is waiting, or who did has gone */
    NETWORK_ACCEPT_LIMIT, /* out of descriptors or memory: try again later, the peer waits */
    NETWORK_ACCEPT_ERROR, /* the listener is unusable; errno says why */
};

/* *fd is set only when ACCEPTED. */
enum network_accept_status network_accept(int listener, int *fd);

/* Connecting: of use when the fd becomes writable; then ask network_connect_result(). */

struct network_connect_options {
    const char *host; /* an address; a name is resolved at once, which blocks */
    uint16_t port;
    const char *source_host; /* bind to this address first; NULL or "": the kernel's choice */
};

/* The fd of a connection under way, or -1 with errno (EHOSTUNREACH: a name that does not
 * resolve). */
int network_connect_start(const struct network_connect_options *options);
int network_connect_unix_start(const char *path);
/* 0: connected; EINPROGRESS: not yet; else the errno that ended it. */
int network_connect_result(int fd);

/* Moving bytes */

enum network_status {
    NETWORK_MOVED,       /* bytes > 0 went through, fewer than asked perhaps */
    NETWORK_WOULD_BLOCK, /* none now: wait for readiness */
    NETWORK_CLOSED,      /* the peer ended the connection in order (read only) */
    NETWORK_ERROR,       /* the connection is gone; error is its errno */
};

struct network_result {
    size_t bytes; /* 0 unless MOVED */
    enum network_status status;
    int error;
};

/* Interruptions are retried; a write to a closed connection raises no signal. length > 0. */
struct network_result network_read(int fd, void *bytes, size_t length);
struct network_result network_write(int fd, const void *bytes, size_t length);
/* As many parts as IOV_MAX allows in one go; more may be given. At least one byte in all. */
struct network_result network_write_parts(int fd, const struct iovec *parts, size_t count);

/* The peer has closed its side, or the connection is gone: known even while bytes that it sent
 * before wait to be read. */
bool network_peer_has_left(int fd);

/* Ends the connection for both sides without letting go of the fd: its reader sees the end. */
void network_shutdown(int fd);
void network_close(int fd);

/* Options of a connection. All answer 0 or an errno; a unix socket answers 0 and has none of
 * them. */

int network_set_no_delay(int fd);
int network_set_delay(int fd); /* takes that back */
/* Probes an idle peer after interval_seconds, then three times, a third of that apart, as Redis
 * does. 0 switches probing off. */
int network_set_keepalive(int fd, int interval_seconds);

/* Names */

/* Room for any text below: "[" IPv6 with scope "]:" port, or a socket's path and ":0". */
#define NETWORK_ADDRESS_BYTES 128

/* "127.0.0.1:5000", "[::1]:5000", "/path/of/socket:0", as CLIENT LIST writes them; "?:0" if it
 * cannot be told. The peer of a unix socket has no name of its own: both sides are the socket's
 * path. The text ends with a zero; answers its length. */
size_t network_peer_address(int fd, char text[NETWORK_ADDRESS_BYTES]);
size_t network_own_address(int fd, char text[NETWORK_ADDRESS_BYTES]);
/* The same in parts: the address without brackets or port, and the port (0 for a unix socket). */
size_t network_peer_host(int fd, char text[NETWORK_ADDRESS_BYTES], uint16_t *port);
size_t network_own_host(int fd, char text[NETWORK_ADDRESS_BYTES], uint16_t *port);
bool network_is_unix(int fd);
/* A unix socket, or a peer at 127.0.0.0/8 or ::1: whom protected mode lets in. */
bool network_peer_is_local(int fd);

/* Descriptors of the process: raises the limit to `wanted` if it is lower and as far as the system
 * allows. Answers the limit that holds now, which may be more or less than wanted. */
uint64_t network_raise_descriptor_limit(uint64_t wanted);

#endif
