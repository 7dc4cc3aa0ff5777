#include "base/logger.h"
#include "io/clock.h"
#include "io/disk.h"
#include "server/migrate.h"

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

/* What was cut off logs stands there, too. */
#define FOLDER "divergence"
#define NAME_BYTES 64

struct leftovers {
    struct migrate_job *job;
    struct disk disk;
    struct disk_file *file;
    char name[NAME_BYTES];
    uint64_t size;
    uint64_t keys;
    int error; /* a negative errno, or 0 */
};

/* ---- the file ---- */

static bool open_file(struct leftovers *leftovers) {
    leftovers->error = disk_open(&leftovers->disk, FOLDER);
    if (leftovers->error != 0) {
        return false;
    }
    snprintf(leftovers->name, sizeof(leftovers->name), "slot-%u-%lld.aof", leftovers->job->slot,
             (long long)clock_wall_ms());
    leftovers->file =
        leftovers->disk.open(leftovers->disk.context, leftovers->name, true, &leftovers->error);
    if (leftovers->file == NULL) {
        disk_close(&leftovers->disk);
    }
    return leftovers->file != NULL;
}

static void close_file(struct leftovers *leftovers) {
    leftovers->disk.close(leftovers->file);
    if (leftovers->size == 0) {
        leftovers->disk.remove(leftovers->disk.context, leftovers->name);
    }
    disk_close(&leftovers->disk);
}

static bool file_take(void *context, struct span bytes) {
    struct leftovers *leftovers = context;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.bytes, .iov_len = bytes.length};
    leftovers->error = leftovers->disk.write(leftovers->file, &part, 1, leftovers->size);
    leftovers->size += bytes.length;
    return leftovers->error == 0;
}

static bool sync_file(struct leftovers *leftovers) {
    leftovers->error = leftovers->disk.sync(leftovers->file);
    if (leftovers->error == 0) {
        leftovers->error = leftovers->disk.sync_names(leftovers->disk.context);
    }
    return leftovers->error == 0;
}

/* ---- rounds ---- */

/* Writes the keys that were collected, and marks them as taken. What was begun and could not be
 * ended is cut off again. */
static bool write_round(struct leftovers *leftovers) {
    struct migrate_job *job = leftovers->job;
    uint64_t from = leftovers->size;
    struct migrate_sink sink = {.take = file_take, .context = leftovers};
    if (!migrate_send_all(job, &sink) || !sync_file(leftovers)) {
        leftovers->disk.truncate(leftovers->file, from);
        leftovers->size = from;
        return false;
    }
    for (uint32_t i = 0; i < job->plan.keys_count; i++) {
        job->keys[i].is_taken = job->keys[i].is_sent;
        leftovers->keys += job->keys[i].is_sent;
    }
    return true;
}

/* False: there are no more, or it cannot go on. */
static bool run_round(struct leftovers *leftovers) {
    struct migrate_job *job = leftovers->job;
    if (atomic_load(&job->migrate->is_stopping)) {
        return false;
    }
    enum migrate_result result = migrate_begin(job, MIGRATE_COLLECT);
    if (result != MIGRATE_DONE) {
        return result == MIGRATE_NO_KEYS && !job->is_collected;
    }
    bool is_written = write_round(leftovers);
    migrate_finish(job);
    return is_written && !job->is_led && !job->is_collected;
}

void migrate_leftovers(struct migrate_job *job) {
    struct leftovers leftovers = {.job = job};
    if (open_file(&leftovers)) {
        while (run_round(&leftovers)) {
        }
        close_file(&leftovers);
    }
    if (leftovers.keys > 0) {
        log_warning(
            "Slot %u went to another node while keys were here: %llu of them are kept in " FOLDER
            "/%s.",
            job->slot, (unsigned long long)leftovers.keys, leftovers.name);
    }
    if (leftovers.error != 0) {
        log_warning(
            "Keys of slot %u, which went to another node, stay in memory, since they cannot "
            "be kept in a file: %s",
            job->slot, strerror(-leftovers.error));
    }
}
