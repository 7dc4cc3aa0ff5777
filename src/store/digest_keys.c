#include "store/digest_keys.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdlib.h>

void digest_keys_add(struct buffer *rows, const struct digest_key *key) {
    char *head = buffer_reserve(rows, DIGEST_KEY_HEAD_BYTES + key->key.length);
    bytes_store_u64(head, key->digest);
    bytes_store_u32(head + 8, key->database);
    bytes_store_u32(head + 12, (uint32_t)key->key.length);
    buffer_commit(rows, DIGEST_KEY_HEAD_BYTES);
    buffer_append_span(rows, key->key);
}

bool digest_keys_read(struct span *rows, struct digest_key *key) {
    if (rows->length < DIGEST_KEY_HEAD_BYTES) {
        return false;
    }
    uint32_t length = bytes_load_u32(rows->bytes + 12);
    if (length > rows->length - DIGEST_KEY_HEAD_BYTES) {
        return false;
    }
    *key = (struct digest_key){
        .key = span_of(rows->bytes + DIGEST_KEY_HEAD_BYTES, length),
        .database = bytes_load_u32(rows->bytes + 8),
        .digest = bytes_load_u64(rows->bytes),
    };
    size_t whole = DIGEST_KEY_HEAD_BYTES + (size_t)length;
    *rows = span_of(rows->bytes + whole, rows->length - whole);
    return true;
}

static int compare(const struct digest_key *a, const struct digest_key *b) {
    if (a->database != b->database) {
        return a->database < b->database ? -1 : 1;
    }
    return span_compare(a->key, b->key);
}

static int compare_elements(const void *a, const void *b) {
    return compare(a, b);
}

void digest_keys_sort(struct buffer *rows) {
    struct span rest = buffer_span(rows);
    size_t count = 0;
    struct digest_key *keys =
        memory_alloc((rest.length / DIGEST_KEY_HEAD_BYTES + 1) * sizeof(keys[0]));
    while (digest_keys_read(&rest, &keys[count])) {
        count++;
    }
    ASSERT(rest.length == 0);
    qsort(keys, count, sizeof(keys[0]), compare_elements);
    struct buffer sorted = BUFFER_EMPTY;
    for (size_t i = 0; i < count;) {
        struct digest_key key = keys[i++];
        for (; i < count && compare(&key, &keys[i]) == 0; i++) {
            key.digest += keys[i].digest;
        }
        digest_keys_add(&sorted, &key);
    }
    memory_free(keys);
    buffer_free(rows);
    *rows = sorted;
}

/* A run, and its first row. */
struct side {
    struct span rest;
    struct digest_key key;
    bool has_key;
    bool is_damaged;
};

static void advance(struct side *side) {
    struct digest_key before = side->key;
    bool had_key = side->has_key;
    side->has_key = digest_keys_read(&side->rest, &side->key);
    side->is_damaged |=
        side->has_key ? had_key && compare(&before, &side->key) >= 0 : side->rest.length > 0;
}

bool digest_keys_compare(struct span first, struct span second, digest_keys_visit *visit,
                         void *context) {
    struct side a = {.rest = first};
    struct side b = {.rest = second};
    advance(&a);
    advance(&b);
    while ((a.has_key || b.has_key) && !a.is_damaged && !b.is_damaged) {
        int order = !a.has_key ? 1 : !b.has_key ? -1 : compare(&a.key, &b.key);
        if (order != 0) {
            visit(context, order < 0 ? &a.key : &b.key,
                  order < 0 ? DIGEST_KEY_ONLY_FIRST : DIGEST_KEY_ONLY_SECOND);
        } else if (a.key.digest != b.key.digest) {
            visit(context, &a.key, DIGEST_KEY_DIFFERS);
        }
        if (order <= 0) {
            advance(&a);
        }
        if (order >= 0) {
            advance(&b);
        }
    }
    return !a.is_damaged && !b.is_damaged;
}
