#include "cluster/raft_log.h"

#include "base/assertion.h"
#include "base/memory.h"

#define ENTRIES_MIN 16

static void entries_free(struct raft_log *log, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        log->size_bytes -= log->entries[i].bytes.length;
        memory_free((void *)log->entries[i].bytes.bytes);
    }
}

void raft_log_free(struct raft_log *log) {
    entries_free(log, 0, log->count);
    memory_free(log->entries);
    *log = RAFT_LOG_EMPTY;
}

void raft_log_reset(struct raft_log *log, uint64_t index, uint64_t term) {
    entries_free(log, 0, log->count);
    log->count = 0;
    log->base_index = index;
    log->base_term = term;
}

uint64_t raft_log_last_term(const struct raft_log *log) {
    return log->count > 0 ? log->entries[log->count - 1].term : log->base_term;
}

bool raft_log_term(const struct raft_log *log, uint64_t index, uint64_t *term) {
    if (index < log->base_index || index > raft_log_last_index(log)) {
        return false;
    }
    *term = index == log->base_index ? log->base_term : raft_log_entry(log, index)->term;
    return true;
}

const struct raft_entry *raft_log_entry(const struct raft_log *log, uint64_t index) {
    ASSERT(index > log->base_index);
    ASSERT(index <= raft_log_last_index(log));
    return &log->entries[index - log->base_index - 1];
}

void raft_log_append(struct raft_log *log, const struct raft_entry *entry) {
    ASSERT(entry->term >= raft_log_last_term(log));
    ASSERT(entry->bytes.length <= RAFT_ENTRY_BYTES_MAX);
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? ENTRIES_MIN : 2 * log->capacity;
        log->entries = memory_realloc(log->entries, log->capacity * sizeof(*log->entries));
    }
    struct raft_entry *copy = &log->entries[log->count++];
    *copy = *entry;
    if (entry->bytes.length > 0) {
        copy->bytes.bytes = memory_copy(entry->bytes.bytes, entry->bytes.length);
    } else {
        copy->bytes = span_of(NULL, 0);
    }
    log->size_bytes += entry->bytes.length;
}

void raft_log_truncate(struct raft_log *log, uint64_t from) {
    ASSERT(from > log->base_index);
    uint64_t kept = from - log->base_index - 1;
    if (kept < log->count) {
        entries_free(log, kept, log->count);
        log->count = kept;
    }
}

void raft_log_compact(struct raft_log *log, uint64_t index) {
    uint64_t term;
    bool is_known = raft_log_term(log, index, &term);
    ASSERT(is_known);
    size_t dropped = index - log->base_index;
    entries_free(log, 0, dropped);
    log->count -= dropped;
    if (dropped > 0) {
        memmove(log->entries, log->entries + dropped, log->count * sizeof(*log->entries));
    }
    log->base_index = index;
    log->base_term = term;
}

size_t raft_log_batch(const struct raft_log *log, uint64_t from, size_t count_max,
                      size_t bytes_max) {
    size_t count = 0;
    size_t bytes = 0;
    for (uint64_t index = from; index <= raft_log_last_index(log) && count < count_max; index++) {
        bytes += raft_log_entry(log, index)->bytes.length;
        if (count > 0 && bytes > bytes_max) {
            break;
        }
        count++;
    }
    return count;
}

uint64_t raft_log_agreeable(const struct raft_log *log, uint64_t index, uint64_t term) {
    uint64_t last = raft_log_last_index(log);
    index = index < last ? index : last;
    uint64_t there;
    while (raft_log_term(log, index, &there) && there > term && index > 0) {
        index--;
    }
    return index;
}
