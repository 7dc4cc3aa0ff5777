#include "commands/bitmap.h"
#include "commands/dump.h"
#include "commands/expire.h"
#include "commands/generic.h"
#include "commands/hash.h"
#include "commands/keyspace_commands.h"
#include "commands/string.h"
#include "server/server_commands.h"
#include "worker/client_commands.h"
#include "worker/connection_commands.h"
#include "worker/monitor.h"
#include "worker/pubsub.h"
#include "worker/session.h"
#include "worker/slow_log.h"
#include "worker/wait_commands.h"

const struct command *const server_command_families[] = {
    string_commands,      string_part_commands, string_number_commands, string_lcs_commands,
    bitmap_commands,      bitfield_commands,    hash_commands,          hash_walk_commands,
    hash_random_commands, generic_commands,     object_commands,        expire_commands,
    dump_commands,        keyspace_commands,    connection_commands,    transaction_commands,
    client_commands,      pubsub_commands,      monitor_commands,       slow_log_commands,
    config_commands,      info_commands,        command_commands,       memory_commands,
    latency_commands,     admin_commands,       saving_commands,        debug_commands,
    replica_commands,     replconf_commands,    psync_commands,         wait_commands,
    cluster_commands,     function_commands,    failover_commands,      migrate_commands,
};

const size_t server_command_families_count =
    sizeof(server_command_families) / sizeof(server_command_families[0]);
