#include "tests/simulation/disk.h"

#include "base/assertion.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define SECTOR_BYTES 128
#define FILES_MAX 4096
#define NAMES_MAX 1024
#define CHANGES_MAX 4096

enum sector { SECTOR_CLEAN, SECTOR_DIRTY, SECTOR_DROPPED };

struct inode {
    char *live;
    char *durable;
    unsigned char *sectors; /* enum sector of each */
    uint64_t live_size;
    uint64_t durable_size;
    uint64_t capacity;
};

struct name {
    char text[DISK_NAME_BYTES_MAX];
    struct inode *inode;
};

struct names {
    struct name entries[NAMES_MAX];
    size_t count;
};

/* A change of names: `to` leads to the inode (NULL: nowhere), `from` no longer does. */
struct change {
    char from[DISK_NAME_BYTES_MAX];
    char to[DISK_NAME_BYTES_MAX];
    struct inode *inode;
};

struct disk_file {
    struct simulated_disk *disk;
    struct inode *inode;
};

struct simulated_disk {
    struct random random;
    struct inode *inodes[FILES_MAX];
    size_t inodes_count;
    struct names live;
    struct names durable;
    struct change changes[CHANGES_MAX];
    size_t changes_count;
    size_t open_files;
    uint64_t calls;
    uint64_t fail_from;
    uint64_t fail_count;
    int fail_error;
    bool is_stopped;
    simulated_disk_meanwhile meanwhile;
    void *meanwhile_context;
};

/* ---- names ---- */

static struct name *name_find(struct names *names, const char *text) {
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->entries[i].text, text) == 0) {
            return &names->entries[i];
        }
    }
    return NULL;
}

static void text_copy(char target[DISK_NAME_BYTES_MAX], const char *text) {
    size_t length = strlen(text);
    ASSERT(length < DISK_NAME_BYTES_MAX);
    memcpy(target, text, length + 1);
}

static void name_unset(struct names *names, const char *text) {
    struct name *name = name_find(names, text);
    if (name != NULL) {
        *name = names->entries[--names->count];
    }
}

static void name_set(struct names *names, const char *text, struct inode *inode) {
    struct name *name = name_find(names, text);
    if (name == NULL) {
        ASSERT(names->count < NAMES_MAX);
        name = &names->entries[names->count++];
        text_copy(name->text, text);
    }
    name->inode = inode;
}

static void change_apply(struct names *names, const struct change *change) {
    if (change->from[0] != '\0') {
        const struct name *name = name_find(names, change->from);
        if (name != NULL && (change->inode == NULL || name->inode == change->inode)) {
            name_unset(names, change->from);
        }
    }
    if (change->to[0] != '\0') {
        name_set(names, change->to, change->inode);
    }
}

/* Only what is used: the arrays are large. */
static void names_copy(struct names *target, const struct names *source) {
    memcpy(target->entries, source->entries, source->count * sizeof(source->entries[0]));
    target->count = source->count;
}

static void names_change(struct simulated_disk *disk, const char *from, const char *to,
                         struct inode *inode) {
    ASSERT(disk->changes_count < CHANGES_MAX);
    struct change *change = &disk->changes[disk->changes_count++];
    *change = (struct change){.inode = inode};
    text_copy(change->from, from);
    text_copy(change->to, to);
    change_apply(&disk->live, change);
}

/* ---- failing ---- */

/* 0, or the negative errno with which this call is to fail. */
static int call_begin(struct simulated_disk *disk) {
    if (disk->is_stopped) {
        return -EIO;
    }
    uint64_t call = disk->calls++;
    bool fails = call >= disk->fail_from && call - disk->fail_from < disk->fail_count;
    return fails ? -disk->fail_error : 0;
}

/* ---- files ---- */

static struct inode *inode_new(struct simulated_disk *disk) {
    ASSERT(disk->inodes_count < FILES_MAX);
    struct inode *inode = memory_alloc_zeroed(sizeof(*inode));
    disk->inodes[disk->inodes_count++] = inode;
    return inode;
}

static void inode_grow(struct inode *inode, uint64_t size) {
    if (size <= inode->capacity) {
        return;
    }
    uint64_t capacity = (size + size / 2 + SECTOR_BYTES) / SECTOR_BYTES * SECTOR_BYTES;
    uint64_t more = capacity - inode->capacity;
    inode->live = memory_realloc(inode->live, capacity);
    inode->durable = memory_realloc(inode->durable, capacity);
    inode->sectors = memory_realloc(inode->sectors, capacity / SECTOR_BYTES);
    memset(inode->live + inode->capacity, 0, more);
    memset(inode->durable + inode->capacity, 0, more);
    memset(inode->sectors + inode->capacity / SECTOR_BYTES, SECTOR_CLEAN, more / SECTOR_BYTES);
    inode->capacity = capacity;
}

static void inode_write(struct inode *inode, const char *bytes, uint64_t length, uint64_t offset) {
    if (length == 0) {
        return;
    }
    inode_grow(inode, offset + length);
    memcpy(inode->live + offset, bytes, length);
    memset(inode->sectors + offset / SECTOR_BYTES, SECTOR_DIRTY,
           (offset + length - 1) / SECTOR_BYTES - offset / SECTOR_BYTES + 1);
    if (offset + length > inode->live_size) {
        inode->live_size = offset + length;
    }
}

static struct disk_file *file_open(void *context, const char *text, bool create, int *error) {
    struct simulated_disk *disk = context;
    const struct name *name = name_find(&disk->live, text);
    *error = disk->is_stopped ? -EIO : 0;
    if (*error == 0 && create) {
        *error = name != NULL ? -EEXIST : call_begin(disk);
    } else if (*error == 0 && name == NULL) {
        *error = -ENOENT;
    }
    if (*error != 0) {
        return NULL;
    }
    struct disk_file *file = memory_alloc(sizeof(*file));
    *file = (struct disk_file){.disk = disk};
    if (create) {
        file->inode = inode_new(disk);
        names_change(disk, "", text, file->inode);
    } else {
        file->inode = name->inode;
    }
    disk->open_files++;
    return file;
}

static void file_close(struct disk_file *file) {
    file->disk->open_files--;
    memory_free(file);
}

static int file_write(struct disk_file *file, const struct iovec *parts, size_t count,
                      uint64_t offset) {
    int status = call_begin(file->disk);
    uint64_t left = UINT64_MAX;
    if (status != 0) {
        uint64_t whole = 0;
        for (size_t i = 0; i < count; i++) {
            whole += parts[i].iov_len;
        }
        left = file->disk->is_stopped ? 0 : random_below(&file->disk->random, whole + 1);
    }
    for (size_t i = 0; i < count && left > 0; i++) {
        uint64_t length = parts[i].iov_len < left ? parts[i].iov_len : left;
        inode_write(file->inode, parts[i].iov_base, length, offset);
        offset += length;
        left -= length;
    }
    return status;
}

static int64_t file_read(struct disk_file *file, void *bytes, size_t length, uint64_t offset) {
    const struct inode *inode = file->inode;
    if (file->disk->is_stopped) {
        return -EIO;
    }
    if (offset >= inode->live_size) {
        return 0;
    }
    uint64_t available = inode->live_size - offset;
    uint64_t count = length < available ? length : available;
    memcpy(bytes, inode->live + offset, count);
    return (int64_t)count;
}

static void sector_settle(struct inode *inode, uint64_t sector) {
    uint64_t at = sector * SECTOR_BYTES;
    memcpy(inode->durable + at, inode->live + at, SECTOR_BYTES);
    inode->sectors[sector] = SECTOR_CLEAN;
}

static int file_sync(struct disk_file *file) {
    struct inode *inode = file->inode;
    int status = call_begin(file->disk);
    if (file->disk->is_stopped) {
        return status;
    }
    for (uint64_t i = 0; i < inode->capacity / SECTOR_BYTES; i++) {
        if (inode->sectors[i] != SECTOR_DIRTY) {
            continue;
        }
        uint64_t fate = status == 0 ? 0 : random_below(&file->disk->random, 3);
        if (fate == 0) {
            sector_settle(inode, i);
        } else if (fate == 1) {
            inode->sectors[i] = SECTOR_DROPPED;
        }
    }
    if (status == 0 || random_below(&file->disk->random, 2) == 0) {
        inode->durable_size = inode->live_size;
    }
    if (file->disk->meanwhile != NULL) {
        file->disk->meanwhile(file->disk->meanwhile_context);
    }
    return status;
}

static int file_allocate(struct disk_file *file, uint64_t size) {
    int status = call_begin(file->disk);
    if (status == 0) {
        inode_grow(file->inode, size);
        if (size > file->inode->live_size) {
            file->inode->live_size = size;
        }
    }
    return status;
}

static int file_truncate(struct disk_file *file, uint64_t size) {
    int status = call_begin(file->disk);
    struct inode *inode = file->inode;
    if (status == 0 && size < inode->live_size) {
        memset(inode->live + size, 0, inode->live_size - size);
        memset(inode->sectors + size / SECTOR_BYTES, SECTOR_DIRTY,
               (inode->live_size - 1) / SECTOR_BYTES - size / SECTOR_BYTES + 1);
    }
    if (status == 0) {
        inode_grow(inode, size);
        inode->live_size = size;
    }
    return status;
}

static int64_t file_size(struct disk_file *file) {
    return file->disk->is_stopped ? -EIO : (int64_t)file->inode->live_size;
}

/* ---- the folder ---- */

static int folder_rename(void *context, const char *from, const char *to) {
    struct simulated_disk *disk = context;
    int status = call_begin(disk);
    const struct name *name = name_find(&disk->live, from);
    if (status == 0 && name == NULL) {
        return -ENOENT;
    }
    if (status == 0) {
        names_change(disk, from, to, name->inode);
    }
    return status;
}

static int folder_remove(void *context, const char *text) {
    struct simulated_disk *disk = context;
    int status = call_begin(disk);
    if (status == 0 && name_find(&disk->live, text) == NULL) {
        return -ENOENT;
    }
    if (status == 0) {
        names_change(disk, text, "", NULL);
    }
    return status;
}

static int folder_sync(void *context) {
    struct simulated_disk *disk = context;
    int status = call_begin(disk);
    if (status == 0) {
        names_copy(&disk->durable, &disk->live);
        disk->changes_count = 0;
    }
    return status;
}

static int folder_list(void *context, disk_found found, void *found_context) {
    struct simulated_disk *disk = context;
    if (disk->is_stopped) {
        return -EIO;
    }
    for (size_t i = 0; i < disk->live.count; i++) {
        found(found_context, disk->live.entries[i].text);
    }
    return 0;
}

static int folder_lock(void *context) {
    const struct simulated_disk *disk = context;
    return disk->is_stopped ? -EIO : 0;
}

struct disk simulated_disk_interface(struct simulated_disk *disk) {
    return (struct disk){
        .context = disk,
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
        .sync_names = folder_sync,
        .list = folder_list,
        .lock = folder_lock,
    };
}

/* ---- misfortunes ---- */

void simulated_disk_fail(struct simulated_disk *disk, uint64_t skip, uint64_t count, int error) {
    disk->fail_from = disk->calls + skip;
    disk->fail_count = count;
    disk->fail_error = error;
}

void simulated_disk_heal(struct simulated_disk *disk) {
    disk->fail_count = 0;
}

void simulated_disk_set_meanwhile(struct simulated_disk *disk, simulated_disk_meanwhile meanwhile,
                                  void *context) {
    disk->meanwhile = meanwhile;
    disk->meanwhile_context = context;
}

void simulated_disk_stop(struct simulated_disk *disk) {
    disk->is_stopped = true;
}

void simulated_disk_start(struct simulated_disk *disk) {
    disk->is_stopped = false;
}

static void sector_lose(struct simulated_disk *disk, struct inode *inode, uint64_t sector) {
    uint64_t fate = inode->sectors[sector] == SECTOR_DROPPED ? 0 : random_below(&disk->random, 3);
    uint64_t at = sector * SECTOR_BYTES;
    if (fate == 1) {
        sector_settle(inode, sector);
    } else if (fate == 2) {
        memcpy(inode->durable + at, inode->live + at, random_below(&disk->random, SECTOR_BYTES));
    }
    inode->sectors[sector] = SECTOR_CLEAN;
}

static void inode_lose(struct simulated_disk *disk, struct inode *inode) {
    for (uint64_t i = 0; i < inode->capacity / SECTOR_BYTES; i++) {
        if (inode->sectors[i] != SECTOR_CLEAN) {
            sector_lose(disk, inode, i);
        }
    }
    uint64_t fate = random_below(&disk->random, 3);
    if (fate == 1) {
        inode->durable_size = inode->live_size;
    } else if (fate == 2 && inode->live_size > inode->durable_size) {
        inode->durable_size +=
            random_below(&disk->random, inode->live_size - inode->durable_size + 1);
    }
    inode->live_size = inode->durable_size;
    if (inode->capacity > 0) {
        memset(inode->durable + inode->durable_size, 0, inode->capacity - inode->durable_size);
        memcpy(inode->live, inode->durable, inode->capacity);
    }
}

void simulated_disk_lose_power(struct simulated_disk *disk) {
    ASSERT(disk->open_files == 0);
    for (size_t i = 0; i < disk->inodes_count; i++) {
        inode_lose(disk, disk->inodes[i]);
    }
    for (size_t i = 0; i < disk->changes_count; i++) {
        if (random_below(&disk->random, 2) == 0) {
            change_apply(&disk->durable, &disk->changes[i]);
        }
    }
    disk->changes_count = 0;
    names_copy(&disk->live, &disk->durable);
}

bool simulated_disk_flip_bit(struct simulated_disk *disk) {
    if (disk->live.count == 0) {
        return false;
    }
    struct inode *inode = disk->live.entries[random_below(&disk->random, disk->live.count)].inode;
    if (inode->live_size == 0) {
        return false;
    }
    uint64_t at = random_below(&disk->random, inode->live_size);
    char bit = (char)(1 << random_below(&disk->random, 8));
    inode->live[at] = (char)(inode->live[at] ^ bit);
    inode->durable[at] = inode->live[at];
    return true;
}

void simulated_disk_flip_bit_at(struct simulated_disk *disk, const char *name, uint64_t bit) {
    const struct name *found = name_find(&disk->live, name);
    ASSERT(found != NULL);
    struct inode *inode = found->inode;
    ASSERT(bit / 8 < inode->live_size);
    inode->live[bit / 8] = (char)(inode->live[bit / 8] ^ 1 << bit % 8);
    inode->durable[bit / 8] = inode->live[bit / 8];
}

/* ---- lifecycle ---- */

struct simulated_disk *simulated_disk_new(uint64_t seed) {
    struct simulated_disk *disk = memory_alloc_zeroed(sizeof(*disk));
    random_seed(&disk->random, seed);
    return disk;
}

void simulated_disk_free(struct simulated_disk *disk) {
    ASSERT(disk->open_files == 0);
    for (size_t i = 0; i < disk->inodes_count; i++) {
        memory_free(disk->inodes[i]->live);
        memory_free(disk->inodes[i]->durable);
        memory_free(disk->inodes[i]->sectors);
        memory_free(disk->inodes[i]);
    }
    memory_free(disk);
}

uint64_t simulated_disk_calls(const struct simulated_disk *disk) {
    return disk->calls;
}
