#include "server/redis_replica.h"

#include "base/logger.h"
#include "base/memory.h"
#include "execute/importer.h"
#include "io/clock.h"
#include "server/replica.h"
#include "server/saving.h"
#include "snapshot/rdb_reader.h"
#include "worker/applying.h"
#include "worker/gate.h"
#include "worker/pubsub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/uio.h>

struct redis_replica {
    struct replicator *replicator;
    struct node *node;
    struct replica *replica;
    struct redis_follower *follower; /* NULL: there is no link */
    uint64_t generation;             /* of the replica, when the link was begun */
    struct buffer reason;
    uint64_t failed_commands; /* told to the log so far */

    /* The file. */
    struct disk disk; /* its folder is not open any more */
    struct disk_file *file;
    uint64_t file_bytes; /* written, then read */
    uint64_t loaded_bytes;
    struct rdb_reader *reader; /* while it is loaded */
    enum rdb_read_status read_status;
    bool has_flushed;
    struct buffer piece;

    /* For the visit that is under way. */
    bool was_made;
    bool has_failed;
    struct buffer *report;
    const struct redis_command *commands;
    size_t count;
    struct importer importer;
};

/* ---- visits: while all workers stand still ---- */

/* True: it was made, and the node follows whom it did before. */
static bool visit(struct redis_replica *redis, void (*run)(void *context), struct buffer *report) {
    redis->was_made = false;
    redis->has_failed = false;
    redis->report = report;
    pthread_mutex_unlock(&redis->replica->mutex);
    stop_visit(redis->node, run, redis);
    pthread_mutex_lock(&redis->replica->mutex);
    return redis->was_made && redis->generation == redis->replica->generation;
}

/* False: another primary is to be followed, or none, and nothing is to be done. */
static bool visit_begin(struct redis_replica *redis) {
    struct replica *replica = redis->replica;
    pthread_mutex_lock(&replica->mutex);
    redis->was_made = replica->state != REPLICA_OFF && replica->generation == redis->generation;
    pthread_mutex_unlock(&replica->mutex);
    return redis->was_made;
}

/* Changes are those of one worker, whoever has the slots. */
static struct worker *hand(const struct redis_replica *redis) {
    return redis->node->workers[0];
}

static void import_begin(struct redis_replica *redis) {
    importer_init(&redis->importer, &(struct importer_plan){
                                        .environment = &hand(redis)->executor.environment,
                                        .commands = redis->node->commands,
                                        .now_ms = clock_wall_ms(),
                                        .keeps_expired = true,
                                    });
}

static void import_end(struct redis_replica *redis) {
    struct worker *worker = hand(redis);
    const struct import_result *result = &redis->importer.result;
    worker->executor.changes += result->keys + result->commands;
    if (result->failed_commands > 0 && redis->failed_commands++ == 0) {
        log_warning("A command of the primary's answers an error here: the data differs from "
                    "what it has.");
    }
    if (result->libraries > 0) {
        log_warning("The primary has functions or scripts, which this version does not take.");
    }
    importer_free(&redis->importer);
    if (redis->node->log != NULL) {
        gate_append(worker);
    }
    for (uint32_t i = 0; i < redis->node->worker_count; i++) {
        loop_wake(redis->node->workers[i]->loop);
    }
}

/* ---- from one kind of primary to the other ---- */

static void set_follows_redis(struct redis_replica *redis, bool follows_redis) {
    struct node *node = redis->node;
    for (uint32_t i = 0; node->log != NULL && i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    node->follows_redis = follows_redis;
    node->is_replica = !follows_redis;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_configure(node->workers[i]);
        gate_follow(node->workers[i]);
    }
}

/* The log goes on, in a history of its own. */
static void enter(void *context) {
    struct redis_replica *redis = context;
    struct server *server = redis->replicator->server;
    if (!visit_begin(redis)) {
        return;
    }
    if (redis->node->log != NULL) {
        struct history_origin origin = oplog_fork(redis->node->log);
        replication_lineage_turn(&server->replication, &origin.history, origin.begin);
    }
    slot_set_clear(&redis->replica->slots->missing);
    redis->replica->is_complete = true;
    redis->replica->needs_base = false;
    redis->replica->images_end = 0;
    set_follows_redis(redis, true);
}

static void leave(void *context) {
    struct redis_replica *redis = context;
    const struct node *node = redis->node;
    if (!visit_begin(redis)) {
        return;
    }
    set_follows_redis(redis, false);
    applying_begin(node->applying, node->log == NULL ? 0 : oplog_end_position(node->log));
}

bool redis_replica_leave(struct redis_replica *redis) {
    redis->generation = redis->replica->generation;
    return !redis->node->follows_redis || visit(redis, leave, NULL);
}

/* ---- the file ---- */

static void file_close(struct redis_replica *redis) {
    if (redis->reader != NULL) {
        rdb_reader_free(redis->reader);
        redis->reader = NULL;
    }
    if (redis->file != NULL) {
        redis->disk.close(redis->file);
        redis->file = NULL;
    }
    buffer_free(&redis->piece);
}

static bool target_file_begin(void *context, struct buffer *report) {
    struct redis_replica *redis = context;
    char name[DISK_NAME_BYTES_MAX];
    /* Until it is open: then it has none. */
    saving_temporary_name(redis->replicator->server, SAVING_TEMPORARY_PRIMARY, name);
    file_close(redis);
    redis->file_bytes = 0;
    int error = disk_open(&redis->disk, ".");
    if (error == 0) {
        redis->disk.remove(redis->disk.context, name);
        redis->file = redis->disk.open(redis->disk.context, name, true, &error);
        redis->disk.remove(redis->disk.context, name);
        disk_close(&redis->disk);
    }
    if (redis->file == NULL) {
        buffer_format(report, "no file for the primary's data: %s", strerror(-error));
        return false;
    }
    log_notice("MASTER <-> REPLICA sync: receiving an RDB file from the primary");
    return true;
}

static bool target_file_bytes(void *context, struct span bytes, struct buffer *report) {
    struct redis_replica *redis = context;
    const struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.bytes, .iov_len = bytes.length};
    int error = redis->disk.write(redis->file, &part, 1, redis->file_bytes);
    if (error != 0) {
        buffer_format(report, "cannot write the primary's data to a file: %s", strerror(-error));
    }
    redis->file_bytes += bytes.length;
    return error == 0;
}

/* ---- loading it ---- */

static bool key_seen(void *context, const struct rdb_key *key) {
    struct redis_replica *redis = context;
    gate_begin_group(hand(redis));
    return importer_key(&redis->importer, key, redis->report);
}

static void functions_seen(void *context, struct span code) {
    (void)code;
    importer_library(&((struct redis_replica *)context)->importer);
}

static bool target_file_end(void *context, struct buffer *report) {
    struct redis_replica *redis = context;
    const struct rdb_observer observer = {
        .context = redis, .key = key_seen, .functions = functions_seen};
    redis->reader = rdb_reader_new("from the primary", &observer, &redis->reason);
    redis->report = report;
    redis->loaded_bytes = 0;
    redis->has_flushed = false;
    redis->replica->is_complete = false;
    atomic_store(&redis->node->is_incomplete, true);
    log_notice("MASTER <-> REPLICA sync: Loading DB in memory");
    return true;
}

/* What the node held goes. */
static void flush(struct redis_replica *redis) {
    struct call call = {.environment = &hand(redis)->executor.environment,
                        .reply = &redis->importer.reply};
    for (uint32_t i = 0; i < redis->node->keyspace->database_count; i++) {
        if (keyspace_keys(redis->node->keyspace, i) != 0) {
            gate_begin_group(hand(redis));
            call_emit_to_database(
                &call, &(struct effect){.kind = EFFECT_DATABASE_FLUSH, .number = (int64_t)i});
        }
    }
    redis->has_flushed = true;
}

static void load_piece(void *context) {
    struct redis_replica *redis = context;
    if (!visit_begin(redis)) {
        return;
    }
    import_begin(redis);
    if (!redis->has_flushed) {
        flush(redis);
    }
    struct span bytes = buffer_span(&redis->piece);
    redis->read_status = rdb_reader_feed(redis->reader, &bytes);
    import_end(redis);
}

static bool fail_reading(struct redis_replica *redis, int64_t error) {
    buffer_format(&redis->reason, "cannot read the primary's data from its file: %s",
                  strerror(error == 0 ? EIO : (int)-error));
    buffer_append_byte(&redis->reason, '\0');
    return false;
}

static bool loaded(struct redis_replica *redis) {
    file_close(redis);
    redis->replica->is_complete = true;
    atomic_store(&redis->node->is_incomplete, false);
    redis->replica->full_syncs++;
    log_notice("MASTER <-> REPLICA sync: Finished with success");
    return redis_follower_loaded(redis->follower, redis->replicator->now_ms);
}

static bool load_step(struct redis_replica *redis) {
    buffer_clear(&redis->piece);
    int64_t count =
        redis->disk.read(redis->file, buffer_reserve(&redis->piece, REDIS_REPLICA_LOAD_BYTES),
                         REDIS_REPLICA_LOAD_BYTES, redis->loaded_bytes);
    if (count <= 0) {
        return fail_reading(redis, count);
    }
    buffer_commit(&redis->piece, (size_t)count);
    redis->loaded_bytes += (uint64_t)count;
    if (!visit(redis, load_piece, &redis->reason)) {
        return false;
    }
    if (redis->read_status == RDB_READ_DONE) {
        return loaded(redis);
    }
    if (redis->read_status != RDB_READ_MORE) {
        buffer_append_byte(&redis->reason, '\0');
        return false;
    }
    return true;
}

/* ---- commands ---- */

/* To the subscribers of all workers. */
static bool publish(struct redis_replica *redis, const struct redis_command *command) {
    bool is_shard = span_is(command->args[0], "spublish");
    if ((!is_shard && !span_is(command->args[0], "publish")) || command->args_count != 3) {
        return false;
    }
    for (uint32_t i = 0; i < redis->node->worker_count; i++) {
        pubsub_deliver(redis->node->workers[i], is_shard ? PUBSUB_SHARD_CHANNEL : PUBSUB_CHANNEL,
                       command->args[1], command->args[2]);
    }
    return true;
}

static void apply_commands(void *context) {
    struct redis_replica *redis = context;
    if (!visit_begin(redis)) {
        return;
    }
    import_begin(redis);
    for (size_t i = 0; !redis->has_failed && i < redis->count; i++) {
        const struct redis_command *command = &redis->commands[i];
        const struct aof_command taken = {.args = command->args,
                                          .args_count = command->args_count,
                                          .database = command->database};
        if (!command->is_joined) {
            gate_begin_group(hand(redis));
        }
        redis->has_failed =
            !publish(redis, command) && !importer_command(&redis->importer, &taken, redis->report);
    }
    import_end(redis);
}

static bool target_commands(void *context, const struct redis_command *commands, size_t count,
                            struct buffer *report) {
    struct redis_replica *redis = context;
    redis->commands = commands;
    redis->count = count;
    if (!visit(redis, apply_commands, report)) {
        buffer_append_string(report, "another primary is to be followed");
        return false;
    }
    return !redis->has_failed;
}

/* ---- the link ---- */

bool redis_replica_begin(struct redis_replica *redis) {
    struct replica *replica = redis->replica;
    redis_replica_end(redis);
    redis->generation = replica->generation;
    if (!redis->node->follows_redis && !visit(redis, enter, NULL)) {
        return false;
    }
    redis->follower =
        redis_follower_new(&(struct redis_follower_plan){.target = {.context = redis,
                                                                    .file_begin = target_file_begin,
                                                                    .file_bytes = target_file_bytes,
                                                                    .file_end = target_file_end,
                                                                    .commands = target_commands},
                                                         .stand = &replica->redis_stand,
                                                         .now_ms = redis->replicator->now_ms});
    replica->state = REPLICA_SYNCING;
    return true;
}

void redis_replica_end(struct redis_replica *redis) {
    redis_follower_free(redis->follower);
    redis->follower = NULL;
    file_close(redis);
    buffer_clear(&redis->reason);
}

bool redis_replica_may_read(const struct redis_replica *redis) {
    const struct node *node = redis->node;
    return redis_follower_stage(redis->follower) != REDIS_FOLLOWER_LOAD &&
           (node->log == NULL || !oplog_is_full(node->log)) && !node_log_is_at_max(node);
}

bool redis_replica_receive(struct redis_replica *redis, struct span bytes) {
    bool was_answered = redis_follower_stage(redis->follower) != REDIS_FOLLOWER_ANSWER;
    bool is_up = redis_follower_receive(redis->follower, bytes, redis->replicator->now_ms);
    if (is_up && !was_answered && redis_follower_stage(redis->follower) == REDIS_FOLLOWER_STREAM) {
        redis->replica->partial_syncs++;
        log_notice("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
    }
    return is_up;
}

bool redis_replica_step(struct redis_replica *redis, bool *has_more) {
    struct replica *replica = redis->replica;
    const struct node *node = redis->node;
    *has_more = redis_follower_stage(redis->follower) == REDIS_FOLLOWER_LOAD &&
                (node->log == NULL || !oplog_is_full(node->log));
    if (*has_more && !load_step(redis)) {
        return false;
    }
    struct redis_follower_figures figures;
    redis_follower_figures_read(redis->follower, &figures);
    replica->figures.heard_ms = figures.heard_ms;
    replica->figures.image_bytes = figures.file_bytes;
    return redis_follower_stage(redis->follower) != REDIS_FOLLOWER_ENDED;
}

void redis_replica_fill(struct redis_replica *redis, struct buffer *out) {
    redis_follower_fill(redis->follower, out, redis->replicator->now_ms);
}

const char *redis_replica_reason(const struct redis_replica *redis) {
    const char *reason = redis_follower_reason(redis->follower);
    return reason[0] == '\0' && redis->reason.length > 0 ? redis->reason.bytes : reason;
}

bool redis_replica_is_in_stream(const struct redis_replica *redis) {
    return redis_follower_stage(redis->follower) == REDIS_FOLLOWER_STREAM;
}

/* ---- lifecycle ---- */

struct redis_replica *redis_replica_new(struct replicator *replicator) {
    struct redis_replica *redis = memory_alloc_zeroed(sizeof(*redis));
    redis->replicator = replicator;
    redis->node = &replicator->server->node;
    redis->replica = &replicator->server->replica;
    return redis;
}

void redis_replica_free(struct redis_replica *redis) {
    redis_replica_end(redis);
    buffer_free(&redis->reason);
    memory_free(redis);
}
