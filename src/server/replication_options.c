/* The options of replication: a part of struct server_options, as options.c. */
#include "server/options.h"

#include <stddef.h>

/* "no one" is how Redis spells the default. */
static bool settle_replicaof(const struct option *row, void *place, struct buffer *error) {
    struct option_list *words = place;
    if (words->count == 2 && span_is(span_of_string(words->items[0]), "no") &&
        span_is(span_of_string(words->items[1]), "one")) {
        option_clear(row, place);
    } else if (words->count != 0 && words->count != 2) {
        buffer_append_string(error, "wrong number of arguments");
        return false;
    }
    return true;
}

static const struct option rows[] = {
    {.name = NULL, .help = "Replication: as a replica"},
    {
        .name = "replicaof",
        .alias = "slaveof",
        .type = OPTION_LIST,
        .flags = OPTION_IMMUTABLE | OPTION_MULTI,
        .offset = offsetof(struct server_options, replicaof),
        .settle = settle_replicaof,
        .default_text = "",
        .help = "Host and port of the server to copy; REPLICAOF changes it. Empty, or no one, for "
                "a primary.",
    },
    {
        .name = "masterauth",
        .type = OPTION_STRING,
        .flags = OPTION_SENSITIVE,
        .offset = offsetof(struct server_options, masterauth),
        .default_text = "",
        .help = "Password for the server to copy.",
    },
    {
        .name = "masteruser",
        .type = OPTION_STRING,
        .offset = offsetof(struct server_options, masteruser),
        .default_text = "",
        .help = "User that the password is of; empty for the default user.",
    },
    {
        .name = "bind-source-addr",
        .type = OPTION_STRING,
        .offset = offsetof(struct server_options, bind_source_addr),
        .default_text = "",
        .help = "Address that connections to other servers come from; empty leaves it to the "
                "system.",
    },
    {
        .name = "replica-priority",
        .alias = "slave-priority",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, replica_priority),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "100",
        .help = "Order in which Sentinel promotes replicas, the least first; 0 is never.",
    },
    {
        .name = "replica-announced",
        .type = OPTION_BOOL,
        .offset = offsetof(struct server_options, replica_announced),
        .default_text = "yes",
        .help = "Sentinel tells clients of this replica.",
    },
    {
        .name = "replica-announce-ip",
        .alias = "slave-announce-ip",
        .type = OPTION_STRING,
        .offset = offsetof(struct server_options, replica_announce_ip),
        .default_text = "",
        .help = "Address that a replica gives of itself; empty for the one that it connects from.",
    },
    {
        .name = "replica-announce-port",
        .alias = "slave-announce-port",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, replica_announce_port),
        .min = 0,
        .max = 65535,
        .default_text = "0",
        .help = "Port that a replica gives of itself; 0 for the one that it listens on.",
    },
    {
        .name = "divergence-size-max",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct server_options, divergence_size_max),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "1gb",
        .help = "What a replica cuts off its log, since its primary has never had it, is kept in "
                "files in the folder divergence; beyond this size the oldest go. 0 is no maximum.",
    },
};

const struct option_table replication_option_table = {
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
