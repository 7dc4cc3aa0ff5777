/* Connection: one client. Its socket belongs to its home worker for life; the connection itself
 * travels: when its next request needs another worker's slots, it is lent to that worker with the
 * requests that were parsed and the replies so far, so that nothing is copied and the pipeline
 * stays in order. Only home reads and writes the socket.
 *
 *   home -> [parse, run] -> away (in a mailbox or run elsewhere) -> home -> [write]
 *   home -> waiting for a stop -> home        home -> suspended (CLIENT PAUSE) -> home
 *   home -> blocked (WAIT) -> home
 *
 * Invariants
 *  1. Requests run in the order in which they arrived; the next one starts when the one before is
 *     done.
 *  2. Arguments point into `input` (or into blocks); `input` does not move while requests are
 *     pending.
 *  3. While is_away, home touches only: link, fd, watch, is_away, closes, deferred, and the
 *     subscriptions, which nobody else does. Under a stop of all workers nobody has it, and all of
 *     it may be touched.
 *  4. A connection is freed by home only, when it is at home.
 *
 * connection.c holds its life and its watch, connection_input.c reading and parsing,
 * connection_output.c writing, pushes and output limits.
 */
#ifndef TARN_WORKER_CONNECTION_H
#define TARN_WORKER_CONNECTION_H

#include "base/list.h"
#include "execute/transaction.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/network.h"
#include "protocol/parser.h"
#include "protocol/reply.h"
#include "worker/worker_options.h"

#define REQUESTS_MAX 32 /* that are parsed ahead */
#define CONNECTION_ALIGNMENT 64

/* Input: bytes read and not yet taken. */
#define INPUT_BYTES ((size_t)32 * 1024)
/* Bytes that a connection may read and write in one tick; more waits for the next. */
#define CONNECTION_READ_BYTES_MAX ((size_t)128 * 1024)
#define CONNECTION_WRITE_BYTES_MAX ((size_t)128 * 1024)
/* Runs of bytes that one write gathers: replies hold large values by reference. */
#define CONNECTION_WRITE_PARTS_MAX 16
/* A large value's block has its final size at once as long as all that clients of this worker have
 * announced and not sent stays below LARGE_ANNOUNCED_BYTES_MAX: nothing is copied, and announcing
 * without sending cannot take more. Beyond that it starts small and grows fourfold as bytes
 * arrive. */
#define LARGE_ANNOUNCED_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define LARGE_FIRST_BYTES ((size_t)128 * 1024)
#define LARGE_GROWTH 4
/* Reply room that an idle connection keeps. */
#define REPLY_KEPT_BYTES ((size_t)16 * 1024)

struct worker;
struct subscriptions;
struct blocked;
struct quorum_gate;

struct request {
    const struct command_slot *command;   /* NULL: no such command */
    const struct command_slot *container; /* of an unknown subcommand */
    uint32_t args_at;                     /* index into spans */
    uint32_t args_count;
    uint32_t first_key; /* index of the first key argument, or 0 */
    uint16_t first_slot;
    bool has_blocks;
    bool is_known; /* looked ahead: command, first_key, first_slot and first_hash are set */
    bool is_held;  /* has waited for room in an image */
    uint64_t first_hash;
    size_t bytes; /* of the request on the wire */
};

/* Requests parsed ahead. Lent from the worker's pool while there are any. */
struct request_list {
    struct list link;
    uint32_t count;
    uint32_t next; /* the first that has not run */
    uint32_t spans_count;
    uint32_t spans_capacity;
    struct span *spans;
    struct block **blocks; /* parallel to the last request's args, if it has_blocks */
    struct request items[REQUESTS_MAX];
};

enum connection_flag {
    CONNECTION_AUTHENTICATED = 1 << 0,
    CONNECTION_CLOSE_AFTER_REPLY = 1 << 1,
    CONNECTION_MONITOR = 1 << 2,
    CONNECTION_NO_EVICT = 1 << 3,
    CONNECTION_NO_TOUCH = 1 << 4,
    CONNECTION_UNIX = 1 << 5,
    CONNECTION_REPLY_OFF = 1 << 6,
    CONNECTION_REPLY_SKIP_NEXT = 1 << 7,
    CONNECTION_REPLY_SKIP = 1 << 8,
    CONNECTION_PARSE_FAILED =
        1 << 9, /* an error follows the pending requests; nothing is read any more */
    CONNECTION_LOCAL = 1 << 10,       /* the peer is on this machine */
    CONNECTION_INPUT_LEFT = 1 << 11,  /* there may be a complete request in the input */
    CONNECTION_PUSHED = 1 << 12,      /* pushes wait in `deferred` for the command's end */
    CONNECTION_IN_EXEC = 1 << 13,     /* its queued commands run */
    CONNECTION_HAS_WRITTEN = 1 << 14, /* its output answers changes that may not be safe: gate.h */
    CONNECTION_FOLLOWS = 1 << 15,     /* its output may show any change of the worker: gate.h */
    CONNECTION_REPLY_SETTLED = 1 << 16, /* EXEC has taken back what REPLY_OFF and SKIP say */
    CONNECTION_QUORUM = 1 << 17,        /* its output goes through the quorum gate: quorum_gate.h */
    CONNECTION_SHOWS_DATA = 1 << 18,    /* and what the running request answers waits for others */
    CONNECTION_WROTE = 1 << 19,         /* the tick's append will be its last change: WAIT */
    CONNECTION_ASKING = 1 << 24,        /* the next command was sent here by ASK */
    CONNECTION_READONLY = 1 << 25,      /* it reads from replicas of a cluster, too */
    CONNECTION_SERVED = 1 << 26, /* its output answers as a primary: the lease is to be checked */
};

/* Takes the socket of a connection that is no client any more. */
struct detachment {
    /* Frees the detachment. The socket is the taker's from here on; -1: the connection has ended
     * before. On the connection's home. */
    void (*take)(struct detachment *detachment, int fd);
};

/* What a replica says of itself before its link begins: REPLCONF. */
struct replica_words {
    char address[NETWORK_ADDRESS_BYTES]; /* "": the peer's */
    uint16_t port;                       /* 0: not told */
    bool wants_file;                     /* rdb-only: an RDB file, and nothing else */
    bool without_keys;                   /* rdb-filter-only: of all that is in it, no data */
    char nonce[33]; /* of a node of the cluster, and this node's: node_proof.h; "": none */
    char own_nonce[33];
};

struct connection {
    /* What travels: the first cache lines, which a worker that runs its requests touches. */
    struct mailbox_node mail; /* for travelling */
    struct list run_link;     /* in the list of the worker that holds it: runnable or waiting */
    struct worker *home;
    struct request_list *requests;
    struct transaction *transaction;     /* NULL until MULTI or WATCH */
    struct subscriptions *subscriptions; /* NULL until the first; see pubsub.h */
    unsigned flags;
    uint32_t database;
    struct reply reply;
    const struct command_slot *last_command;
    uint64_t commands;
    struct gather gather;
    uint64_t ticket;            /* of what a command that waits has begun, or 0: session.h */
    uint64_t last_change;       /* log position behind the last change of its own */
    struct quorum_gate *quorum; /* NULL until it waits for a quorum; see quorum_gate.h */

    /* What stays at home. */
    _Alignas(CONNECTION_ALIGNMENT) struct list link; /* among its home's connections */
    struct list write_link; /* in home's list of those with something to write */
    struct loop_watch watch;
    int fd;
    bool is_away;
    bool closes;       /* to be freed when it is at home and the tick's stages are over */
    bool is_writable;  /* false: the socket was full; wait for it */
    bool is_gated;     /* its output waits for the log, and its requests with it */
    bool is_suspended; /* CLIENT PAUSE holds its next request */
    bool is_reading;   /* the watch looks for input */
    uint32_t turn;     /* requests parsed since others had their turn */
    uint64_t id;

    /* Input. */
    char *input;
    size_t input_length;
    size_t input_capacity;
    size_t parsed; /* bytes of input that belong to requests already parsed */
    struct parser parser;
    struct block *large; /* being collected, or NULL */
    size_t large_length;
    size_t large_bytes;     /* collected for arguments of the unfinished request before that one */
    size_t large_announced; /* bytes of its block counted in the worker's announced_bytes */

    /* Output. */
    size_t sent_bytes;    /* of reply.buffer */
    uint32_t sent_blocks; /* of reply.blocks */
    size_t sent_of_block;
    uint64_t gate;               /* log position that the output waits for: gate.h */
    size_t passed_bytes;         /* of the output, that the gate let pass */
    struct reply deferred;       /* pushes that arrived while it was busy */
    struct blocked *blocked;     /* its next request waits for others: blocking.h; or NULL */
    int64_t soft_limit_since_ms; /* output above the soft limit since; 0: it is not */

    /* Session. */
    struct detachment *detachment;       /* who takes the socket once the output is out, or NULL */
    struct replica_words *replica_words; /* or NULL */
    struct list monitor_link;
    char *peer;         /* address of the other side, as CLIENT LIST writes it */
    char *own;          /* and of this side */
    char *name;         /* CLIENT SETNAME, or NULL */
    char *library_name; /* CLIENT SETINFO, or NULL */
    char *library_version;
    char *user; /* name of the authenticated user */
    int64_t created_ms;
    int64_t last_active_ms;
    uint64_t read_bytes;
    uint64_t written_bytes;
};

struct connection *connection_new(struct worker *home, int fd, bool is_unix);
/* At home only. Closes the socket and forgets everything the connection took part in. */
void connection_free(struct connection *connection);
/* Closes as soon as it is at home and the stages of the tick are over. Home's thread. */
void connection_close(struct connection *connection);

/* Reads and runs nothing any more, and gives its socket away once its output so far has been
 * written. At home, by a command that writes its reply before or after. */
void connection_detach(struct connection *connection, struct detachment *detachment);

/* Gives back what its input holds; for connection_free(). */
void connection_input_free(struct connection *connection);
/* Starts to look for input. */
void connection_watch(struct connection *connection);
/* Looks for input again, if that was paused while its requests waited or travelled. */
void connection_resume_reading(struct connection *connection);

/* Reads what the socket has, within the tick's budget. */
void connection_read(struct connection *connection);
/* Fills the request list from the input. True if there is a request to run. */
bool connection_parse(struct connection *connection);
/* All requests have run: gives back the list, and the input if it is empty. */
void connection_requests_done(struct connection *connection);
/* Writes what there is, within the tick's budget. */
void connection_write(struct connection *connection);
/* The connection has output: queue it for the write stage. At home. */
void connection_mark_output(struct connection *connection);
/* False: it is about to be closed, and gets no pushes any more. Where it cannot be told, it gets
 * them. */
static inline bool connection_takes_pushes(const struct connection *connection) {
    return !connection->closes &&
           (connection->is_away || (connection->flags & CONNECTION_CLOSE_AFTER_REPLY) == 0);
}
/* Where pushes go: the reply, or the deferred one while a command of its own is under way, here or
 * away: they go out behind that command's reply. Call connection_pushed() afterwards. */
struct reply *connection_push_reply(struct connection *connection);
void connection_pushed(struct connection *connection);
/* The command is done, at home: what was deferred follows its reply. */
void connection_take_deferred(struct connection *connection);
/* Back home: takes over what was deferred. */
void connection_arrived(struct connection *connection);

static inline size_t connection_output_bytes(const struct connection *connection) {
    size_t sent = connection->sent_bytes + connection->sent_of_block;
    for (uint32_t i = 0; i < connection->sent_blocks; i++) {
        sent += connection->reply.blocks[i].length;
    }
    return reply_bytes(&connection->reply) - sent;
}

static inline struct span *request_args(const struct connection *connection,
                                        const struct request *request) {
    return connection->requests->spans + request->args_at;
}

static inline bool connection_in_multi(const struct connection *connection) {
    return connection->transaction != NULL && connection->transaction->is_open;
}

/* Its next request waits for what may be long in coming. */
static inline bool connection_is_kept(const struct connection *connection) {
    return connection->is_suspended || connection->blocked != NULL;
}

/* Nothing stands behind the request that runs, nor is it one of a transaction. */
static inline bool connection_is_at_last_request(const struct connection *connection) {
    return (connection->flags & CONNECTION_IN_EXEC) == 0 &&
           connection->requests->next + 1 == connection->requests->count &&
           connection->parsed == connection->input_length;
}

/* CLIENT REPLY: what the running command answers is not sent. */
static inline bool connection_is_silent(const struct connection *connection) {
    return (connection->flags & (CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP)) != 0;
}

/* The class whose output limits hold. */
enum client_class connection_class(const struct connection *connection);
/* Output from here on is held against the limits before it is written. */
#define CONNECTION_OUTPUT_CHECK_BYTES ((size_t)16 * 1024)
/* Closes the connection, with a line in the log, when its output is over a limit. At home. */
void connection_check_output_limit(struct connection *connection, int64_t now_ms);
/* Closes it, wherever it is, with a line in the log, and counts it as such. Home's thread. */
void connection_close_over_output(struct connection *connection);
/* Bytes of memory that the connection takes, buffers included. */
size_t connection_memory_bytes(const struct connection *connection);

void request_list_clear(struct request_list *list);
void request_list_free(struct request_list *list);

#endif
