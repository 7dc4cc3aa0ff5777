#include "snapshot/snapshot_writer.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <errno.h>
#include <lz4.h>
#include <stdio.h>
#include <sys/uio.h>

/* What does not shrink by one part in so many is stored raw: reading it is faster. */
#define SHRINK_PARTS 16
/* Of lz4: a twentieth larger than at 1, where values compress; three times as fast where they
 * hardly do. */
#define ACCELERATION 4

/* What is known of a slot. */
struct slot_note {
    uint64_t position;
    uint64_t keys;
    uint32_t chunk_first;
    uint32_t chunk_end; /* 0: no chunk covers it yet */
    bool is_noted;
};

struct snapshot_writer {
    struct disk disk;
    struct disk_file *file;
    struct buffer *report;
    int error;
    bool is_compressed;
    uint32_t untried;      /* chunks to store without trying lz4 */
    uint32_t untried_next; /* how many, after the next failure */
    uint64_t begin;
    uint64_t position_max; /* of slots noted */
    uint64_t header_checksum;
    uint64_t sum;
    uint64_t raw_bytes;
    uint64_t written; /* bytes that the file has */
    uint64_t synced;
    struct buffer pending; /* what follows them */
    struct buffer scratch; /* room for what is compressed */
    struct snapshot_chunk *chunks;
    size_t chunks_count;
    size_t chunks_capacity;
    struct slot_note *slots; /* [SLOTS] */
    char name[DISK_NAME_BYTES_MAX];
};

/* ---- the file ---- */

static int fail(struct snapshot_writer *writer, int error, const char *what) {
    ASSERT(error < 0);
    ASSERT(writer->error == 0);
    writer->error = error;
    buffer_format(writer->report, "snapshot file \"%s\": %s at offset %llu: %s", writer->name, what,
                  (unsigned long long)writer->written, strerror(-error));
    return writer->error;
}

/* Writes what is pending and then these. */
static int write_out(struct snapshot_writer *writer, struct span first, struct span second) {
    struct span spans[] = {buffer_span(&writer->pending), first, second};
    struct iovec parts[3];
    size_t count = 0;
    uint64_t length = 0;
    for (size_t i = 0; i < 3; i++) {
        if (spans[i].length != 0) {
            parts[count++] =
                (struct iovec){.iov_base = (void *)spans[i].bytes, .iov_len = spans[i].length};
            length += spans[i].length;
        }
    }
    int status = count == 0 ? 0 : writer->disk.write(writer->file, parts, count, writer->written);
    if (status != 0) {
        return fail(writer, status, "cannot write");
    }
    writer->written += length;
    buffer_clear(&writer->pending);
    if (writer->written - writer->synced < SNAPSHOT_SYNC_BYTES) {
        return 0;
    }
    status = writer->disk.sync(writer->file);
    writer->synced = writer->written;
    return status == 0 ? 0 : fail(writer, status, "cannot sync");
}

/* Writes both, by and by. */
static int put(struct snapshot_writer *writer, struct span first, struct span second) {
    if (writer->pending.length + first.length + second.length > SNAPSHOT_WRITE_BYTES) {
        return write_out(writer, first, second);
    }
    buffer_append_span(&writer->pending, first);
    buffer_append_span(&writer->pending, second);
    return 0;
}

/* ---- lifecycle ---- */

static void writer_free(struct snapshot_writer *writer) {
    buffer_free(&writer->pending);
    buffer_free(&writer->scratch);
    memory_free(writer->chunks);
    memory_free(writer->slots);
    memory_free(writer);
}

struct snapshot_writer *snapshot_writer_new(const struct snapshot_writer_plan *plan, int *error) {
    struct snapshot_writer *writer = memory_alloc_zeroed(sizeof(*writer));
    writer->disk = plan->disk;
    writer->report = plan->report;
    writer->is_compressed = plan->is_compressed;
    writer->untried_next = 1;
    writer->begin = plan->header.begin;
    writer->position_max = plan->header.begin;
    ASSERT(strlen(plan->name) < sizeof(writer->name));
    snprintf(writer->name, sizeof(writer->name), "%s", plan->name);
    *error = writer->disk.remove(writer->disk.context, writer->name);
    if (*error == 0 || *error == -ENOENT) {
        writer->file = writer->disk.open(writer->disk.context, writer->name, true, error);
    }
    if (writer->file == NULL) {
        fail(writer, *error, "cannot create");
        writer_free(writer);
        return NULL;
    }
    writer->slots = memory_alloc_zeroed(SLOTS * sizeof(*writer->slots));
    char header[SNAPSHOT_HEADER_BYTES];
    writer->header_checksum = snapshot_header_write(header, &plan->header);
    writer->sum = writer->header_checksum;
    buffer_append(&writer->pending, header, sizeof(header));
    return writer;
}

void snapshot_writer_abandon(struct snapshot_writer *writer) {
    if (writer->file != NULL) {
        writer->disk.close(writer->file);
    }
    writer->disk.remove(writer->disk.context, writer->name);
    writer_free(writer);
}

uint64_t snapshot_writer_bytes(const struct snapshot_writer *writer) {
    return writer->written + writer->pending.length;
}

/* ---- chunks ---- */

/* Compresses into scratch. False: that would not help. */
static bool compress(struct snapshot_writer *writer, struct span raw, struct span *stored) {
    if (!writer->is_compressed || raw.length > SNAPSHOT_COMPRESSED_BYTES_MAX) {
        return false;
    }
    if (writer->untried != 0) {
        writer->untried--;
        return false;
    }
    buffer_clear(&writer->scratch);
    size_t room = raw.length - raw.length / SHRINK_PARTS - (raw.length != 0);
    char *place = buffer_reserve(&writer->scratch, room);
    int length = LZ4_compress_fast(raw.bytes, place, (int)raw.length, (int)room, ACCELERATION);
    if (length <= 0) {
        writer->untried = writer->untried_next;
        if (writer->untried_next < SNAPSHOT_UNTRIED_MAX) {
            writer->untried_next *= 2;
        }
        return false;
    }
    writer->untried_next = 1;
    *stored = span_of(place, (size_t)length);
    return true;
}

static void note_chunk(struct snapshot_writer *writer, const struct snapshot_chunk *chunk) {
    if (writer->chunks_count == writer->chunks_capacity) {
        writer->chunks_capacity = writer->chunks_capacity == 0 ? 64 : 2 * writer->chunks_capacity;
        writer->chunks =
            memory_realloc(writer->chunks, writer->chunks_capacity * sizeof(*writer->chunks));
    }
    ASSERT(writer->chunks_count < UINT32_MAX);
    uint32_t index = (uint32_t)writer->chunks_count;
    writer->chunks[writer->chunks_count++] = *chunk;
    if (chunk->kind != SNAPSHOT_IMAGE) {
        return;
    }
    for (uint32_t i = chunk->slot_first; i <= chunk->slot_last; i++) {
        struct slot_note *note = &writer->slots[i];
        note->chunk_first = note->chunk_end == 0 ? index : note->chunk_first;
        note->chunk_end = index + 1;
    }
}

static int add(struct snapshot_writer *writer, const struct snapshot_content *content) {
    struct snapshot_chunk chunk = {
        .kind = content->kind,
        .codec = SNAPSHOT_RAW,
        .slot_first = content->slot_first,
        .slot_last = content->slot_last,
        .offset = snapshot_writer_bytes(writer),
        .raw_bytes = content->raw.length,
    };
    struct span stored = content->raw;
    if (compress(writer, content->raw, &stored)) {
        chunk.codec = SNAPSHOT_LZ4;
    }
    chunk.stored_bytes = stored.length;
    char header[SNAPSHOT_CHUNK_HEADER_BYTES];
    snapshot_chunk_write(header, &chunk, stored);
    int status = put(writer, span_of(header, sizeof(header)), stored);
    if (status == 0) {
        writer->sum = snapshot_sum(writer->sum, chunk.checksum);
        if (content->kind != SNAPSHOT_INDEX) {
            writer->raw_bytes += chunk.raw_bytes;
            note_chunk(writer, &chunk);
        }
    }
    return status;
}

int snapshot_writer_add(struct snapshot_writer *writer, const struct snapshot_content *content) {
    ASSERT(content->kind > 0 && content->kind < SNAPSHOT_INDEX);
    ASSERT(content->slot_first <= content->slot_last && content->slot_last < SLOTS);
    ASSERT(content->kind == SNAPSHOT_IMAGE || content->slot_last == 0);
    return writer->error != 0 ? writer->error : add(writer, content);
}

void snapshot_writer_slot(struct snapshot_writer *writer, uint16_t slot, uint64_t position,
                          uint64_t keys) {
    ASSERT(slot < SLOTS);
    struct slot_note *note = &writer->slots[slot];
    ASSERT(!note->is_noted);
    ASSERT(position >= writer->begin);
    if (position > writer->position_max) {
        writer->position_max = position;
    }
    note->is_noted = true;
    note->position = position;
    note->keys = keys;
}

/* ---- finishing ---- */

/* Appends the rows of the slots to the index; answers how many there are, and adds up their
 * keys. */
static uint64_t index_slots(const struct snapshot_writer *writer, struct buffer *index,
                            uint64_t *keys) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct slot_note *note = &writer->slots[i];
        if (!note->is_noted) {
            continue;
        }
        ASSERT(note->keys == 0 || note->chunk_end != 0);
        struct snapshot_slot slot = {
            .slot = (uint16_t)i,
            .position = note->position,
            .keys = note->keys,
            .chunk_first = note->chunk_first,
            .chunk_end = note->chunk_end,
        };
        snapshot_slot_row_write(buffer_reserve(index, SNAPSHOT_SLOT_ROW_BYTES), &slot);
        buffer_commit(index, SNAPSHOT_SLOT_ROW_BYTES);
        *keys += note->keys;
        count++;
    }
    return count;
}

static int add_index(struct snapshot_writer *writer, uint64_t *keys) {
    struct buffer index = BUFFER_EMPTY;
    buffer_reserve(&index, SNAPSHOT_INDEX_HEAD_BYTES);
    buffer_commit(&index, SNAPSHOT_INDEX_HEAD_BYTES);
    for (size_t i = 0; i < writer->chunks_count; i++) {
        snapshot_chunk_row_write(buffer_reserve(&index, SNAPSHOT_CHUNK_ROW_BYTES),
                                 &writer->chunks[i]);
        buffer_commit(&index, SNAPSHOT_CHUNK_ROW_BYTES);
    }
    uint64_t slots = index_slots(writer, &index, keys);
    bytes_store_u64(index.bytes, writer->chunks_count);
    bytes_store_u64(index.bytes + 8, slots);
    writer->untried = 0;
    int status =
        add(writer, &(struct snapshot_content){.kind = SNAPSHOT_INDEX, .raw = buffer_span(&index)});
    buffer_free(&index);
    return status;
}

/* Writes the index and the end, and syncs. */
static int complete(struct snapshot_writer *writer, const struct snapshot_finish *finish) {
    struct snapshot_end end = {
        .index_offset = snapshot_writer_bytes(writer),
        .end = finish->end,
        .end_ms = finish->end_ms,
        .raw_bytes = writer->raw_bytes,
    };
    int status = add_index(writer, &end.keys);
    if (status != 0) {
        return status;
    }
    end.size_bytes = snapshot_writer_bytes(writer) + SNAPSHOT_END_BYTES;
    end.sum = writer->sum;
    char bytes[SNAPSHOT_END_BYTES];
    snapshot_end_write(bytes, &end, writer->header_checksum);
    status = write_out(writer, span_of(bytes, sizeof(bytes)), span_of(NULL, 0));
    if (status != 0) {
        return status;
    }
    status = writer->disk.sync(writer->file);
    return status == 0 ? 0 : fail(writer, status, "cannot sync");
}

/* Gives the synced file its name. */
static int publish(struct snapshot_writer *writer, const char *name) {
    void *context = writer->disk.context;
    int status = writer->disk.rename(context, writer->name, name);
    if (status != 0) {
        return fail(writer, status, "cannot rename");
    }
    status = writer->disk.sync_names(context);
    /* What stood under that name is gone: this one, which is whole, must stay whatever happens. */
    return status == 0 ? 0 : fail(writer, status, "cannot sync the folder");
}

int snapshot_writer_finish(struct snapshot_writer *writer, const struct snapshot_finish *finish) {
    ASSERT(finish->end >= writer->position_max);
    int status = writer->error != 0 ? writer->error : complete(writer, finish);
    if (status == 0) {
        writer->disk.close(writer->file);
        writer->file = NULL;
        status = publish(writer, finish->name);
    }
    if (status != 0) {
        snapshot_writer_abandon(writer);
        return status;
    }
    writer_free(writer);
    return 0;
}
