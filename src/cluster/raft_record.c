#include "cluster/raft_record.h"

#include "base/bytes.h"
#include "base/hash.h"

#define MAGIC "TARNRAFT"
#define MAGIC_BYTES 8
#define HEADER_CHECKSUM_AT 120
#define RECORD_CHECKSUM_AT 32
#define STEP_HEAD_BYTES 48
#define SNAPSHOT_HEAD_BYTES 32
#define ENTRY_HEAD_BYTES 16

/* ---- the file's header ---- */

void raft_file_header_write(char bytes[RAFT_FILE_HEADER_BYTES],
                            const struct raft_file_header *header) {
    memset(bytes, 0, RAFT_FILE_HEADER_BYTES);
    memcpy(bytes, MAGIC, MAGIC_BYTES);
    bytes_store_u32(bytes + 8, RAFT_FILE_FORMAT);
    bytes_store_u64(bytes + 16, header->generation);
    memcpy(bytes + 24, header->self.bytes, RAFT_ID_BYTES);
    memcpy(bytes + 44, header->group.bytes, RAFT_ID_BYTES);
    bytes_store_u64(bytes + 64, header->base);
    uint64_t checksum = checksum_bytes(span_of(bytes, HEADER_CHECKSUM_AT));
    bytes_store_u64(bytes + HEADER_CHECKSUM_AT, checksum);
}

uint64_t raft_file_seed(const struct raft_file_header *header) {
    struct raft_file_header first = *header;
    first.base = 0;
    char bytes[RAFT_FILE_HEADER_BYTES];
    raft_file_header_write(bytes, &first);
    return bytes_load_u64(bytes + HEADER_CHECKSUM_AT);
}

const char *raft_file_header_read(const char bytes[RAFT_FILE_HEADER_BYTES],
                                  struct raft_file_header *header) {
    if (memcmp(bytes, MAGIC, MAGIC_BYTES) != 0) {
        return "it does not begin with " MAGIC;
    }
    uint64_t checksum = checksum_bytes(span_of(bytes, HEADER_CHECKSUM_AT));
    if (checksum != bytes_load_u64(bytes + HEADER_CHECKSUM_AT)) {
        return "its header does not match its checksum";
    }
    if (bytes_load_u32(bytes + 8) != RAFT_FILE_FORMAT) {
        return "its format is of another version";
    }
    header->generation = bytes_load_u64(bytes + 16);
    memcpy(header->self.bytes, bytes + 24, RAFT_ID_BYTES);
    memcpy(header->group.bytes, bytes + 44, RAFT_ID_BYTES);
    header->base = bytes_load_u64(bytes + 64);
    return NULL;
}

/* ---- records ---- */

static uint64_t record_checksum(const char *bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, RECORD_CHECKSUM_AT, seed);
}

void raft_record_write(struct raft_record *record, uint64_t seed, struct span body,
                       struct buffer *out) {
    ASSERT(record->offset % 8 == 0);
    ASSERT(body.length <= RAFT_RECORD_BODY_BYTES_MAX);
    record->length = (uint32_t)body.length;
    record->checksum = checksum_bytes(body);
    size_t size = raft_record_next(record) - record->offset;
    char *place = buffer_reserve(out, size);
    bytes_store_u64(place, record->offset);
    bytes_store_u64(place + 8, record->durable);
    bytes_store_u32(place + 16, record->length);
    bytes_store_u32(place + 20, (uint32_t)record->kind);
    bytes_store_u64(place + 24, record->checksum);
    bytes_store_u64(place + RECORD_CHECKSUM_AT, record_checksum(place, seed));
    memcpy(place + RAFT_RECORD_HEADER_BYTES, body.bytes, body.length);
    size_t whole = RAFT_RECORD_HEADER_BYTES + body.length;
    memset(place + whole, 0, size - whole);
    buffer_commit(out, size);
}

bool raft_record_read(const char bytes[RAFT_RECORD_HEADER_BYTES], uint64_t seed,
                      struct raft_record *record) {
    if (bytes_load_u64(bytes + RECORD_CHECKSUM_AT) != record_checksum(bytes, seed)) {
        return false;
    }
    uint32_t kind = bytes_load_u32(bytes + 20);
    *record = (struct raft_record){
        .offset = bytes_load_u64(bytes),
        .durable = bytes_load_u64(bytes + 8),
        .length = bytes_load_u32(bytes + 16),
        .kind = (enum raft_record_kind)kind,
        .checksum = bytes_load_u64(bytes + 24),
    };
    return kind == RAFT_RECORD_SNAPSHOT || kind == RAFT_RECORD_STEP;
}

/* ---- steps ---- */

void raft_record_write_step(const struct raft_record_step *step, const struct raft_log *log,
                            struct buffer *body) {
    char *head = buffer_reserve(body, STEP_HEAD_BYTES);
    bytes_store_u64(head, step->term);
    memcpy(head + 8, step->vote.bytes, RAFT_ID_BYTES);
    bytes_store_u32(head + 28, step->count);
    bytes_store_u64(head + 32, step->commit);
    bytes_store_u64(head + 40, step->first);
    buffer_commit(body, STEP_HEAD_BYTES);
    for (uint32_t i = 0; i < step->count; i++) {
        const struct raft_entry *entry = raft_log_entry(log, step->first + i);
        char *place = buffer_reserve(body, ENTRY_HEAD_BYTES);
        bytes_store_u64(place, entry->term);
        bytes_store_u32(place + 8, (uint32_t)entry->bytes.length);
        bytes_store_u32(place + 12, (uint32_t)entry->kind);
        buffer_commit(body, ENTRY_HEAD_BYTES);
        buffer_append_span(body, entry->bytes);
    }
}

static bool is_config(struct span bytes) {
    struct raft_config config = RAFT_CONFIG_EMPTY;
    bool is_whole = raft_config_read(&config, &bytes) && bytes.length == 0;
    raft_config_free(&config);
    return is_whole;
}

/* Takes an entry off the front of rest. */
static const char *entry_read(struct span *rest, uint64_t term, struct raft_log *log) {
    if (rest->length < ENTRY_HEAD_BYTES) {
        return "an entry is cut off";
    }
    struct raft_entry entry = {
        .term = bytes_load_u64(rest->bytes),
        .kind = (enum raft_entry_kind)bytes_load_u32(rest->bytes + 12),
        .bytes = span_of(rest->bytes + ENTRY_HEAD_BYTES, bytes_load_u32(rest->bytes + 8)),
    };
    size_t room = rest->length - ENTRY_HEAD_BYTES;
    if (entry.bytes.length > room || entry.bytes.length > RAFT_ENTRY_BYTES_MAX) {
        return "an entry is longer than its record";
    }
    if (entry.term == 0 || entry.term < raft_log_last_term(log) || entry.term > term) {
        return "an entry is of a term that cannot be";
    }
    bool is_known = entry.kind == RAFT_ENTRY_NO_OP || entry.kind == RAFT_ENTRY_NORMAL;
    if (!is_known && (entry.kind != RAFT_ENTRY_CONFIG || !is_config(entry.bytes))) {
        return "an entry is of no known kind";
    }
    raft_log_append(log, &entry);
    *rest = span_of(entry.bytes.bytes + entry.bytes.length, room - entry.bytes.length);
    return NULL;
}

const char *raft_record_read_step(struct span body, struct raft_saved *saved) {
    if (body.length < STEP_HEAD_BYTES) {
        return "a step is too short";
    }
    uint64_t term = bytes_load_u64(body.bytes);
    uint32_t count = bytes_load_u32(body.bytes + 28);
    uint64_t commit = bytes_load_u64(body.bytes + 32);
    uint64_t first = bytes_load_u64(body.bytes + 40);
    if (term < saved->term || commit < saved->commit) {
        return "term or commit goes back";
    }
    if (term >= RAFT_NUMBER_MAX) {
        return "a term that cannot be";
    }
    saved->term = term;
    memcpy(saved->vote.bytes, body.bytes + 8, RAFT_ID_BYTES);
    struct span rest = span_of(body.bytes + STEP_HEAD_BYTES, body.length - STEP_HEAD_BYTES);
    if (count > 0 && (first <= saved->log.base_index || first <= saved->commit ||
                      first > raft_log_last_index(&saved->log) + 1)) {
        return "entries leave a gap, or replace what is committed";
    }
    if (count > 0) {
        raft_log_truncate(&saved->log, first);
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *problem = entry_read(&rest, term, &saved->log);
        if (problem != NULL) {
            return problem;
        }
    }
    saved->commit = commit;
    return rest.length > 0 ? "a step is longer than its entries" : NULL;
}

/* ---- snapshots ---- */

void raft_record_write_snapshot(const struct raft_snapshot *snapshot, const struct raft_log *log,
                                struct buffer *body) {
    char *head = buffer_reserve(body, SNAPSHOT_HEAD_BYTES);
    bytes_store_u64(head, snapshot->name.index);
    bytes_store_u64(head + 8, snapshot->name.term);
    bytes_store_u64(head + 16, log->base_index);
    bytes_store_u64(head + 24, log->base_term);
    buffer_commit(body, SNAPSHOT_HEAD_BYTES);
    buffer_append_span(body, raft_snapshot_content(snapshot));
}

const char *raft_record_read_snapshot(struct span body, struct raft_saved *saved) {
    if (body.length < SNAPSHOT_HEAD_BYTES) {
        return "a snapshot is too short";
    }
    uint64_t index = bytes_load_u64(body.bytes);
    uint64_t term = bytes_load_u64(body.bytes + 8);
    uint64_t base_index = bytes_load_u64(body.bytes + 16);
    uint64_t base_term = bytes_load_u64(body.bytes + 24);
    if (saved->snapshot != NULL || saved->log.count > 0 || index == 0 || index >= RAFT_NUMBER_MAX ||
        base_index > index || base_term > term) {
        return "a snapshot is where none can be";
    }
    struct span content =
        span_of(body.bytes + SNAPSHOT_HEAD_BYTES, body.length - SNAPSHOT_HEAD_BYTES);
    saved->snapshot = raft_snapshot_read(index, term, content);
    if (saved->snapshot == NULL) {
        return "a snapshot holds no configuration";
    }
    raft_log_reset(&saved->log, base_index, base_term);
    return NULL;
}
