/* Migrate: MIGRATE sends keys to another server and deletes them here.
 *
 *   connection's home         a thread of the pool                  the keys' owners
 *   migrate_submit() -------> START ------------------------------> finds and holds the keys
 *   (the command waits)       connects, logs in
 *                             PIECE ------------------------------> writes the next commands
 *                             sends it                              (again until all are sent)
 *                             reads the answers
 *                             FINISH -----------------------------> deletes what the target has,
 *   migrate_fetch() <-------- is done                               lets the keys go
 *
 *  1. From START to FINISH writes to the keys wait, of this node and of its log none other can
 *     come; reads go on (worker/key_holds.h).
 *  2. A key is deleted after the target's OK, and only if it is still what was sent
 *     (store/watch.h). The client is answered when the log has that.
 *  3. A piece is at most about MIGRATE_PIECE_BYTES, or a block that is sent from where it is. One
 *     is under way at a time; a large hash takes as many ticks as it has pieces.
 *  4. While writes are held (CLIENT PAUSE, a hand-over, a shutdown) nothing is deleted: FINISH
 *     waits.
 *  5. Who asked may leave: the job goes on, and its answer is dropped by and by.
 *
 * Inside EXEC the worker itself does all of that, and waits for the target, as redis-server does.
 * What goes out, and what is made of the answers, is redis-server's: AUTH, SELECT, then RESTORE (in
 * a cluster RESTORE-ASKING) with the rest of the key's time; but RESTORE is not sent before AUTH
 * and SELECT have been answered, and payloads are of the version that redis-server 7.0 takes, too.
 *
 * Leftovers: a slot that goes to another node while keys are here takes none of them along. They go
 * to a file first, as RESTORE with ABSTTL for `redis-cli --pipe`, a round of keys after the other,
 * then they are deleted like keys that a target has.
 *
 * migrate.c has the pool and the jobs, migrate_keys.c the steps on the keys' owners,
 * migrate_transfer.c the talk with the target, migrate_target.c connections, migrate_leftovers.c
 * the file, migrate_commands.c the command.
 *
 * Lifecycle: migrate_new(), migrate_end() while the workers still run, migrate_free() when they
 * have ended. Threads are made when they are needed.
 */
#ifndef TARN_SERVER_MIGRATE_H
#define TARN_SERVER_MIGRATE_H

#include "base/buffer.h"
#include "server/migrate_target.h"
#include "worker/key_holds.h"
#include "worker/worker.h"

#include <pthread.h>
#include <stdatomic.h>

/* Jobs that are under way at once; others wait. */
#define MIGRATE_THREADS_MAX 8
#define MIGRATE_PIECE_BYTES ((size_t)256 * 1024)
/* Keys of a round of leftovers, but for those of one bucket. */
#define MIGRATE_ROUND_KEYS 1000
/* An answer that nobody fetched (its client has gone) is kept so long. */
#define MIGRATE_ANSWER_KEPT_MS 60000

/* What the client asked for. */
struct migrate_plan {
    struct span host;
    struct span port;
    struct span user;     /* bytes NULL: the default one */
    struct span password; /* bytes NULL: none */
    const struct span *keys;
    uint32_t keys_count;
    uint32_t database; /* here */
    int64_t database_there;
    int64_t timeout_ms; /* of each wait for the target */
    bool copies;
    bool replaces;
};

struct migrate_key {
    struct key_hold hold; /* hold.key is the job's */
    uint64_t version;     /* while it is watched: WATCH_NO_MEMORY: it is not */
    uint16_t slot;
    bool is_sent;
    bool is_taken; /* by the target */
};

/* What is to be sent next: head, then part and block, then tail. */
struct migrate_piece {
    struct buffer head;  /* as it is */
    struct buffer part;  /* of a large value's payload, which is one of several pieces or a block */
    struct block *block; /* behind it, or NULL */
    bool ends_payload;   /* its footer follows, and then ... */
    struct buffer tail;  /* ... this */
    bool is_last;
    bool is_broken; /* what was announced cannot be kept: the connection is of no use any more */
};

enum migrate_step { MIGRATE_START, MIGRATE_COLLECT, MIGRATE_PIECE, MIGRATE_FINISH };
enum migrate_result {
    MIGRATE_DONE,
    MIGRATE_NO_KEYS,   /* START: none of them is here; COLLECT: no more */
    MIGRATE_CLASH,     /* START, COLLECT: one of them is held by another job */
    MIGRATE_NO_MEMORY, /* START */
    MIGRATE_PAUSED,    /* FINISH: nothing may be changed now */
    MIGRATE_UNFINISHED /* PIECE: goes on with the next tick */
};

struct migrate_job {
    struct list link;     /* in migrate.jobs, until its answer was fetched */
    struct list run_link; /* in migrate.queue, until a thread takes it */
    struct migrate *migrate;
    struct worker *home;   /* of who asked; or ... */
    struct worker *worker; /* ... inside EXEC, who does it all */
    uint64_t ticket;
    struct migrate_plan plan; /* spans are the job's, zeros behind each but keys */
    char *texts;
    char *key_texts;
    struct migrate_key *keys;
    bool asks;        /* in a cluster */
    bool is_leftover; /* keys of `slot`, which is another node's now, go to a file */
    uint16_t slot;
    uint64_t collected; /* where COLLECT goes on: table_scan()'s position ... */
    bool is_collected;  /* ... or is at the end */
    bool gives_up;      /* FINISH deletes nothing: the server ends */
    bool is_led;        /* FINISH: the node has become a replica */

    /* The steps. */
    enum migrate_step step;
    enum migrate_result result;
    bool step_is_done; /* with the mutex */
    struct post post;
    struct visit visit;
    uint64_t owners; /* bits of workers */

    /* Where the sending is: of PIECE. */
    uint32_t next_key;
    bool is_measuring;    /* the hash at next_key */
    bool is_inside;       /* its payload has begun */
    uint64_t position;    /* in it */
    size_t payload_bytes; /* measured so far, then left to send */
    struct migrate_piece piece;

    bool is_done; /* with the mutex */
    int64_t done_ms;
    struct buffer answer; /* empty: OK; "NOKEY"; or an error with a dash before it */
};

struct migrate {
    struct node *node;
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* jobs, steps and holds */
    struct list jobs;
    struct list queue;
    uint32_t queue_count;
    uint64_t tickets;
    pthread_t threads[MIGRATE_THREADS_MAX];
    uint32_t threads_count;
    uint32_t idle_count;
    uint64_t releases; /* of held keys, so far */
    atomic_bool is_stopping;
    struct migrate_targets targets;
};

/* The node has holds from here on. */
struct migrate *migrate_new(struct node *node);
void migrate_end(struct migrate *migrate);
void migrate_free(struct migrate *migrate);

/* ---- jobs, for the command ---- */

/* Copies what the plan points at. */
struct migrate_job *migrate_job_new(struct migrate *migrate, const struct migrate_plan *plan);
void migrate_job_free(struct migrate_job *job);
/* Hands it to the pool; home is woken when it is done. Answers its ticket. */
uint64_t migrate_submit(struct migrate_job *job, struct worker *home);
/* The job, which is the caller's from then on, if it is done; else NULL, and *is_known tells
 * whether it is to come. */
struct migrate_job *migrate_fetch(struct migrate *migrate, uint64_t ticket, bool *is_known);
/* All of it on this worker, for which the owners of the keys stand still. */
void migrate_run_here(struct migrate_job *job, struct worker *worker);

/* The slot goes to another node while this one holds keys of it: they go to a file. Under a
 * stop. */
void migrate_keep_leftovers(struct migrate *migrate, uint16_t slot);

/* ---- steps ---- */

/* FINISH, once the pause is over that there may be. */
void migrate_finish(struct migrate_job *job);
/* Runs the step where the keys are, and waits for its end. */
enum migrate_result migrate_step(struct migrate_job *job, enum migrate_step step);
/* START or COLLECT, again and again while another job holds one of the keys. */
enum migrate_result migrate_begin(struct migrate_job *job, enum migrate_step step);
/* The job's keys are these from now on, copied. */
void migrate_job_set_keys(struct migrate_job *job, const struct span *keys, uint32_t count);
/* The same, by its worker (migrate_keys.c). */
enum migrate_result migrate_keys_step(struct migrate_job *job, struct worker *worker);
/* PIECE begins with the first key again. */
void migrate_keys_rewind(struct migrate_job *job);

/* ---- the talk with the target (migrate_transfer.c) ---- */

/* Sends what START has found; marks what was taken, and sets the answer. */
void migrate_transfer(struct migrate_job *job);

/* Where commands go. take answers false: it is over. */
struct migrate_sink {
    bool (*take)(void *context, struct span bytes);
    void *context;
};
/* All that START or COLLECT has found, piece by piece. */
bool migrate_send_all(struct migrate_job *job, const struct migrate_sink *sink);

/* ---- leftovers (migrate_leftovers.c) ---- */

void migrate_leftovers(struct migrate_job *job);

#endif
