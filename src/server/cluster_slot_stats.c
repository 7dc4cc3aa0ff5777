#include "server/cluster_slot_stats.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "server/server.h"

#include <stdlib.h>

struct figure {
    uint16_t slot;
    uint64_t keys;
};

struct figures {
    uint32_t count;
    struct figure items[SLOTS];
};

static void collect(struct figures *figures, const struct cluster_seat *seat, uint16_t first,
                    uint16_t last) {
    const struct map *map = seat->face.map;
    uint16_t shard = map->nodes[seat->face.myself].shard;
    for (uint32_t slot = first; slot <= last; slot++) {
        if (map->slots[slot].owner == shard) {
            figures->items[figures->count++] = (struct figure){
                .slot = (uint16_t)slot,
                .keys = cluster_slot_keys(seat->server, (uint16_t)slot),
            };
        }
    }
}

static void reply_figures(struct session *session, const struct figures *figures, uint32_t limit) {
    uint32_t count = figures->count < limit ? figures->count : limit;
    reply_array(session->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        reply_array(session->reply, 2);
        reply_integer(session->reply, figures->items[i].slot);
        reply_map(session->reply, 1);
        reply_bulk_string(session->reply, "key-count");
        reply_integer(session->reply, (int64_t)figures->items[i].keys);
    }
}

/* ---- SLOTSRANGE ---- */

static bool parse_slot(struct session *session, uint32_t i, uint16_t *slot) {
    int64_t number;
    if (!number_parse(session->args[i], &number) || number < 0 || number >= SLOTS) {
        reply_error(session->reply, "ERR Invalid or out of range slot");
        return false;
    }
    *slot = (uint16_t)number;
    return true;
}

static void reply_range(struct session *session, const struct cluster_seat *seat,
                        struct figures *figures) {
    uint16_t first;
    uint16_t last;
    if (!parse_slot(session, 3, &first) || !parse_slot(session, 4, &last)) {
        return;
    }
    if (first > last) {
        reply_error_format(session->reply,
                           "ERR Start slot number %u is greater than end slot number %u", first,
                           last);
        return;
    }
    collect(figures, seat, first, last);
    reply_figures(session, figures, SLOTS);
}

/* ---- ORDERBY ---- */

static int by_keys(const struct figure *a, const struct figure *b) {
    return a->keys < b->keys ? -1 : a->keys > b->keys;
}

/* Slots with as many keys ascend either way. */
static int compare_ascending(const void *a, const void *b) {
    const struct figure *first = a;
    const struct figure *second = b;
    int order = by_keys(first, second);
    return order != 0 ? order : (int)first->slot - (int)second->slot;
}

static int compare_descending(const void *a, const void *b) {
    const struct figure *first = a;
    const struct figure *second = b;
    int order = by_keys(second, first);
    return order != 0 ? order : (int)first->slot - (int)second->slot;
}

struct order {
    int64_t limit;
    bool is_descending;
};

/* False: the reply says why not. */
static bool parse_order(struct session *session, struct order *order) {
    bool has_limit = false;
    bool has_direction = false;
    *order = (struct order){.limit = SLOTS, .is_descending = true};
    for (uint32_t i = 4; i < session->args_count; i++) {
        bool is_ascending = span_is(session->args[i], "asc");
        if (!has_limit && i + 1 < session->args_count && span_is(session->args[i], "limit")) {
            if (!number_parse(session->args[++i], &order->limit) || order->limit < 1 ||
                order->limit > SLOTS) {
                reply_error(session->reply, "ERR Limit has to lie in between 1 and 16384 (maximum "
                                            "number of slots).");
                return false;
            }
            has_limit = true;
        } else if (!has_direction && (is_ascending || span_is(session->args[i], "desc"))) {
            order->is_descending = !is_ascending;
            has_direction = true;
        } else {
            session_reply_syntax_error(session);
            return false;
        }
    }
    return true;
}

static void reply_ordered(struct session *session, const struct cluster_seat *seat,
                          struct figures *figures) {
    struct order order;
    if (!span_is(session->args[3], "key-count")) {
        reply_error(session->reply, "ERR Unrecognized sort metric for ORDERBY.");
        return;
    }
    if (!parse_order(session, &order)) {
        return;
    }
    collect(figures, seat, 0, SLOTS - 1);
    qsort(figures->items, figures->count, sizeof(figures->items[0]),
          order.is_descending ? compare_descending : compare_ascending);
    reply_figures(session, figures, (uint32_t)order.limit);
}

void cluster_slot_stats_reply(struct session *session, const struct cluster_seat *seat) {
    struct figures *figures = memory_alloc(sizeof(*figures));
    figures->count = 0;
    if (session->args_count == 5 && span_is(session->args[2], "slotsrange")) {
        reply_range(session, seat, figures);
    } else if (span_is(session->args[2], "orderby")) {
        reply_ordered(session, seat, figures);
    } else {
        session_reply_syntax_error(session);
    }
    memory_free(figures);
}
