#include "store/entry.h"

#define SHORT_KEY_BYTES_MAX ((size_t)UINT8_MAX)
#define SHORT_VALUE_BYTES_MAX ((size_t)UINT16_MAX)

static size_t value_bytes(const struct entry_plan *plan) {
    return entry_kind_is_sized(plan->kind) ? plan->value.length + plan->value_end.length
                                           : sizeof(plan->fixed);
}

static size_t planned_bytes(const struct entry_plan *plan) {
    size_t size = sizeof(((struct entry *)NULL)->head);
    size += plan->key.length <= SHORT_KEY_BYTES_MAX ? sizeof(uint8_t) : sizeof(uint32_t);
    size_t value = value_bytes(plan);
    if (entry_kind_is_sized(plan->kind)) {
        size += value <= SHORT_VALUE_BYTES_MAX ? sizeof(uint16_t) : sizeof(uint32_t);
    }
    size += plan->expiry_ms != ENTRY_NO_EXPIRY ? sizeof(int64_t) : 0;
    return size + plan->key.length + value;
}

/* Answers what is behind it. */
static char *write_value_length(char *at, size_t value) {
    if (LIKELY(value <= SHORT_VALUE_BYTES_MAX)) {
        uint16_t length = (uint16_t)value;
        memcpy(at, &length, sizeof(length));
        return at + sizeof(length);
    }
    uint32_t length = (uint32_t)value;
    memcpy(at, &length, sizeof(length));
    return at + sizeof(length);
}

/* Writes everything but the key, whose place is answered. */
static char *write_head(struct entry *entry, const struct entry_plan *plan) {
    size_t value = value_bytes(plan);
    ASSERT(plan->key.length <= ENTRY_KEY_BYTES_MAX && value <= UINT32_MAX);
    unsigned head = plan->kind;
    head |= plan->is_raw ? ENTRY_FLAG_RAW : 0;
    char *at = (char *)entry->rest;
    if (plan->key.length <= SHORT_KEY_BYTES_MAX) {
        *at++ = (char)plan->key.length;
    } else {
        head |= ENTRY_FLAG_LONG_KEY;
        uint32_t length = (uint32_t)plan->key.length;
        memcpy(at, &length, sizeof(length));
        at += sizeof(length);
    }
    if (entry_kind_is_sized(plan->kind)) {
        head |= value > SHORT_VALUE_BYTES_MAX ? ENTRY_FLAG_LONG_VALUE : 0;
        at = write_value_length(at, value);
    }
    if (plan->expiry_ms != ENTRY_NO_EXPIRY) {
        head |= ENTRY_FLAG_EXPIRY;
        memcpy(at, &plan->expiry_ms, sizeof(plan->expiry_ms));
        at += sizeof(plan->expiry_ms);
    }
    entry->head[0] = (uint8_t)head;
    entry_set_access(entry, plan->access);
    return at;
}

static void write_value(char *at, const struct entry_plan *plan) {
    if (!entry_kind_is_sized(plan->kind)) {
        memcpy(at, &plan->fixed, sizeof(plan->fixed));
        return;
    }
    if (plan->value.bytes != NULL) {
        memcpy(at, plan->value.bytes, plan->value.length);
    }
    if (plan->value_end.length != 0) {
        memcpy(at + plan->value.length, plan->value_end.bytes, plan->value_end.length);
    }
}

size_t entry_bytes(const struct entry *entry) {
    struct entry_layout layout = entry_layout(entry);
    return (size_t)layout.key_at + layout.key_length + layout.value_length;
}

struct entry *entry_new(struct heap *heap, const struct entry_plan *plan) {
    struct entry *entry = heap_alloc(heap, planned_bytes(plan));
    char *key = write_head(entry, plan);
    memcpy(key, plan->key.bytes, plan->key.length);
    write_value(key + plan->key.length, plan);
    return entry;
}

void entry_free(struct heap *heap, struct entry *entry) {
    heap_free(heap, entry, entry_bytes(entry));
}

struct entry *entry_rewrite(struct heap *heap, struct entry *entry, const struct entry_plan *plan) {
    size_t old_bytes = entry_bytes(entry);
    size_t new_bytes = planned_bytes(plan);
    if (heap_class_bytes(old_bytes) != heap_class_bytes(new_bytes)) {
        struct entry *moved = entry_new(heap, plan);
        entry_free(heap, entry);
        return moved;
    }
    /* The key moves when the head grows or shrinks, and is then overwritten by it otherwise. */
    struct entry_layout layout = entry_layout(entry);
    size_t head_bytes = new_bytes - plan->key.length - value_bytes(plan);
    if (head_bytes != layout.key_at) {
        memmove((char *)entry + head_bytes, (char *)entry + layout.key_at, layout.key_length);
    }
    char *key = write_head(entry, plan);
    ASSERT(key == (char *)entry + head_bytes);
    write_value(key + plan->key.length, plan);
    return entry;
}

struct entry *entry_resize(struct heap *heap, struct entry *entry, size_t content_bytes) {
    ASSERT(entry_kind_is_sized(entry_kind(entry)) && content_bytes <= UINT32_MAX);
    struct entry_layout layout = entry_layout(entry);
    size_t before = (size_t)layout.key_at + layout.key_length;
    if (LIKELY((content_bytes > SHORT_VALUE_BYTES_MAX) ==
               entry_has(entry, ENTRY_FLAG_LONG_VALUE))) {
        entry = heap_realloc(heap, entry, before + layout.value_length, before + content_bytes);
        write_value_length((char *)entry->rest + (entry_has(entry, ENTRY_FLAG_LONG_KEY)
                                                      ? sizeof(uint32_t)
                                                      : sizeof(uint8_t)),
                           content_bytes);
        return entry;
    }
    struct entry_plan plan = entry_plan_of(entry);
    plan.value = span_of(NULL, content_bytes);
    struct entry *moved = entry_new(heap, &plan);
    memcpy(entry_content_bytes(moved), entry_content_bytes(entry),
           content_bytes < layout.value_length ? content_bytes : layout.value_length);
    entry_free(heap, entry);
    return moved;
}

struct entry_plan entry_plan_of(const struct entry *entry) {
    struct entry_plan plan = {
        .kind = entry_kind(entry),
        .is_raw = entry_has(entry, ENTRY_FLAG_RAW),
        .expiry_ms = entry_expiry(entry),
        .access = entry_access(entry),
        .key = entry_key(entry),
    };
    if (entry_kind_is_sized(plan.kind)) {
        plan.value = entry_content(entry);
    } else {
        plan.fixed = entry_fixed(entry);
    }
    return plan;
}

struct entry *entry_with_expiry(struct heap *heap, struct entry *entry, int64_t expiry_ms) {
    if (expiry_ms != ENTRY_NO_EXPIRY && entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        memcpy((char *)entry + entry_layout(entry).expiry_at, &expiry_ms, sizeof(expiry_ms));
        return entry;
    }
    if (expiry_ms == ENTRY_NO_EXPIRY && !entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        return entry;
    }
    struct entry_plan plan = entry_plan_of(entry);
    plan.expiry_ms = expiry_ms;
    struct entry *moved = entry_new(heap, &plan);
    entry_free(heap, entry);
    return moved;
}
