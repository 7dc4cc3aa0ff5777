#include "server/cluster_link_rows.h"

#include "base/memory.h"
#include "cluster/map.h"

void link_rows_init(struct link_rows *rows) {
    *rows = (struct link_rows){.count = 0};
    pthread_mutex_init(&rows->mutex, NULL);
}

void link_rows_free(struct link_rows *rows) {
    pthread_mutex_destroy(&rows->mutex);
    memory_free(rows->rows);
}

void link_rows_set(struct link_rows *rows, struct link_row *array, size_t count) {
    pthread_mutex_lock(&rows->mutex);
    struct link_row *before = rows->rows;
    rows->rows = array;
    rows->count = count;
    pthread_mutex_unlock(&rows->mutex);
    memory_free(before);
}

static void row_reply(const struct link_row *row, struct reply *reply) {
    char id[MAP_ID_TEXT_BYTES];
    reply_map(reply, 6);
    reply_bulk_string(reply, "direction");
    reply_bulk_string(reply, row->is_connector ? "to" : "from");
    reply_bulk_string(reply, "node");
    reply_bulk_string(reply, map_id_format(id, row->peer.bytes));
    reply_bulk_string(reply, "create-time");
    reply_integer(reply, row->began_wall_ms);
    reply_bulk_string(reply, "events");
    reply_bulk_string(reply, row->is_full ? "rw" : "r");
    reply_bulk_string(reply, "send-buffer-allocated");
    reply_integer(reply, (int64_t)row->allocated_bytes);
    reply_bulk_string(reply, "send-buffer-used");
    reply_integer(reply, (int64_t)row->used_bytes);
}

size_t link_rows_reply(struct link_rows *rows, struct reply *reply) {
    pthread_mutex_lock(&rows->mutex);
    size_t count = rows->count;
    for (size_t i = 0; i < count; i++) {
        row_reply(&rows->rows[i], reply);
    }
    pthread_mutex_unlock(&rows->mutex);
    return count;
}
