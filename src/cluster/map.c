#include "cluster/map.h"

#include "base/bytes.h"
#include "base/memory.h"

#define HEAD_BYTES 44
#define NODE_TAIL_BYTES (2 + 1 + MAP_ID_BYTES)
#define SHARD_BYTES (MAP_ID_BYTES + 2 + 8 + 8 + 2 + MAP_ID_BYTES)
#define RUN_BYTES 10
#define FLAG_IN_SYNC 1
#define FLAG_FAILED 2
#define FLAG_NO_FAILOVER 4
#define LACKS_MEMBER 0x8000

_Static_assert(MAP_NOBODY == 0xffff, "a slot of nobody is bytes of ones");

struct map *map_new(const unsigned char group[MAP_ID_BYTES]) {
    struct map *map = memory_alloc(sizeof(*map));
    memset(map, 0, offsetof(struct map, slots));
    memset(map->slots, 0xff, sizeof(map->slots)); /* all four fields MAP_NOBODY */
    atomic_init(&map->references, 1);
    memcpy(map->group, group, MAP_ID_BYTES);
    return map;
}

static void *list_copy(const void *list, size_t bytes) {
    return bytes == 0 ? NULL : memory_copy(list, bytes);
}

struct map *map_copy(const struct map *map) {
    struct map *copy = memory_alloc(sizeof(*copy));
    /* All but the count of references, which other threads change. */
    const size_t from = offsetof(struct map, group);
    memcpy((char *)copy + from, (const char *)map + from, sizeof(*map) - from);
    atomic_init(&copy->references, 1);
    copy->nodes = list_copy(map->nodes, map->nodes_count * sizeof(map->nodes[0]));
    copy->shards = list_copy(map->shards, map->nodes_count * sizeof(map->shards[0]));
    return copy;
}

struct map *map_borrow(struct map *map) {
    atomic_fetch_add_explicit(&map->references, 1, memory_order_relaxed);
    return map;
}

void map_return(struct map *map) {
    if (map != NULL && atomic_fetch_sub_explicit(&map->references, 1, memory_order_acq_rel) == 1) {
        memory_free(map->nodes);
        memory_free(map->shards);
        memory_free(map);
    }
}

/* ---- questions ---- */

uint16_t map_find(const struct map *map, const unsigned char id[MAP_ID_BYTES]) {
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (memcmp(map->nodes[i].id, id, MAP_ID_BYTES) == 0) {
            return i;
        }
    }
    return MAP_NOBODY;
}

uint16_t map_find_text(const struct map *map, struct span text) {
    unsigned char id[MAP_ID_BYTES];
    return map_id_parse(text, id) ? map_find(map, id) : MAP_NOBODY;
}

bool map_was_removed(const struct map *map, const unsigned char id[MAP_ID_BYTES]) {
    for (uint16_t i = 0; i < map->removed_count; i++) {
        if (memcmp(map->removed[i], id, MAP_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

uint32_t map_shard_nodes(const struct map *map, uint16_t shard) {
    uint32_t count = 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        count += map->nodes[i].shard == shard;
    }
    return count;
}

bool map_next_range(const struct map *map, uint16_t shard, uint32_t from, struct map_range *range) {
    while (from < SLOTS && map->slots[from].owner != shard) {
        from++;
    }
    if (from == SLOTS) {
        return false;
    }
    uint32_t end = from + 1;
    while (end < SLOTS && map->slots[end].owner == shard) {
        end++;
    }
    *range = (struct map_range){.first = (uint16_t)from, .last = (uint16_t)(end - 1)};
    return true;
}

bool map_is_ok(const struct map *map, bool requires_full_coverage) {
    if (requires_full_coverage && map->slots_owned < SLOTS) {
        return false;
    }
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct map_shard *shard = &map->shards[map->nodes[i].shard];
        if (requires_full_coverage && shard->primary == i && shard->slots > 0 &&
            map->nodes[i].has_failed) {
            return false;
        }
    }
    return true;
}

const char *map_id_format(char text[MAP_ID_TEXT_BYTES], const unsigned char id[MAP_ID_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MAP_ID_BYTES; i++) {
        text[2 * i] = digits[id[i] >> 4];
        text[2 * i + 1] = digits[id[i] & 15];
    }
    text[MAP_ID_TEXT_BYTES - 1] = '\0';
    return text;
}

static int digit_of(char letter) {
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    letter = (char)(letter | 0x20);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

bool map_id_parse(struct span text, unsigned char id[MAP_ID_BYTES]) {
    if (text.length != MAP_ID_TEXT_BYTES - 1) {
        return false;
    }
    for (size_t i = 0; i < MAP_ID_BYTES; i++) {
        int high = digit_of(text.bytes[2 * i]);
        int low = digit_of(text.bytes[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        id[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* ---- writing ---- */

static void put_u16(struct buffer *out, uint16_t number) {
    bytes_store_u16(buffer_reserve(out, 2), number);
    buffer_commit(out, 2);
}

static void put_u32(struct buffer *out, uint32_t number) {
    bytes_store_u32(buffer_reserve(out, 4), number);
    buffer_commit(out, 4);
}

static void put_u64(struct buffer *out, uint64_t number) {
    bytes_store_u64(buffer_reserve(out, 8), number);
    buffer_commit(out, 8);
}

static void put_text(struct buffer *out, const char *text) {
    size_t length = strlen(text);
    buffer_append_byte(out, (char)length);
    buffer_append(out, text, length);
}

void map_facts_write(const struct map_facts *facts, struct buffer *out) {
    put_text(out, facts->ip);
    put_text(out, facts->hostname);
    put_text(out, facts->human_name);
    put_text(out, facts->zone);
    put_u16(out, facts->port);
    put_u16(out, facts->tls_port);
    put_u16(out, facts->bus_port);
}

static bool slot_equal(const struct map_slot *a, const struct map_slot *b) {
    return a->owner == b->owner && a->migrating_to == b->migrating_to &&
           a->importing_from == b->importing_from && a->importer == b->importer;
}

static void write_slots(const struct map *map, struct buffer *out) {
    for (uint32_t slot = 0; slot < SLOTS;) {
        const struct map_slot *first = &map->slots[slot];
        uint32_t end = slot + 1;
        while (end < SLOTS && slot_equal(first, &map->slots[end])) {
            end++;
        }
        put_u16(out, (uint16_t)(end - slot));
        put_u16(out, first->owner);
        put_u16(out, first->migrating_to);
        put_u16(out, first->importing_from);
        put_u16(out, first->importer);
        slot = end;
    }
}

void map_write(const struct map *map, struct buffer *out) {
    put_u32(out, MAP_FORMAT);
    buffer_append(out, map->group, MAP_ID_BYTES);
    put_u64(out, map->index);
    put_u64(out, map->current_epoch);
    put_u16(out, map->nodes_count);
    put_u16(out, map->shards_count);
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct map_node *node = &map->nodes[i];
        map_facts_write(&node->facts, out);
        put_u16(out, node->shard);
        buffer_append_byte(out, (char)((node->is_in_sync ? FLAG_IN_SYNC : 0) |
                                       (node->has_failed ? FLAG_FAILED : 0) |
                                       (node->no_failover ? FLAG_NO_FAILOVER : 0)));
        buffer_append(out, node->id, MAP_ID_BYTES);
    }
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct map_shard *shard = &map->shards[i];
        if (shard->epoch != 0) {
            buffer_append(out, shard->id, MAP_ID_BYTES);
            put_u16(out, shard->primary);
            put_u64(out, shard->epoch);
            put_u64(out, shard->config_epoch);
            put_u16(out, (uint16_t)(shard->quorum | (shard->lacks_member ? LACKS_MEMBER : 0)));
            buffer_append(out, shard->granted, MAP_ID_BYTES);
        }
    }
    put_u16(out, map->removed_count);
    buffer_append(out, map->removed, map->removed_count * (size_t)MAP_ID_BYTES);
    write_slots(map, out);
}

/* ---- reading ---- */

static const char *take(struct span *bytes, size_t length) {
    const char *front = bytes->bytes;
    if (bytes->length < length) {
        return NULL;
    }
    *bytes = span_of(front + length, bytes->length - length);
    return front;
}

static bool take_u16(struct span *bytes, uint16_t *number) {
    const char *front = take(bytes, 2);
    if (front != NULL) {
        *number = bytes_load_u16(front);
    }
    return front != NULL;
}

/* text[capacity]; false too for what is no C string. */
static bool take_text(struct span *bytes, char *text, size_t capacity) {
    const char *length_byte = take(bytes, 1);
    if (length_byte == NULL) {
        return false;
    }
    size_t length = (unsigned char)*length_byte;
    const char *front = take(bytes, length);
    if (front == NULL || length >= capacity || memchr(front, '\0', length) != NULL) {
        return false;
    }
    memcpy(text, front, length);
    memset(text + length, 0, capacity - length);
    return true;
}

bool map_facts_read(struct span *bytes, struct map_facts *facts) {
    return take_text(bytes, facts->ip, sizeof(facts->ip)) &&
           take_text(bytes, facts->hostname, sizeof(facts->hostname)) &&
           take_text(bytes, facts->human_name, sizeof(facts->human_name)) &&
           take_text(bytes, facts->zone, sizeof(facts->zone)) && take_u16(bytes, &facts->port) &&
           take_u16(bytes, &facts->tls_port) && take_u16(bytes, &facts->bus_port);
}

static bool read_nodes(struct map *map, struct span *bytes) {
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct map_node *node = &map->nodes[i];
        const char *tail =
            map_facts_read(bytes, &node->facts) ? take(bytes, NODE_TAIL_BYTES) : NULL;
        if (tail == NULL) {
            return false;
        }
        node->shard = bytes_load_u16(tail);
        node->is_in_sync = (tail[2] & FLAG_IN_SYNC) != 0;
        node->has_failed = (tail[2] & FLAG_FAILED) != 0;
        node->no_failover = (tail[2] & FLAG_NO_FAILOVER) != 0;
        if (node->shard >= map->shards_count ||
            map_find(map, (const unsigned char *)tail + 3) < i) {
            return false;
        }
        memcpy(node->id, tail + 3, MAP_ID_BYTES);
    }
    return true;
}

static bool read_shards(struct map *map, struct span *bytes) {
    for (uint16_t i = 0; i < map->shards_count; i++) {
        struct map_shard *shard = &map->shards[i];
        const char *front = take(bytes, SHARD_BYTES);
        if (front == NULL) {
            return false;
        }
        memcpy(shard->id, front, MAP_ID_BYTES);
        shard->primary = bytes_load_u16(front + MAP_ID_BYTES);
        shard->epoch = bytes_load_u64(front + MAP_ID_BYTES + 2);
        shard->config_epoch = bytes_load_u64(front + MAP_ID_BYTES + 10);
        uint16_t quorum = bytes_load_u16(front + MAP_ID_BYTES + 18);
        shard->quorum = quorum & (LACKS_MEMBER - 1);
        shard->lacks_member = (quorum & LACKS_MEMBER) != 0;
        memcpy(shard->granted, front + MAP_ID_BYTES + 20, MAP_ID_BYTES);
        if (shard->quorum == 0 || shard->epoch == 0 || shard->epoch > map->index ||
            shard->primary >= map->nodes_count || map->nodes[shard->primary].shard != i ||
            !map->nodes[shard->primary].is_in_sync) {
            return false;
        }
    }
    return true;
}

static bool read_removed(struct map *map, struct span *bytes) {
    if (!take_u16(bytes, &map->removed_count) || map->removed_count > MAP_REMOVED_MAX) {
        return false;
    }
    size_t length = map->removed_count * (size_t)MAP_ID_BYTES;
    const char *front = take(bytes, length);
    if (front != NULL) {
        memcpy(map->removed, front, length);
    }
    return front != NULL;
}

static bool is_node(const struct map *map, uint16_t node) {
    return node == MAP_NOBODY || node < map->nodes_count;
}

static bool slot_fits(const struct map *map, const struct map_slot *slot) {
    return (slot->owner == MAP_NOBODY || slot->owner < map->shards_count) &&
           is_node(map, slot->migrating_to) && is_node(map, slot->importing_from) &&
           is_node(map, slot->importer) &&
           (slot->migrating_to == MAP_NOBODY || slot->owner != MAP_NOBODY) &&
           (slot->importer == MAP_NOBODY) == (slot->importing_from == MAP_NOBODY) &&
           (slot->importer == MAP_NOBODY || map->nodes[slot->importer].shard != slot->owner);
}

static bool read_slots(struct map *map, struct span *bytes) {
    for (uint32_t slot = 0; slot < SLOTS;) {
        const char *front = take(bytes, RUN_BYTES);
        if (front == NULL) {
            return false;
        }
        uint32_t count = bytes_load_u16(front);
        struct map_slot run = {
            .owner = bytes_load_u16(front + 2),
            .migrating_to = bytes_load_u16(front + 4),
            .importing_from = bytes_load_u16(front + 6),
            .importer = bytes_load_u16(front + 8),
        };
        if (count == 0 || count > SLOTS - slot || !slot_fits(map, &run)) {
            return false;
        }
        if (run.owner != MAP_NOBODY) {
            map->shards[run.owner].slots += count;
            map->slots_owned += count;
        }
        while (count-- > 0) {
            map->slots[slot++] = run;
        }
    }
    return bytes->length == 0;
}

struct map *map_read(struct span bytes) {
    const char *head = take(&bytes, HEAD_BYTES);
    if (head == NULL || bytes_load_u32(head) != MAP_FORMAT) {
        return NULL;
    }
    struct map *map = map_new((const unsigned char *)head + 4);
    map->index = bytes_load_u64(head + 24);
    map->current_epoch = bytes_load_u64(head + 32);
    uint16_t nodes = bytes_load_u16(head + 40);
    map->shards_count = bytes_load_u16(head + 42);
    bool is_read = nodes <= MAP_NODES_MAX && map->shards_count <= nodes;
    if (is_read && nodes > 0) {
        map->nodes_count = nodes;
        map->nodes = memory_alloc_zeroed(nodes * sizeof(map->nodes[0]));
        map->shards = memory_alloc_zeroed(nodes * sizeof(map->shards[0]));
    }
    if (!is_read || !read_nodes(map, &bytes) || !read_shards(map, &bytes) ||
        !read_removed(map, &bytes) || !read_slots(map, &bytes)) {
        map_return(map);
        return NULL;
    }
    map_check(map);
    return map;
}

/* ---- invariants ---- */

void map_check(const struct map *map) {
    uint16_t used = 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct map_shard *shard = &map->shards[i];
        used = (uint16_t)(used + (shard->epoch != 0));
        ASSERT((shard->epoch != 0) == (i < map->shards_count));
        ASSERT(shard->epoch == 0 || shard->primary < map->nodes_count);
        ASSERT(shard->epoch == 0 || map->nodes[shard->primary].shard == i);
        ASSERT(shard->epoch == 0 || map->nodes[shard->primary].is_in_sync);
        ASSERT(map->nodes[i].shard < map->nodes_count);
        ASSERT(map->shards[map->nodes[i].shard].epoch != 0);
        ASSERT(map_find(map, map->nodes[i].id) == i);
    }
    ASSERT(used == map->shards_count);
    uint32_t owned = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct map_slot *place = &map->slots[slot];
        ASSERT(place->owner == MAP_NOBODY || map->shards[place->owner].epoch != 0);
        ASSERT(place->migrating_to == MAP_NOBODY || place->owner != MAP_NOBODY);
        ASSERT(place->importer == MAP_NOBODY || map->nodes[place->importer].shard != place->owner);
        owned += place->owner != MAP_NOBODY;
    }
    ASSERT(owned == map->slots_owned);
}
