#include "server/redis_files.h"

#include "base/list.h"
#include "base/logger.h"
#include "base/memory.h"
#include "execute/conversion.h"
#include "io/clock.h"
#include "io/signals.h"
#include "server/saving.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

/* How often the end of a snapshot is looked for. */
#define LOOK_MS 10

/* One that was asked for. */
struct file {
    struct list list; /* in redis_files.files, by number */
    uint64_t number;
    uint32_t readers;
    bool without_keys;
    bool is_begun;
    enum redis_feed_file state;
    uint64_t position;
    uint64_t length;
    struct disk_file *bytes; /* NULL: it is not ready */
    struct disk disk;        /* how they are read; its folder is not open any more */
};

struct redis_files {
    struct server *server;
    void (*progress)(void *context);
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* With the mutex. */
    struct list files;
    uint64_t last_number;
    atomic_bool is_stopping; /* may be read without */
};

/* ---- making one ---- */

/* What the options say, read under a stop. */
struct making {
    struct redis_files *files;
    struct store_options options;
    char snapshot[DISK_NAME_BYTES_MAX];
    bool compresses;
};

static void read_options(void *context) {
    struct making *making = context;
    const struct server *server = making->files->server;
    /* What decides on encodings is plain numbers. */
    store_options_init(&making->options);
    making->options.hash_max_listpack_entries = server->options->store.hash_max_listpack_entries;
    making->options.hash_max_listpack_value = server->options->store.hash_max_listpack_value;
    saving_file_name(server->options->server.dbfilename, making->snapshot);
    making->compresses = server->options->server.rdbcompression;
}

/* A snapshot that is begun from now on. */
static bool take_snapshot(struct redis_files *files, struct buffer *report) {
    struct saving *saving = atomic_load(&files->server->saving);
    if (saving == NULL) {
        buffer_append_string(report, "the data is not loaded yet");
        return false;
    }
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
    uint64_t number = saving_request(saving, SAVING_SNAPSHOT);
    bool has_failed = false;
    while (!saving_is_done(saving, number, &has_failed)) {
        if (atomic_load(&files->is_stopping)) {
            buffer_append_string(report, "the server ends");
            return false;
        }
        nanosleep(&pause, NULL);
    }
    if (has_failed) {
        buffer_append_string(report, "the snapshot that it was to be made of failed");
    }
    return !has_failed;
}

static enum import_status convert(struct making *making, struct file *file, const char *name,
                                  struct buffer *report) {
    const struct conversion_plan plan = {
        .source = &file->disk,
        .source_name = making->snapshot,
        .target = &file->disk,
        .target_name = name,
        .options = &making->options,
        .now_ms = clock_wall_ms(),
        .compresses = making->compresses,
        .redis_version = NODE_REDIS_VERSION,
        .gives_up = &making->files->is_stopping,
    };
    uint64_t keys = 0;
    return file->without_keys ? conversion_to_empty_rdb(&plan, report)
                              : conversion_to_rdb(&plan, &file->position, &keys, report);
}

/* Opens it and takes its name away. */
static bool open_file(struct file *file, const char *name, struct buffer *report) {
    const struct disk *folder = &file->disk;
    int error = 0;
    struct disk_file *bytes = folder->open(folder->context, name, false, &error);
    folder->remove(folder->context, name);
    int64_t length = bytes == NULL ? error : folder->size(bytes);
    if (length <= 0) {
        buffer_format(report, "cannot read it: %s", strerror(length == 0 ? EIO : (int)-length));
        if (bytes != NULL) {
            folder->close(bytes);
        }
        return false;
    }
    file->bytes = bytes;
    file->length = (uint64_t)length;
    return true;
}

static bool make(struct redis_files *files, struct file *file, struct buffer *report) {
    struct making making = {.files = files};
    char name[DISK_NAME_BYTES_MAX];
    /* Until it is open: then it has none. */
    saving_temporary_name(files->server, SAVING_TEMPORARY_REPLICAS, name);
    stop_visit(&files->server->node, read_options, &making);
    bool is_made = file->without_keys || take_snapshot(files, report);
    int error = is_made ? disk_open(&file->disk, ".") : 0;
    if (error != 0) {
        buffer_format(report, "cannot open the folder: %s", strerror(-error));
        is_made = false;
    }
    if (is_made) {
        is_made =
            convert(&making, file, name, report) == IMPORT_DONE && open_file(file, name, report);
        disk_close(&file->disk);
    }
    store_options_clear(&making.options);
    return is_made;
}

/* The next one that nobody has begun; with the mutex. */
static struct file *next_file(struct redis_files *files) {
    LIST_FOR_EACH(at, &files->files) {
        struct file *file = LIST_ENTRY(at, struct file, list);
        if (!file->is_begun) {
            return file;
        }
    }
    return NULL;
}

static void file_free(struct file *file) {
    if (file->bytes != NULL) {
        file->disk.close(file->bytes);
    }
    list_remove(&file->list);
    memory_free(file);
}

/* With the mutex, which it lets go meanwhile. */
static void make_next(struct redis_files *files, struct file *file) {
    struct buffer report = BUFFER_EMPTY;
    file->is_begun = true;
    file->readers++; /* it stays, even if all who asked have gone */
    pthread_mutex_unlock(&files->mutex);
    bool is_made = make(files, file, &report);
    if (!is_made) {
        log_warning("No RDB file for replicas: %.*s", (int)report.length, report.bytes);
    }
    buffer_free(&report);
    pthread_mutex_lock(&files->mutex);
    file->state = is_made ? REDIS_FILE_READY : REDIS_FILE_FAILED;
    if (--file->readers == 0) {
        file_free(file);
    }
}

static void *thread_main(void *context) {
    struct redis_files *files = context;
    prctl(PR_SET_NAME, "redis files");
    signals_block_all();
    pthread_mutex_lock(&files->mutex);
    while (!atomic_load(&files->is_stopping)) {
        struct file *file = next_file(files);
        if (file == NULL) {
            pthread_cond_wait(&files->changed, &files->mutex);
            continue;
        }
        make_next(files, file);
        pthread_mutex_unlock(&files->mutex);
        files->progress(files->context);
        pthread_mutex_lock(&files->mutex);
    }
    pthread_mutex_unlock(&files->mutex);
    return NULL;
}

/* ---- lifecycle ---- */

struct redis_files *redis_files_new(struct server *server, void (*progress)(void *context),
                                    void *context) {
    struct redis_files *files = memory_alloc_zeroed(sizeof(*files));
    files->server = server;
    files->progress = progress;
    files->context = context;
    list_init(&files->files);
    int failed = pthread_mutex_init(&files->mutex, NULL);
    failed |= pthread_cond_init(&files->changed, NULL);
    ASSERT(failed == 0);
    int error = pthread_create(&files->thread, NULL, thread_main, files);
    if (error != 0) {
        pthread_cond_destroy(&files->changed);
        pthread_mutex_destroy(&files->mutex);
        memory_free(files);
        errno = error;
        return NULL;
    }
    return files;
}

void redis_files_end(struct redis_files *files) {
    pthread_mutex_lock(&files->mutex);
    atomic_store(&files->is_stopping, true);
    pthread_cond_broadcast(&files->changed);
    pthread_mutex_unlock(&files->mutex);
    pthread_join(files->thread, NULL);
}

void redis_files_free(struct redis_files *files) {
    while (!list_is_empty(&files->files)) {
        file_free(LIST_ENTRY(files->files.next, struct file, list));
    }
    pthread_cond_destroy(&files->changed);
    pthread_mutex_destroy(&files->mutex);
    memory_free(files);
}

/* ---- readers ---- */

/* With the mutex; NULL: there is none. */
static struct file *find(struct redis_files *files, uint64_t number) {
    LIST_FOR_EACH(at, &files->files) {
        struct file *file = LIST_ENTRY(at, struct file, list);
        if (file->number == number) {
            return file;
        }
    }
    return NULL;
}

static struct file *add_file(struct redis_files *files, bool without_keys) {
    struct file *file = memory_alloc_zeroed(sizeof(*file));
    file->number = ++files->last_number;
    file->without_keys = without_keys;
    file->state = REDIS_FILE_NOT_YET;
    list_push_back(&files->files, &file->list);
    pthread_cond_broadcast(&files->changed);
    return file;
}

uint64_t redis_files_ask(struct redis_files *files, bool without_keys) {
    pthread_mutex_lock(&files->mutex);
    struct file *found = NULL;
    LIST_FOR_EACH(at, &files->files) {
        struct file *file = LIST_ENTRY(at, struct file, list);
        if (!file->is_begun && file->without_keys == without_keys) {
            found = file;
        }
    }
    if (found == NULL) {
        found = add_file(files, without_keys);
    }
    found->readers++;
    uint64_t number = found->number;
    pthread_mutex_unlock(&files->mutex);
    return number;
}

enum redis_feed_file redis_files_look(struct redis_files *files, uint64_t number,
                                      uint64_t *position, uint64_t *length) {
    pthread_mutex_lock(&files->mutex);
    const struct file *file = find(files, number);
    enum redis_feed_file state = file == NULL ? REDIS_FILE_FAILED : file->state;
    if (state == REDIS_FILE_READY) {
        *position = file->position;
        *length = file->length;
    } else if (atomic_load(&files->is_stopping)) {
        state = REDIS_FILE_FAILED;
    }
    pthread_mutex_unlock(&files->mutex);
    return state;
}

bool redis_files_read(struct redis_files *files, uint64_t number, uint64_t offset, size_t most,
                      struct buffer *out) {
    pthread_mutex_lock(&files->mutex);
    struct file *file = find(files, number);
    struct disk_file *bytes = file == NULL ? NULL : file->bytes;
    pthread_mutex_unlock(&files->mutex);
    if (bytes == NULL) {
        return false;
    }
    /* It stays while its reader does. */
    int64_t count = file->disk.read(bytes, buffer_reserve(out, most), most, offset);
    if (count > 0) {
        buffer_commit(out, (size_t)count);
    }
    return count >= 0;
}

void redis_files_release(struct redis_files *files, uint64_t number) {
    pthread_mutex_lock(&files->mutex);
    struct file *file = find(files, number);
    if (file != NULL && --file->readers == 0) {
        file_free(file);
    }
    pthread_mutex_unlock(&files->mutex);
}
