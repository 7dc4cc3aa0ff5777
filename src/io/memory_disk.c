#include "io/memory_disk.h"

#include "base/assertion.h"
#include "base/list.h"
#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

struct memory_disk {
    pthread_mutex_t mutex; /* of names, references, sizes and tables of blocks; not of content */
    struct list files;     /* that have a name */
    atomic_size_t bytes;
};

struct disk_file {
    struct list link; /* while it has a name */
    struct memory_disk *disk;
    uint32_t references; /* its name, and each opening */
    uint64_t size;
    char **blocks;
    size_t blocks_count;
    size_t blocks_capacity;
    char name[DISK_NAME_BYTES_MAX];
};

/* ---- names; with the mutex ---- */

static struct disk_file *find(const struct memory_disk *disk, const char *name) {
    LIST_FOR_EACH(link, &disk->files) {
        struct disk_file *file = LIST_ENTRY(link, struct disk_file, link);
        if (strcmp(file->name, name) == 0) {
            return file;
        }
    }
    return NULL;
}

static void blocks_release(struct disk_file *file, size_t kept) {
    while (file->blocks_count > kept) {
        memory_free(file->blocks[--file->blocks_count]);
        atomic_fetch_sub(&file->disk->bytes, MEMORY_DISK_BLOCK_BYTES);
    }
}

static void release(struct disk_file *file) {
    if (--file->references == 0) {
        blocks_release(file, 0);
        memory_free(file->blocks);
        memory_free(file);
    }
}

static void unname(struct disk_file *file) {
    list_remove(&file->link);
    release(file);
}

static struct disk_file *file_new(struct memory_disk *disk, const char *name) {
    struct disk_file *file = memory_alloc_zeroed(sizeof(*file));
    file->disk = disk;
    file->references = 1;
    ASSERT(strlen(name) < sizeof(file->name));
    memcpy(file->name, name, strlen(name) + 1);
    list_push_back(&disk->files, &file->link);
    return file;
}

static struct disk_file *file_open(void *context, const char *name, bool create, int *error) {
    struct memory_disk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    struct disk_file *file = find(disk, name);
    if (file == NULL && create) {
        file = file_new(disk, name);
    } else if (file == NULL || create) {
        *error = file == NULL ? -ENOENT : -EEXIST;
        file = NULL;
    }
    if (file != NULL) {
        file->references++;
    }
    pthread_mutex_unlock(&disk->mutex);
    return file;
}

static void file_close(struct disk_file *file) {
    struct memory_disk *disk = file->disk;
    pthread_mutex_lock(&disk->mutex);
    release(file);
    pthread_mutex_unlock(&disk->mutex);
}

static int folder_rename(void *context, const char *from, const char *to) {
    struct memory_disk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    struct disk_file *file = find(disk, from);
    struct disk_file *old = find(disk, to);
    if (file != NULL && old != file) {
        if (old != NULL) {
            unname(old);
        }
        ASSERT(strlen(to) < sizeof(file->name));
        memcpy(file->name, to, strlen(to) + 1);
    }
    pthread_mutex_unlock(&disk->mutex);
    return file == NULL ? -ENOENT : 0;
}

static int folder_remove(void *context, const char *name) {
    struct memory_disk *disk = context;
    pthread_mutex_lock(&disk->mutex);
    struct disk_file *file = find(disk, name);
    if (file != NULL) {
        unname(file);
    }
    pthread_mutex_unlock(&disk->mutex);
    return file == NULL ? -ENOENT : 0;
}

/* Of a moment: found() may remove files. */
static int folder_list(void *context, disk_found found, void *found_context) {
    struct memory_disk *disk = context;
    char(*names)[DISK_NAME_BYTES_MAX] = NULL;
    size_t count = 0;
    pthread_mutex_lock(&disk->mutex);
    LIST_FOR_EACH(link, &disk->files) {
        const struct disk_file *file = LIST_ENTRY(link, struct disk_file, link);
        if (file->name[0] != '.') {
            names = memory_realloc(names, (count + 1) * sizeof(*names));
            memcpy(names[count++], file->name, sizeof(file->name));
        }
    }
    pthread_mutex_unlock(&disk->mutex);
    for (size_t i = 0; i < count; i++) {
        found(found_context, names[i]);
    }
    memory_free(names);
    return 0;
}

static int folder_settled(void *context) {
    (void)context;
    return 0;
}

/* ---- content ---- */

/* With the mutex. */
static void blocks_reserve(struct disk_file *file, uint64_t size) {
    size_t wanted = (size_t)((size + MEMORY_DISK_BLOCK_BYTES - 1) / MEMORY_DISK_BLOCK_BYTES);
    if (wanted > file->blocks_capacity) {
        size_t doubled = file->blocks_capacity * 2;
        file->blocks_capacity = wanted > doubled ? wanted : doubled;
        file->blocks = memory_realloc(file->blocks, file->blocks_capacity * sizeof(char *));
    }
    while (file->blocks_count < wanted) {
        file->blocks[file->blocks_count++] = memory_alloc(MEMORY_DISK_BLOCK_BYTES);
        atomic_fetch_add(&file->disk->bytes, MEMORY_DISK_BLOCK_BYTES);
    }
}

/* The place of an offset that is reserved, and how many bytes its block has from there on. */
static char *place_of(struct disk_file *file, uint64_t offset, size_t *room) {
    size_t inside = (size_t)(offset % MEMORY_DISK_BLOCK_BYTES);
    pthread_mutex_lock(&file->disk->mutex);
    ASSERT(offset / MEMORY_DISK_BLOCK_BYTES < file->blocks_count);
    char *block = file->blocks[offset / MEMORY_DISK_BLOCK_BYTES];
    pthread_mutex_unlock(&file->disk->mutex);
    *room = MEMORY_DISK_BLOCK_BYTES - inside;
    return block + inside;
}

/* bytes NULL: zeros. */
static void put(struct disk_file *file, const char *bytes, size_t length, uint64_t offset) {
    for (size_t done = 0; done < length;) {
        size_t room;
        char *place = place_of(file, offset + done, &room);
        size_t step = length - done < room ? length - done : room;
        if (bytes == NULL) {
            memset(place, 0, step);
        } else {
            memcpy(place, bytes + done, step);
        }
        done += step;
    }
}

/* Room up to the size; what was never written before `offset` reads as zeros. */
static void reach(struct disk_file *file, uint64_t size, uint64_t offset) {
    pthread_mutex_lock(&file->disk->mutex);
    uint64_t before = file->size;
    blocks_reserve(file, size);
    pthread_mutex_unlock(&file->disk->mutex);
    if (offset > before) {
        put(file, NULL, (size_t)(offset - before), before);
    }
}

static void set_size(struct disk_file *file, uint64_t size) {
    pthread_mutex_lock(&file->disk->mutex);
    file->size = size;
    pthread_mutex_unlock(&file->disk->mutex);
}

static int64_t file_size(struct disk_file *file) {
    pthread_mutex_lock(&file->disk->mutex);
    uint64_t size = file->size;
    pthread_mutex_unlock(&file->disk->mutex);
    return (int64_t)size;
}

static int file_write(struct disk_file *file, const struct iovec *parts, size_t count,
                      uint64_t offset) {
    uint64_t end = offset;
    for (size_t i = 0; i < count; i++) {
        end += parts[i].iov_len;
    }
    reach(file, end, offset);
    for (size_t i = 0; i < count; i++) {
        put(file, parts[i].iov_base, parts[i].iov_len, offset);
        offset += parts[i].iov_len;
    }
    if (end > (uint64_t)file_size(file)) {
        set_size(file, end);
    }
    return 0;
}

static int64_t file_read(struct disk_file *file, void *bytes, size_t length, uint64_t offset) {
    uint64_t size = (uint64_t)file_size(file);
    uint64_t there = offset < size ? size - offset : 0;
    size_t wanted = length < there ? length : (size_t)there;
    for (size_t done = 0; done < wanted;) {
        size_t room;
        const char *place = place_of(file, offset + done, &room);
        size_t step = wanted - done < room ? wanted - done : room;
        memcpy((char *)bytes + done, place, step);
        done += step;
    }
    return (int64_t)wanted;
}

static int file_sync(struct disk_file *file) {
    (void)file;
    return 0;
}

static int file_allocate(struct disk_file *file, uint64_t size) {
    (void)file;
    (void)size;
    return 0;
}

static int file_truncate(struct disk_file *file, uint64_t size) {
    reach(file, size, size);
    pthread_mutex_lock(&file->disk->mutex);
    blocks_release(file, (size_t)((size + MEMORY_DISK_BLOCK_BYTES - 1) / MEMORY_DISK_BLOCK_BYTES));
    file->size = size;
    pthread_mutex_unlock(&file->disk->mutex);
    return 0;
}

/* ---- lifecycle ---- */

void memory_disk_open(struct disk *disk) {
    struct memory_disk *memory = memory_alloc_zeroed(sizeof(*memory));
    list_init(&memory->files);
    int failed = pthread_mutex_init(&memory->mutex, NULL);
    ASSERT(failed == 0);
    *disk = (struct disk){
        .context = memory,
        .open = file_open,
        .close = file_close,
        .write = file_write,
        .read = file_read,
        .sync = file_sync,
        .allocate = file_allocate,
        .truncate = file_truncate,
        .size = file_size,
        .rename = folder_rename,
        .remove = folder_remove,
        .sync_names = folder_settled,
        .list = folder_list,
        .lock = folder_settled,
    };
}

void memory_disk_close(struct disk *disk) {
    struct memory_disk *memory = disk->context;
    while (!list_is_empty(&memory->files)) {
        unname(LIST_ENTRY(memory->files.next, struct disk_file, link));
    }
    ASSERT(atomic_load(&memory->bytes) == 0);
    pthread_mutex_destroy(&memory->mutex);
    memory_free(memory);
    disk->context = NULL;
}

size_t memory_disk_bytes(const struct disk *disk) {
    const struct memory_disk *memory = disk->context;
    return atomic_load_explicit(&memory->bytes, memory_order_relaxed);
}
