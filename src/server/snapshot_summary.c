#include "server/snapshot_summary.h"

#include "base/memory.h"
#include "base/option.h"
#include "store/hash_value.h"

struct snapshot_summary *snapshot_summary_new(const struct snapshot_reader *reader,
                                              size_t biggest_max) {
    struct snapshot_summary *summary = memory_alloc_zeroed(sizeof(*summary));
    summary->database_count = reader->header.databases;
    summary->database_keys =
        memory_alloc_zeroed(summary->database_count * sizeof(*summary->database_keys));
    summary->biggest_max = biggest_max;
    summary->biggest = memory_alloc_zeroed((biggest_max + 1) * sizeof(*summary->biggest));
    return summary;
}

void snapshot_summary_free(struct snapshot_summary *summary) {
    for (size_t i = 0; i < summary->biggest_count; i++) {
        memory_free(summary->biggest[i].key);
    }
    memory_free(summary->biggest);
    memory_free(summary->database_keys);
    memory_free(summary);
}

/* ---- adding ---- */

static void add_field(struct span field, struct span value, void *context) {
    uint64_t *bytes = context;
    *bytes += field.length + value.length;
}

static uint64_t value_bytes(const struct entry *entry) {
    if (value_type_of(entry) == VALUE_STRING) {
        return value_string_length(entry);
    }
    uint64_t bytes = 0;
    hash_value_each(entry, add_field, &bytes);
    return bytes;
}

/* Takes the value in if it is among the biggest. */
static void add_big(struct snapshot_summary *summary, const struct snapshot_big *big,
                    struct span key) {
    size_t place = summary->biggest_count;
    while (place > 0 && summary->biggest[place - 1].bytes < big->bytes) {
        place--;
    }
    if (place >= summary->biggest_max) {
        return;
    }
    if (summary->biggest_count == summary->biggest_max) {
        memory_free(summary->biggest[--summary->biggest_count].key);
    }
    struct snapshot_big *added = &summary->biggest[place];
    memmove(added + 1, added, (summary->biggest_count - place) * sizeof(*added));
    *added = *big;
    added->key = memory_copy(key.bytes, key.length);
    added->key_length = key.length;
    summary->biggest_count++;
}

void snapshot_summary_add(void *context, const struct snapshot_key *key) {
    struct snapshot_summary *summary = context;
    struct span name = entry_key(key->entry);
    struct snapshot_big big = {
        .bytes = value_bytes(key->entry),
        .elements = value_elements(key->entry),
        .type = value_type_of(key->entry),
        .database = key->database,
        .slot = key->slot,
    };
    summary->keys++;
    summary->key_bytes += name.length;
    summary->volatile_keys += entry_expiry(key->entry) != ENTRY_NO_EXPIRY;
    ASSERT(key->database < summary->database_count);
    summary->database_keys[key->database]++;
    struct snapshot_type_figures *type = &summary->types[big.type];
    type->keys++;
    type->elements += big.elements;
    type->bytes += big.bytes;
    add_big(summary, &big, name);
}

/* ---- printing ---- */

static void print_file(const struct snapshot_reader *reader, struct buffer *output) {
    char text[HISTORY_TEXT_BYTES];
    buffer_format(output, "file %s\n", reader->name);
    buffer_format(output, "bytes %llu\n", (unsigned long long)reader->end.size_bytes);
    buffer_format(output, "bytes uncompressed %llu\n", (unsigned long long)reader->end.raw_bytes);
    buffer_format(output, "chunks %u\n", reader->chunks_count);
    buffer_format(output, "slots %u\n", reader->slots_count);
    buffer_format(output, "keys %llu\n", (unsigned long long)reader->end.keys);
    buffer_format(output, "databases %u\n", reader->header.databases);
    buffer_format(output, "history %s\n", history_format(text, &reader->header.history));
    buffer_format(output, "positions %llu to %llu\n", (unsigned long long)reader->header.begin,
                  (unsigned long long)reader->end.end);
    buffer_format(output, "begun %lld ended %lld ms since the epoch\n",
                  (long long)reader->header.begin_ms, (long long)reader->end.end_ms);
}

void snapshot_print_whole(const struct snapshot_reader *reader,
                          const struct snapshot_summary *summary, struct buffer *output) {
    print_file(reader, output);
    buffer_format(output, "frames of the log %llu, with %llu entries\n",
                  (unsigned long long)summary->frames, (unsigned long long)summary->entries);
    buffer_append_string(output, "The file is whole.\n");
}

void snapshot_print_statistics(const struct snapshot_reader *reader,
                               const struct snapshot_summary *summary, struct buffer *output) {
    print_file(reader, output);
    buffer_format(output, "bytes of keys %llu\n", (unsigned long long)summary->key_bytes);
    buffer_format(output, "keys with an expiry %llu\n", (unsigned long long)summary->volatile_keys);
    for (uint32_t i = 0; i < summary->database_count; i++) {
        if (summary->database_keys[i] != 0) {
            buffer_format(output, "database %u: keys %llu\n", i,
                          (unsigned long long)summary->database_keys[i]);
        }
    }
    for (unsigned i = 0; i < SNAPSHOT_TYPES; i++) {
        const struct snapshot_type_figures *type = &summary->types[i];
        if (type->keys != 0) {
            buffer_format(output, "%s: keys %llu, elements %llu, bytes %llu\n",
                          value_type_name((enum value_type)i), (unsigned long long)type->keys,
                          (unsigned long long)type->elements, (unsigned long long)type->bytes);
        }
    }
    if (summary->biggest_count != 0) {
        buffer_append_string(output,
                             "biggest values: bytes, elements, type, database, slot, key\n");
    }
    for (size_t i = 0; i < summary->biggest_count; i++) {
        const struct snapshot_big *big = &summary->biggest[i];
        buffer_format(output, "%llu %llu %s %u %u ", (unsigned long long)big->bytes,
                      (unsigned long long)big->elements, value_type_name(big->type), big->database,
                      big->slot);
        option_quote(span_of(big->key, big->key_length), output);
        buffer_append_byte(output, '\n');
    }
}

void snapshot_print_slots(const struct snapshot_reader *reader, struct buffer *output) {
    buffer_append_string(output, "slot keys position first-chunk chunks\n");
    for (uint32_t i = 0; i < reader->slots_count; i++) {
        const struct snapshot_slot *slot = &reader->slots[i];
        buffer_format(output, "%u %llu %llu %u %u\n", slot->slot, (unsigned long long)slot->keys,
                      (unsigned long long)slot->position, slot->chunk_first,
                      slot->chunk_end - slot->chunk_first);
    }
}
