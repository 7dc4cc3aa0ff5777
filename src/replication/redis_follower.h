/* Redis follower: the link of a node that is the replica of a redis-server (6.2 to 7.2), from PSYNC
 * on. A pure step: bytes from the primary go in, bytes for it come out; what they say it tells its
 * target.
 *
 *   ANSWER -> FILE -> LOAD -> STREAM
 *
 *   ANSWER  PSYNC has been said                     ["+FULLRESYNC" comes] [or "+CONTINUE": STREAM]
 *   FILE    an RDB file comes, as "$<length>" or "$EOF:<mark>" says; it is checked as it comes
 *           [it is whole]
 *   LOAD    the target takes it into the node's data; nothing more is to be read from the primary
 *           until then, and line feeds tell it that we live             [redis_follower_loaded()]
 *   STREAM  commands, in the order in which they took effect there; each second it is told up to
 *           where they have been applied
 *   ENDED   redis_follower_reason() says why
 *
 * Where the stream stands outlives the link: struct redis_stand is the node's, and a new link goes
 * on there if the primary still has what follows. One owner, one thread at a time.
 */
#ifndef TARN_REPLICATION_REDIS_FOLLOWER_H
#define TARN_REPLICATION_REDIS_FOLLOWER_H

#include "base/buffer.h"
#include "replication/redis_stream.h"

#define REDIS_FOLLOWER_ACK_MS 1000
/* A command, or all commands of a transaction. */
#define REDIS_FOLLOWER_COMMAND_BYTES_MAX ((size_t)1024 * 1024 * 1024)
/* A line of an answer. */
#define REDIS_FOLLOWER_LINE_BYTES_MAX ((size_t)4096)
#define REDIS_EOF_MARK_BYTES 40

/* How far the primary's stream has been applied: nothing, without an id. */
struct redis_stand {
    char id[REDIS_ID_BYTES + 1];
    uint64_t offset;
    uint32_t database; /* that its commands are for */
};

struct redis_command {
    const struct span *args;
    uint32_t args_count;
    uint32_t database;
    bool is_joined; /* takes effect together with the one before it: of one transaction */
};

/* What is to be done; called from within redis_follower_receive(). False: it could not be done,
 * the link ends; a sentence is appended to the report. */
struct redis_follower_target {
    void *context;
    /* A file begins: what was got of an earlier one is void. */
    bool (*file_begin)(void *context, struct buffer *report);
    bool (*file_bytes)(void *context, struct span bytes, struct buffer *report);
    /* It is whole, and right as far as it can be told without the data: to be loaded. */
    bool (*file_end)(void *context, struct buffer *report);
    /* Commands that followed each other; no transaction is given in parts. SELECT, MULTI and EXEC
     * are followed, not given, nor is what only keeps the link alive. */
    bool (*commands)(void *context, const struct redis_command *commands, size_t count,
                     struct buffer *report);
};

struct redis_follower_plan {
    struct redis_follower_target target;
    struct redis_stand *stand; /* outlives the follower */
    int64_t now_ms;            /* any steady clock */
};

enum redis_follower_stage {
    REDIS_FOLLOWER_ANSWER,
    REDIS_FOLLOWER_FILE,
    REDIS_FOLLOWER_LOAD,
    REDIS_FOLLOWER_STREAM,
    REDIS_FOLLOWER_ENDED,
};

struct redis_follower;

struct redis_follower *redis_follower_new(const struct redis_follower_plan *plan);
void redis_follower_free(struct redis_follower *follower); /* NULL is allowed */

/* Bytes came from the primary; not while it loads. False: the link is to be closed. */
bool redis_follower_receive(struct redis_follower *follower, struct span bytes, int64_t now_ms);
/* The file is in the data; bytes that had come behind it are taken now. */
bool redis_follower_loaded(struct redis_follower *follower, int64_t now_ms);
/* Appends to out what is to be sent. */
void redis_follower_fill(struct redis_follower *follower, struct buffer *out, int64_t now_ms);

enum redis_follower_stage redis_follower_stage(const struct redis_follower *follower);
const char *redis_follower_reason(const struct redis_follower *follower);

struct redis_follower_figures {
    uint64_t file_bytes;  /* got */
    uint64_t file_length; /* 0: it was not said */
    uint64_t keys;        /* in it so far */
    uint64_t commands;
    int64_t heard_ms; /* when the primary was last heard, by the clock of the calls */
};
void redis_follower_figures_read(const struct redis_follower *follower,
                                 struct redis_follower_figures *figures);

#endif
