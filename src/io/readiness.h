/* Tells the service manager how far the server is: the protocol of sd_notify(3) without its
 * library. A datagram of lines to the unix socket that the manager named in $NOTIFY_SOCKET ('@'
 * first: the abstract name space). Main thread.
 */
#ifndef TARN_IO_READINESS_H
#define TARN_IO_READINESS_H

#define READINESS_READY "READY=1\n"
#define READINESS_STOPPING "STOPPING=1\n"
#define READINESS_RELOADING "RELOADING=1\n"
#define READINESS_STATUS(text) "STATUS=" text "\n"

/* socket_path: the value of $NOTIFY_SOCKET, or NULL: nobody wants to know, which is no error.
 * state: one or more of the lines above. 0 or an errno. */
int readiness_notify(const char *socket_path, const char *state);

#endif
