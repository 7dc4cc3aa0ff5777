/* Maps for tests: nodes named by a letter, whose ids are that letter twenty times. */
#ifndef TARN_TESTS_UNIT_CLUSTER_MAPS_H
#define TARN_TESTS_UNIT_CLUSTER_MAPS_H

#include "cluster/map_change.h"

#include "tests/unit/unit.h"

#include <stdio.h>

struct maps {
    struct map *map;
    uint64_t index;
    struct buffer report; /* of the last change, a C string */
};

static struct maps maps; /* of the test that runs */

static inline void maps_begin(void) {
    unsigned char group[MAP_ID_BYTES] = {'g'};
    maps = (struct maps){.map = map_new(group), .report = BUFFER_EMPTY};
}

static inline void maps_end(void) {
    map_return(maps.map);
    buffer_free(&maps.report);
}

/* Each test begins with an empty map. */
static inline Suite *maps_suite(char *name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_checked_fixture(tcase, maps_begin, maps_end);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

static inline struct map_change maps_change(enum map_change_kind kind, char node) {
    struct map_change change = {.kind = kind};
    memset(change.node, node, MAP_ID_BYTES);
    return change;
}

/* True: the changes are in the map. */
static inline bool maps_apply_all(const struct map_change *changes, size_t count) {
    struct buffer entry = BUFFER_EMPTY;
    for (size_t i = 0; i < count; i++) {
        map_change_write(&changes[i], &entry);
    }
    buffer_clear(&maps.report);
    struct map *next = map_change_apply(maps.map, ++maps.index, buffer_span(&entry), &maps.report);
    buffer_append_byte(&maps.report, '\0');
    buffer_free(&entry);
    if (next != NULL) {
        map_return(maps.map);
        maps.map = next;
    }
    return next != NULL;
}

static inline bool maps_apply(struct map_change change) {
    return maps_apply_all(&change, 1);
}

static inline void maps_expect_error(struct map_change change, const char *error) {
    ck_assert(!maps_apply(change));
    ck_assert_str_eq(maps.report.bytes, error);
}

static inline struct map_change maps_node_add(char node) {
    struct map_change change = maps_change(MAP_NODE_ADD, node);
    memset(change.peer, node + 'A' - 'a', MAP_ID_BYTES);
    snprintf(change.facts.ip, sizeof(change.facts.ip), "10.0.0.%d", node - 'a' + 1);
    change.facts.port = 6379;
    change.facts.bus_port = 16379;
    return change;
}

static inline struct map_change maps_slots(enum map_change_kind kind, char node, uint16_t first,
                                           uint16_t last) {
    struct map_change change = maps_change(kind, node);
    for (uint32_t slot = first; slot <= last; slot++) {
        slot_set_add(&change.slots, (uint16_t)slot);
    }
    return change;
}

static inline struct map_change maps_pair(enum map_change_kind kind, char node, char peer,
                                          uint16_t slot) {
    struct map_change change = maps_change(kind, node);
    memset(change.peer, peer, MAP_ID_BYTES);
    change.slot = slot;
    return change;
}

static inline uint16_t maps_find(char node) {
    unsigned char id[MAP_ID_BYTES];
    memset(id, node, MAP_ID_BYTES);
    return map_find(maps.map, id);
}

static inline uint64_t maps_epoch(char node) {
    return maps.map->shards[maps.map->nodes[maps_find(node)].shard].epoch;
}

/* a and b own half of the slots each, c replicates a, in sync. */
static inline void maps_fill(void) {
    struct map_change replicate = maps_pair(MAP_REPLICATE, 'c', 'a', 0);
    replicate.flag = true;
    struct map_change changes[] = {
        maps_node_add('a'),
        maps_node_add('b'),
        maps_node_add('c'),
        replicate,
        maps_slots(MAP_SLOTS_ADD, 'a', 0, SLOTS / 2 - 1),
        maps_slots(MAP_SLOTS_ADD, 'b', SLOTS / 2, SLOTS - 1),
    };
    ck_assert(maps_apply_all(changes, sizeof(changes) / sizeof(changes[0])));
}

#endif
