#include "server/first_import.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/disk.h"
#include "io/files.h"
#include "io/signals.h"
#include "worker/stop.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

/* Who may touch the data. */
enum floor {
    FLOOR_OF_WORKERS,
    FLOOR_ASKED, /* a visit has been posted */
    FLOOR_OF_IMPORT,
};

struct first_import {
    struct server *server;
    struct disk folder;
    struct disk view; /* of the folder: gives the floor away while it reads */
    char name[DISK_NAME_BYTES_MAX];
    bool is_aof;
    bool takes_truncated; /* as the options said at the start */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum floor floor; /* with the mutex, as the next one */
    bool is_done;
    struct visit visit;
    int64_t started_us;
    uint64_t bytes;
    atomic_uint_least64_t bytes_done;
    atomic_bool is_given_up;
    enum import_status status;
    struct import_result result;
    struct buffer report;
};

/* ---- the floor ---- */

/* On a worker's thread, while all of them stand still: the import has the data until it gives the
 * floor back. */
static void lend_floor(void *context) {
    struct first_import *import = context;
    pthread_mutex_lock(&import->mutex);
    import->floor = FLOOR_OF_IMPORT;
    pthread_cond_broadcast(&import->changed);
    while (import->floor == FLOOR_OF_IMPORT) {
        pthread_cond_wait(&import->changed, &import->mutex);
    }
    pthread_mutex_unlock(&import->mutex);
}

static void take_floor(struct first_import *import) {
    pthread_mutex_lock(&import->mutex);
    import->floor = FLOOR_ASKED;
    import->visit = (struct visit){.run = lend_floor, .context = import};
    stop_post(&import->server->node, &import->visit);
    while (import->floor != FLOOR_OF_IMPORT) {
        pthread_cond_wait(&import->changed, &import->mutex);
    }
    pthread_mutex_unlock(&import->mutex);
}

static void give_floor(struct first_import *import) {
    pthread_mutex_lock(&import->mutex);
    import->floor = FLOOR_OF_WORKERS;
    pthread_cond_broadcast(&import->changed);
    pthread_mutex_unlock(&import->mutex);
}

/* ---- the folder, as the readers of files see it ---- */

struct disk_file {
    struct first_import *import;
    struct disk_file *file;
    uint64_t read_to; /* what is read again counts once */
};

static struct disk_file *view_open(void *context, const char *name, bool create, int *error) {
    struct first_import *import = context;
    ASSERT(!create);
    struct disk_file *file = import->folder.open(import->folder.context, name, false, error);
    if (file == NULL) {
        return NULL;
    }
    struct disk_file *view = memory_alloc_zeroed(sizeof(*view));
    view->import = import;
    view->file = file;
    return view;
}

static void view_close(struct disk_file *view) {
    view->import->folder.close(view->file);
    memory_free(view);
}

static int64_t view_size(struct disk_file *view) {
    return view->import->folder.size(view->file);
}

static int64_t view_read(struct disk_file *view, void *bytes, size_t length, uint64_t offset) {
    struct first_import *import = view->import;
    give_floor(import);
    int64_t count = import->folder.read(view->file, bytes, length, offset);
    if (count > 0 && offset + (uint64_t)count > view->read_to) {
        atomic_fetch_add(&import->bytes_done, offset + (uint64_t)count - view->read_to);
        view->read_to = offset + (uint64_t)count;
    }
    take_floor(import);
    return atomic_load(&import->is_given_up) ? -ECANCELED : count;
}

/* ---- the thread ---- */

static void *thread_main(void *context) {
    struct first_import *import = context;
    struct server *server = import->server;
    prctl(PR_SET_NAME, "import");
    signals_block_all();
    struct import_plan plan = {
        .environment = &server->node.workers[0]->executor.environment,
        .commands = server->node.commands,
        .disk = &import->view,
        .now_ms = clock_wall_ms(),
        .takes_truncated = import->takes_truncated,
    };
    take_floor(import);
    import->status = import->is_aof
                         ? import_aof(&plan, import->name, &import->result, &import->report)
                         : import_rdb(&plan, import->name, &import->result, &import->report);
    give_floor(import);
    pthread_mutex_lock(&import->mutex);
    import->is_done = true;
    pthread_cond_broadcast(&import->changed);
    pthread_mutex_unlock(&import->mutex);
    return NULL;
}

/* ---- finding it ---- */

/* Where it is. */
struct find {
    const char *folder;
    char name[DISK_NAME_BYTES_MAX];
    bool is_aof;
};

static bool is_there(const char *folder, const char *name) {
    char path[2 * DISK_NAME_BYTES_MAX];
    return (size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) < sizeof(path) &&
           access(path, F_OK) == 0;
}

/* The append only file, as redis-server would, or else the RDB file. */
static bool look(const struct server_options *options, struct find *find) {
    *find = (struct find){.folder = options->appenddirname, .is_aof = true};
    snprintf(find->name, sizeof(find->name), "%s.manifest", options->appendfilename);
    if (options->appendonly && is_there(find->folder, find->name)) {
        return true;
    }
    find->folder = ".";
    snprintf(find->name, sizeof(find->name), "%s", options->appendfilename);
    if (options->appendonly && is_there(find->folder, find->name)) {
        return true;
    }
    find->is_aof = false;
    snprintf(find->name, sizeof(find->name), "%s", options->dbfilename);
    return is_there(find->folder, find->name);
}

static uint64_t bytes_of(const struct first_import *import, const struct find *find) {
    if (strcmp(find->folder, ".") != 0) {
        return folder_size(find->folder);
    }
    int error;
    struct disk_file *file = import->folder.open(import->folder.context, find->name, false, &error);
    int64_t size = file == NULL ? 0 : import->folder.size(file);
    if (file != NULL) {
        import->folder.close(file);
    }
    return size > 0 ? (uint64_t)size : 0;
}

/* ---- lifecycle ---- */

static void import_free(struct first_import *import) {
    buffer_free(&import->report);
    disk_close(&import->folder);
    pthread_mutex_destroy(&import->mutex);
    pthread_cond_destroy(&import->changed);
    memory_free(import);
}

static struct first_import *import_new(struct server *server, const struct find *find, int *code) {
    struct first_import *import = memory_alloc_zeroed(sizeof(*import));
    int error = disk_open(&import->folder, find->folder);
    if (error != 0) {
        log_warning("Cannot open the folder %s: %s", find->folder, strerror(-error));
        memory_free(import);
        *code = EX_NOINPUT;
        return NULL;
    }
    import->server = server;
    import->view = (struct disk){
        .context = import,
        .open = view_open,
        .close = view_close,
        .read = view_read,
        .size = view_size,
    };
    memcpy(import->name, find->name, sizeof(import->name));
    import->is_aof = find->is_aof;
    import->takes_truncated = server->options->server.aof_load_truncated;
    import->started_us = clock_monotonic_us();
    import->bytes = bytes_of(import, find);
    pthread_mutex_init(&import->mutex, NULL);
    pthread_cond_init(&import->changed, NULL);
    return import;
}

struct first_import *first_import_begin(struct server *server, int *code) {
    struct find find;
    *code = 0;
    if (!look(&server->options->server, &find)) {
        return NULL;
    }
    struct first_import *import = import_new(server, &find, code);
    if (import == NULL) {
        return NULL;
    }
    log_notice("Importing %s of a redis-server", import->name);
    int error = pthread_create(&import->thread, NULL, thread_main, import);
    if (error != 0) {
        log_warning("Cannot start the thread that imports: %s", strerror(error));
        import_free(import);
        *code = EX_OSERR;
        return NULL;
    }
    return import;
}

bool first_import_wait(struct first_import *import, int64_t timeout_ms) {
    struct timespec until = clock_wall_in(timeout_ms);
    int status = 0;
    pthread_mutex_lock(&import->mutex);
    while (!import->is_done && status == 0) {
        status = pthread_cond_timedwait(&import->changed, &import->mutex, &until);
    }
    bool is_done = import->is_done;
    pthread_mutex_unlock(&import->mutex);
    return is_done;
}

void first_import_give_up(struct first_import *import) {
    atomic_store(&import->is_given_up, true);
}

static void do_nothing(void *context) {
    (void)context;
}

int first_import_end(struct first_import *import, struct import_result *result) {
    pthread_join(import->thread, NULL);
    /* The worker that lent the floor last may not have gone on yet: with the next stop it has. */
    stop_visit(&import->server->node, do_nothing, NULL);
    bool is_done = import->status == IMPORT_DONE || import->status == IMPORT_TRUNCATED;
    if (import->report.length > 0 && !atomic_load(&import->is_given_up)) {
        log_warning("%s: %.*s", is_done ? "Imported" : "Cannot import", (int)import->report.length,
                    import->report.bytes);
    }
    *result = import->result;
    enum import_status status = import->status;
    if (is_done) {
        log_notice("Imported %s of a redis-server: %llu keys, %llu commands, %llu expired keys "
                   "left out, %.3f seconds",
                   import->name, (unsigned long long)result->keys,
                   (unsigned long long)result->commands, (unsigned long long)result->expired_keys,
                   (double)(clock_monotonic_us() - import->started_us) / 1e6);
    }
    import_free(import);
    return is_done ? 0 : status == IMPORT_FAILED ? EX_IOERR : EX_SOFTWARE;
}

uint64_t first_import_bytes(const struct first_import *import) {
    return import->bytes;
}

uint64_t first_import_bytes_done(const struct first_import *import) {
    uint64_t done = atomic_load(&import->bytes_done);
    return done < import->bytes ? done : import->bytes;
}
