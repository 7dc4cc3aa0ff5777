/* Worker: one thread, one event loop, and the slots that it owns. A tick goes through stages, each
 * over all connections that are ready:
 *
 *   mail -> read -> (parse -> look ahead -> execute) in groups -> append -> stop -> write
 *        -> send mail
 *        -> housekeeping
 *
 * Invariants
 *  1. Nothing leaves a worker, by socket or mailbox, before the tick's append.
 *  2. What a tick does is bounded by the TICK_* constants, which tests assert through the counters.
 *  3. Other threads touch a worker only by worker_post(), its mailbox, or while it stands still.
 */
#ifndef TARN_WORKER_WORKER_H
#define TARN_WORKER_WORKER_H

#include "base/histogram.h"
#include "execute/executor.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "oplog/oplog.h"
#include "worker/connection.h"
#include "worker/node.h"

#include <pthread.h>

/* Work of one tick: no connection or group is begun beyond these. A command that is itself larger
 * (KEYS, a huge MGET) counts as one. */
#define TICK_REQUESTS_MAX 256
#define TICK_READS_MAX 256 /* connections that are read from */
#define TICK_READ_BYTES_MAX ((size_t)256 * 1024)
#define TICK_WRITES_MAX 256 /* connections that are written to */
#define TICK_WRITE_BYTES_MAX ((size_t)256 * 1024)
#define TICK_ACCEPTS_MAX 64
#define TICK_BURIED_ELEMENTS_MAX 512
#define TICK_EXPIRE_BUCKETS_MAX 512
#define TICK_EVICTIONS_MAX 1024
/* A connection gives way to others once it has run so many, though its input has more: until then
 * its replies are gathered, and leave at once. */
#define TURN_REQUESTS_MAX 128
#define GROUP_CONNECTIONS_MAX 32
#define GROUP_REQUESTS_MAX 64
#define SPARE_INPUTS_MAX 64
#define SPARE_LISTS_MAX 64
/* One tick in so many is measured. */
#define TICK_SAMPLE 16

/* What a tick did, and the most that one ever did. */
struct tick_work {
    uint64_t accepts;
    uint64_t requests;
    uint64_t reads; /* connections that were read from */
    uint64_t read_bytes;
    uint64_t writes; /* connections that were written to */
    uint64_t written_bytes;
    uint64_t buckets; /* split, merged, searched for expired keys */
    uint64_t buried;
    uint64_t evictions;
    uint64_t cut_bytes; /* serialised for an image */
};

/* A message between workers that is not a connection. Freed by `run`'s owner: run frees it. */
struct post {
    struct mailbox_node mail;
    void (*run)(struct worker *worker, struct post *post);
};

struct worker {
    struct mailbox mailbox;    /* of posts */
    struct mailbox travellers; /* of connections */
    struct node *node;
    struct store *store;
    struct loop *loop;
    struct executor executor;
    struct random random;
    uint32_t index;
    pthread_t thread;
    bool is_stopping;

    struct list connections; /* at home here */
    uint32_t connections_count;
    struct list readable;  /* by run_link: input is there, to be read */
    struct list runnable;  /* by run_link: requests may be there, to be parsed and run */
    struct list suspended; /* by run_link: CLIENT PAUSE */
    struct list blocked;   /* by run_link: blocking.h */
    struct list writable;  /* by write_link */
    struct list closing;   /* by link */
    struct list leaving[KEYSPACE_STORES_MAX]; /* by run_link: to be sent to that worker */
    bool has_leaving;
    struct list gated; /* by write_link: output that waits for the log: gate.h */
    bool gated_may_go; /* some of them: the tick had no writes left for them */
    struct list held;  /* by run_link: requests that wait for a gate, for room in log or image */
    struct list quorum_gates; /* whose replies wait for others: quorum_gate.h */
    bool may_hold;            /* log or image may have no room in this tick */
    bool log_has_failed;      /* at the tick's begin: nothing new can be appended for now */
    bool may_refuse;          /* the node's state may forbid commands in this tick, or hold them */
    struct oplog_batch batch; /* effects that are not appended yet */
    uint16_t changed_slots[SLOTS]; /* by those effects */
    uint32_t changed_count;
    bool has_changed_all;       /* by an effect of node scope */
    bool group_is_open;         /* the next effect is of the same group as the last one */
    uint64_t appended;          /* log position that the replies of this worker wait for */
    atomic_bool awaits_log;     /* the log's progress is to wake this worker */
    atomic_bool awaits_quorum;  /* what replicas report likewise */
    uint32_t blocked_lookers;   /* of the blocked, those that wait for log or quorum */
    atomic_bool awaits_room;    /* room for chunks likewise */
    atomic_bool awaits_chunk;   /* a chunk that is stored likewise: for a call over several */
    struct loader *loader;      /* this worker's part of node->loading, until it is done */
    struct cutting *cutting;    /* the image that this worker has a part in, until it is done */
    struct cut *cut;            /* that part, or NULL */
    size_t cut_kept;            /* bytes that only the cut still has, as last said */
    bool cut_waits;             /* for room */
    bool cut_is_idle;           /* the last tick in which it took a step had no requests */
    struct list monitors;       /* by monitor_link */
    struct pubsub *pubsub;      /* channels and patterns of this worker's connections */
    struct notices *notices;    /* what other workers are to be told with the tick's mail */
    struct connection *running; /* of this worker, while its requests run here */

    /* Commands that take so long are told to the slow log, the latency monitor, monitors. */
    int64_t note_from_us;
    uint64_t redacted_args; /* bits: arguments of the running command that nobody may see */
    bool is_paused;         /* CLIENT PAUSE is on; then nothing expires */

    size_t announced_bytes; /* room of large values on their way, given before their bytes came */
    char *spare_inputs[SPARE_INPUTS_MAX];
    uint32_t spare_inputs_count;
    struct list spare_lists;
    uint32_t spare_lists_count;

    /* In a cluster: cluster.h. */
    uint64_t boot_ms;              /* of the tick */
    uint64_t lease_until_ms;       /* at the tick's begin */
    bool lacks_lease;              /* then: requests that need it do not run */
    bool lease_holds;              /* since the tick has run: its answers may leave */
    atomic_uint_least64_t seen_ms; /* boot_ms, for others */

    int64_t now_ms; /* of the tick */
    int64_t now_us; /* likewise, monotonic */
    struct loop_timer cron;
    struct loop_timer removal_timer;  /* wakes the worker for the next piece: removal.h */
    struct loop_timer deadline_timer; /* wakes it when something is due: deadlines.h */
    int64_t deadline_us;
    bool deadline_is_over;
    bool cron_is_due;
    uint64_t cron_runs;

    struct tick_work work; /* of this tick */
    struct tick_work work_max;
    struct histogram tick_cpu_ns;
    uint64_t busy_ns;   /* estimated: of the ticks that were measured, times TICK_SAMPLE */
    uint64_t expire_us; /* time that active expiry took */
    uint64_t ticks;
    uint64_t read_bytes;
    uint64_t written_bytes;
    uint64_t reads; /* from sockets */
    uint64_t writes;
    /* For client_eviction.h, published where maxmemory-clients sets a limit. */
    atomic_uint_least64_t connections_bytes; /* of all connections that are at home */
    atomic_uint_least64_t evictable_bytes;   /* of the largest that may be evicted */
    atomic_uint_least64_t heap_bytes;        /* the store's used_bytes, published per tick */
    atomic_uint_least64_t heap_held_bytes;   /* its held_bytes, published per cron period */
    atomic_bool has_nothing_to_evict;
    atomic_bool is_asked_for_room; /* by another worker: to evict, with its next tick */
    /* Counters as others may read them at any time: published per housekeeping period. */
    atomic_uint_least64_t commands_seen;
    atomic_uint_least64_t changes_seen;
    atomic_uint_least64_t read_bytes_seen;
    atomic_uint_least64_t written_bytes_seen;
    atomic_uint_least64_t ticks_seen;
    atomic_uint_least64_t busy_us_seen;
    struct listeners *listeners; /* worker 0 only: what it accepts from */
};

struct worker *worker_new(struct node *node, uint32_t index);
/* The threads of all workers have ended. Closes the connections of all of them. */
void worker_free(struct worker *worker);
/* 0, or an errno. */
int worker_start(struct worker *worker);
/* Asks the thread to end and waits for it. */
void worker_join(struct worker *worker);

/* Runs post->run on that worker's thread. Any thread. */
void worker_post(struct worker *worker, struct post *post);

/* One tick; waits for events when there is nothing to do. For the thread, and for tests. */
void worker_tick(struct worker *worker);

/* True: what else is to be written waits for the next tick. */
static inline bool worker_has_no_writes_left(const struct worker *worker) {
    return worker->work.writes >= TICK_WRITES_MAX ||
           worker->work.written_bytes >= TICK_WRITE_BYTES_MAX;
}

/* Takes an accepted socket in: at home on this worker, whose thread calls it. */
void worker_adopt(struct worker *worker, int fd, bool is_unix);

/* Takes over what the options say: what is measured, noted and told. Before the worker starts, and
 * for each worker under a stop of all when options have changed. */
void worker_configure(struct worker *worker);
/* Of that, only which commands are noted: monitors have come or gone. On the worker's thread, or
 * under a stop of all. Touches no connection: some may be away. */
void worker_configure_notes(struct worker *worker);

/* CLIENT PAUSE is over: what it held goes on. */
void worker_end_pause(struct worker *worker);

/* Runs the connection's next request while the workers that it needs stand still, and sends it on
 * its way. */
void worker_run_stopped(struct worker *worker, struct connection *connection);
/* Room for one connection's input of INPUT_BYTES, and back. */
char *worker_borrow_input(struct worker *worker);
void worker_return_input(struct worker *worker, char *input);
struct request_list *worker_borrow_list(struct worker *worker);
void worker_return_list(struct worker *worker, struct request_list *list);

/* Listening sockets, given to worker 0 before it starts. count of each kind. */
void worker_listen(struct worker *worker, const int *fds, size_t count, int unix_fd);
/* Closes the TCP listeners, unix sockets stay: others may be given afterwards. While worker 0
 * stands still. */
void worker_listen_stop_tcp(struct worker *worker);
/* Stops accepting and closes the listeners. On worker 0's thread, or before it starts. */
void worker_listen_stop(struct worker *worker);

#endif
