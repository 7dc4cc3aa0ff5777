#include "worker/look_ahead.h"

#include "worker/worker.h"

void look_ahead_know(const struct worker *worker, const struct connection *connection,
                     struct request *request) {
    const struct span *args = connection->requests->spans + request->args_at;
    const struct command_slot *found = command_table_resolve(
        worker->node->commands, args, request->args_count, &request->container);
    request->is_known = true;
    request->command = found;
    if (found == NULL || found->command->run == NULL) {
        return;
    }
    const struct key_spec *spec = &found->command->keys[0];
    if (spec->flags == 0 || spec->keyword != NULL || spec->begin <= 0 || spec->step == 0 ||
        (uint32_t)spec->begin >= request->args_count) {
        return;
    }
    request->first_key = (uint32_t)spec->begin;
    struct span key = args[spec->begin];
    request->first_slot = slot_of_key(key);
    request->first_hash = store_hash(worker->store, key);
}

/* A request whose first key's entry is to be fetched, and where that would stand. */
struct prospect {
    const struct table *table;
    const struct table_bucket *bucket;
    uint64_t hash;
};

/* Looks at the connection's requests up to the first that must run elsewhere. Answers how many
 * prospects were added. */
static uint32_t look_at_requests(const struct worker *worker, const struct connection *connection,
                                 struct prospect *prospects) {
    struct request_list *list = connection->requests;
    uint32_t count = 0;
    for (uint32_t i = list->next; i < list->count; i++) {
        struct request *request = &list->items[i];
        if (!request->is_known) {
            look_ahead_know(worker, connection, request);
        }
        if (request->first_key == 0) {
            continue;
        }
        if (!store_owns(worker->store, request->first_slot)) {
            break;
        }
        const struct table *table =
            store_table(worker->store, connection->database, request->first_slot);
        if (worker->node->log != NULL) {
            __builtin_prefetch(&worker->node->slot_changed[request->first_slot]);
        }
        if (table != NULL) {
            __builtin_prefetch(table);
            prospects[count++] = (struct prospect){.table = table, .hash = request->first_hash};
        }
    }
    return count;
}

void look_ahead(const struct worker *worker, struct connection *const *group, uint32_t count) {
    struct prospect prospects[GROUP_REQUESTS_MAX + REQUESTS_MAX];
    uint32_t prospects_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        prospects_count += look_at_requests(worker, group[i], prospects + prospects_count);
    }
    for (uint32_t i = 0; i < prospects_count; i++) {
        prospects[i].bucket = table_home(prospects[i].table, prospects[i].hash);
        __builtin_prefetch(prospects[i].bucket);
    }
    for (uint32_t i = 0; i < prospects_count; i++) {
        if (prospects[i].bucket != NULL) {
            const char *entry = table_guess(prospects[i].bucket, prospects[i].hash);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + LOOK_AHEAD_LINE_BYTES);
        }
    }
}
