/* CLUSTER, READONLY, READWRITE, ASKING. What changes the map waits for it: cluster.h. */
#include "base/numbers.h"
#include "server/cluster_answers.h"
#include "server/cluster_plans.h"
#include "server/cluster_slot_stats.h"
#include "server/server_commands.h"

#include <inttypes.h>

#define IS_DISABLED "ERR This instance has cluster support disabled"

/* NULL: the reply says why. */
static struct cluster_seat *seat_of(struct session *session) {
    struct cluster_seat *seat = session_server(session)->seat;
    if (seat == NULL) {
        reply_error(session->reply, IS_DISABLED);
    }
    return seat;
}

/* ---- what changes something ---- */

static const struct {
    const char *name;
    cluster_planner planner;
    uint32_t args_max; /* 0: the row's arity says enough */
} planners[] = {
    {"addslots", plan_add_slots, 0},
    {"addslotsrange", plan_add_ranges, 0},
    {"bumpepoch", plan_bump_epoch, 0},
    {"delslots", plan_delete_slots, 0},
    {"delslotsrange", plan_delete_ranges, 0},
    {"failover", plan_failover, 3},
    {"flushslots", plan_flush_slots, 0},
    {"forget", plan_forget, 0},
    {"meet", plan_meet, 5},
    {"override", plan_override, 0},
    {"replicate", plan_replicate, 0},
    {"reset", plan_reset, 3},
    {"set-config-epoch", plan_set_epoch, 0},
    {"setslot", plan_set_slot, 0},
};

/* Of a row; its session function is change_command(). */
static size_t planner_index(const struct command *command) {
    size_t i = 0;
    while (strcmp(planners[i].name, command->name) != 0) {
        i++;
        ASSERT(i < sizeof(planners) / sizeof(planners[0]));
    }
    return i;
}

static void change_command(struct session *session) {
    size_t i = planner_index(session->command->command);
    if (seat_of(session) == NULL) {
        return;
    }
    if (planners[i].args_max != 0 && session->args_count > planners[i].args_max) {
        session_reply_usage_error(session);
        return;
    }
    cluster_run(session, planners[i].planner);
}

cluster_planner cluster_planner_of(const struct command *command, uint32_t args_count) {
    if (command->session != change_command) {
        return NULL;
    }
    size_t i = planner_index(command);
    return planners[i].args_max != 0 && args_count > planners[i].args_max ? NULL
                                                                          : planners[i].planner;
}

/* ---- the map ---- */

static void nodes_command(struct session *session) {
    if (seat_of(session) != NULL) {
        cluster_answers_reply(session, CLUSTER_ANSWER_NODES);
    }
}

static void slots_command(struct session *session) {
    if (seat_of(session) != NULL) {
        cluster_answers_reply(session, CLUSTER_ANSWER_SLOTS);
    }
}

static void shards_command(struct session *session) {
    if (seat_of(session) != NULL) {
        cluster_answers_reply(session, CLUSTER_ANSWER_SHARDS);
    }
}

struct text_answer {
    struct cluster_seat *seat;
    struct buffer text;
};

static void append_info(const struct map_view *view, void *context) {
    struct text_answer *answer = context;
    map_view_info(view, answer->seat->face.state.is_ok, &answer->text);
}

static void info_command(struct session *session) {
    struct cluster_seat *seat = seat_of(session);
    if (seat == NULL) {
        return;
    }
    struct text_answer answer = {.seat = seat, .text = BUFFER_EMPTY};
    cluster_answers_look(seat, append_info, &answer);
    buffer_format(&answer.text,
                  "cluster_stats_messages_sent:%" PRIu64
                  "\r\ncluster_stats_messages_received:%" PRIu64
                  "\r\ntotal_cluster_links_buffer_limit_exceeded:%" PRIu64 "\r\n",
                  atomic_load(&seat->traffic.sent), atomic_load(&seat->traffic.received),
                  atomic_load(&seat->traffic.links_over_limit));
    reply_verbatim(session->reply, "txt", buffer_span(&answer.text));
    buffer_free(&answer.text);
}

static void reply_id(struct session *session, const unsigned char id[MAP_ID_BYTES]) {
    char text[MAP_ID_TEXT_BYTES];
    reply_bulk_string(session->reply, map_id_format(text, id));
}

static void myid_command(struct session *session) {
    const struct cluster_seat *seat = seat_of(session);
    if (seat != NULL) {
        reply_id(session, seat->id);
    }
}

static void myshardid_command(struct session *session) {
    const struct cluster_seat *seat = seat_of(session);
    if (seat != NULL) {
        const struct map *map = seat->face.map;
        reply_id(session, map->shards[map->nodes[seat->face.myself].shard].id);
    }
}

/* MAP_NOBODY: the reply says so. */
static uint16_t named_node(struct session *session, const struct cluster_seat *seat) {
    struct span id = session->args[2];
    uint16_t node = map_find_text(seat->face.map, id);
    if (node == MAP_NOBODY) {
        reply_error_format(session->reply, "ERR Unknown node %.*s", (int)id.length, id.bytes);
    }
    return node;
}

struct node_question {
    struct session *session;
    uint16_t node;
};

static void reply_replicas(const struct map_view *view, void *context) {
    const struct node_question *question = context;
    map_view_replicas(view, question->node, question->session->reply);
}

static void replicas_command(struct session *session) {
    struct cluster_seat *seat = seat_of(session);
    struct node_question question = {.session = session};
    if (seat == NULL || (question.node = named_node(session, seat)) == MAP_NOBODY) {
        return;
    }
    if (!map_is_primary(seat->face.map, question.node)) {
        reply_error(session->reply, "ERR The specified node is not a master");
        return;
    }
    cluster_answers_look(seat, reply_replicas, &question);
}

static void reply_reports(const struct map_view *view, void *context) {
    const struct node_question *question = context;
    bool is_missed =
        view->map->nodes[question->node].has_failed || view->peers[question->node].is_suspected;
    reply_integer(question->session->reply, is_missed ? 1 : 0);
}

static void failure_reports_command(struct session *session) {
    struct cluster_seat *seat = seat_of(session);
    struct node_question question = {.session = session};
    if (seat != NULL && (question.node = named_node(session, seat)) != MAP_NOBODY) {
        cluster_answers_look(seat, reply_reports, &question);
    }
}

static void links_command(struct session *session) {
    const struct cluster_seat *seat = seat_of(session);
    if (seat == NULL) {
        return;
    }
    struct reply_mark mark = reply_mark_here(session->reply);
    const struct cluster_part *part = &seat->part;
    size_t count = part->links == NULL ? 0 : part->links(part->context, session->reply);
    reply_array_at(session->reply, mark, count);
}

/* What was acknowledged is on disk. */
static void saveconfig_command(struct session *session) {
    if (seat_of(session) != NULL) {
        reply_ok(session->reply);
    }
}

/* ---- keys ---- */

static void keyslot_command(struct session *session) {
    if (seat_of(session) != NULL) {
        reply_integer(session->reply, slot_of_key(session->args[2]));
    }
}

static void countkeysinslot_command(struct session *session) {
    int64_t slot;
    if (seat_of(session) == NULL || !session_integer(session, 2, &slot, NULL)) {
        return;
    }
    if (slot < 0 || slot >= SLOTS) {
        reply_error(session->reply, "ERR Invalid slot");
        return;
    }
    reply_integer(session->reply,
                  (int64_t)cluster_slot_keys(session_server(session), (uint16_t)slot));
}

struct key_listing {
    struct reply *reply;
    size_t count;
    size_t wanted;
};

static void list_key(void *element, void *context) {
    struct key_listing *listing = context;
    if (listing->count < listing->wanted) {
        reply_bulk(listing->reply, entry_key(element));
        listing->count++;
    }
}

static void getkeysinslot_command(struct session *session) {
    int64_t slot;
    int64_t count;
    if (seat_of(session) == NULL || !session_integer(session, 2, &slot, NULL) ||
        !session_integer(session, 3, &count, NULL)) {
        return;
    }
    if (slot < 0 || slot >= SLOTS || count < 0) {
        reply_error(session->reply, "ERR Invalid slot or number of keys");
        return;
    }
    struct store *store = keyspace_store(session_node(session)->keyspace, (uint16_t)slot);
    const struct table *table = store_table(store, 0, (uint16_t)slot);
    struct key_listing listing = {.reply = session->reply, .wanted = (size_t)count};
    struct reply_mark mark = reply_mark_here(session->reply);
    for (uint64_t position = 0; table != NULL && table->element_count > 0;) {
        position = table_scan(table, position, list_key, &listing);
        if (position == 0 || listing.count == listing.wanted) {
            break;
        }
    }
    reply_array_at(session->reply, mark, listing.count);
}

static void slot_stats_command(struct session *session) {
    const struct cluster_seat *seat = seat_of(session);
    if (seat != NULL) {
        cluster_slot_stats_reply(session, seat);
    }
}

/* ---- the connection ---- */

static void set_flag(struct session *session, unsigned flag, bool is_on) {
    struct connection *connection = session->connection;
    if (seat_of(session) == NULL) {
        return;
    }
    connection->flags = is_on ? connection->flags | flag : connection->flags & ~flag;
    reply_ok(session->reply);
}

static void readonly_command(struct session *session) {
    set_flag(session, CONNECTION_READONLY, true);
}

static void readwrite_command(struct session *session) {
    set_flag(session, CONNECTION_READONLY, false);
}

static void asking_command(struct session *session) {
    set_flag(session, CONNECTION_ASKING, true);
}

/* ---- HELP ---- */

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ADDSLOTS <slot> [<slot> ...]",
        "    Assign slots to current node.",
        "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Assign slots which are between <start-slot> and <end-slot> to current node.",
        "BUMPEPOCH",
        "    Advance the cluster config epoch.",
        "COUNT-FAILURE-REPORTS <node-id>",
        "    Return number of failure reports for <node-id>.",
        "COUNTKEYSINSLOT <slot>",
        "    Return the number of keys in <slot>.",
        "DELSLOTS <slot> [<slot> ...]",
        "    Delete slots information from current node.",
        "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "    Delete slots information which are between <start-slot> and <end-slot> from current "
        "node.",
        "FAILOVER [FORCE|TAKEOVER]",
        "    Promote current replica node to being a master.",
        "FORGET <node-id>",
        "    Remove a node from the cluster.",
        "GETKEYSINSLOT <slot> <count>",
        "    Return key names stored by current node in a slot.",
        "FLUSHSLOTS",
        "    Delete current node own slots information.",
        "INFO",
        "    Return information about the cluster.",
        "KEYSLOT <key>",
        "    Return the hash slot for <key>.",
        "MEET <ip> <port> [<bus-port>]",
        "    Connect nodes into a working cluster.",
        "MYID",
        "    Return the node id.",
        "MYSHARDID",
        "    Return the node's shard id.",
        "NODES",
        "    Return cluster configuration seen by node. Output format:",
        "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> "
        "<slot> ...",
        "REPLICATE <node-id>",
        "    Configure current node as replica to <node-id>.",
        "RESET [HARD|SOFT]",
        "    Reset current node (default: soft).",
        "SET-CONFIG-EPOCH <epoch>",
        "    Set config epoch of current node.",
        "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
        "    Set slot state.",
        "REPLICAS <node-id>",
        "    Return <node-id> replicas.",
        "SAVECONFIG",
        "    Force saving cluster configuration on disk.",
        "SLOT-STATS <SLOTSRANGE start end | ORDERBY key-count [LIMIT limit] [ASC|DESC]>",
        "    Return how many keys slots of this node have.",
        "SLOTS",
        "    Return information about slots range mappings. Each range is made of:",
        "    start, end, master and replicas IP addresses, ports and ids",
        "SHARDS",
        "    Return information about slot range mappings and the nodes associated with them.",
        "LINKS",
        "    Return information about all network links between this node and its peers.",
        "    Output format is an array where each array element is a map containing attributes of "
        "a link",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    if (seat_of(session) != NULL) {
        session_reply_help(session, lines);
    }
}

/* ---- rows ---- */

#define CHANGE_FLAGS (COMMAND_ADMIN | COMMAND_STALE | COMMAND_NO_ASYNC_LOADING | COMMAND_WAITS)
#define CHANGE(row_name, row_arity, row_syntax, row_since, row_summary)                            \
    .name = (row_name), .arity = (row_arity), .rules = RULE_CHANGES_MAP | RULE_WHILE_INCOMPLETE,   \
    .group = "cluster", .syntax = (row_syntax), .since = (row_since), .summary = (row_summary)
#define QUESTION(row_name, row_arity, function, row_syntax, row_since, row_summary)                \
    .name = (row_name), .arity = (row_arity), .session = (function), .group = "cluster",           \
    .syntax = (row_syntax), .since = (row_since), .summary = (row_summary)
#define MAP_QUESTION(row_name, row_arity, function, row_syntax, row_since, row_summary)            \
    QUESTION(row_name, row_arity, function, row_syntax, row_since, row_summary),                   \
        .rules = RULE_WHILE_INCOMPLETE
#define BY_SLOTS "O(N) with N the slots"
#define BY_NODES "O(N) with N the nodes"

static const char *const changing_tips[] = {"nondeterministic_output", NULL};

static const struct command cluster_subcommands[] = {
    {CHANGE("addslots", -3, "slot [slot ...]", "3.0.0", "Gives free slots to this node."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = BY_SLOTS},
    {CHANGE("addslotsrange", -4, "start-slot end-slot [start-slot end-slot ...]", "7.0.0",
            "Gives free ranges of slots to this node."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = BY_SLOTS},
    {CHANGE("bumpepoch", 2, "", "3.0.0", "Raises the node's epoch above all others."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = "O(1)", .tips = changing_tips},
    {MAP_QUESTION("count-failure-reports", 3, failure_reports_command, "node-id", "3.0.0",
                  "Answers whether a node is missed."),
     .flags = COMMAND_ADMIN | COMMAND_STALE, .complexity = "O(1)", .tips = changing_tips},
    {QUESTION("countkeysinslot", 3, countkeysinslot_command, "slot", "3.0.0",
              "Counts the keys that this node has in a slot."),
     .flags = COMMAND_STALE | COMMAND_ALL_WORKERS, .complexity = "O(1)"},
    {CHANGE("delslots", -3, "slot [slot ...]", "3.0.0", "Takes slots from this node."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = BY_SLOTS},
    {CHANGE("delslotsrange", -4, "start-slot end-slot [start-slot end-slot ...]", "7.0.0",
            "Takes ranges of slots from this node."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = BY_SLOTS},
    {CHANGE("failover", -2, "[FORCE|TAKEOVER]", "3.0.0",
            "Makes this replica the primary of its shard."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = "O(1)"},
    {CHANGE("flushslots", 2, "", "3.0.0", "Takes all slots from this node."), .flags = CHANGE_FLAGS,
     .session = change_command, .complexity = BY_SLOTS},
    {CHANGE("forget", 3, "node-id", "3.0.0", "Removes a node from the cluster."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = BY_SLOTS},
    {QUESTION("getkeysinslot", 4, getkeysinslot_command, "slot count", "3.0.0",
              "Lists some of the keys that this node has in a slot."),
     .flags = COMMAND_STALE | COMMAND_ALL_WORKERS, .complexity = "O(N) with N the keys asked for",
     .tips = changing_tips},
    {COMMAND_HELP, .session = help_command, .group = "cluster", .since = "5.0.0"},
    {MAP_QUESTION("info", 2, info_command, "", "3.0.0", "Tells the state of the cluster."),
     .flags = COMMAND_STALE, .complexity = BY_NODES, .tips = changing_tips},
    {MAP_QUESTION("keyslot", 3, keyslot_command, "key(string)", "3.0.0",
                  "Answers the slot of a key."),
     .flags = COMMAND_STALE, .complexity = "O(N) with N the bytes of the key"},
    {MAP_QUESTION("links", 2, links_command, "", "7.0.0", "Lists the links to other nodes."),
     .flags = COMMAND_STALE, .complexity = BY_NODES, .tips = changing_tips},
    {CHANGE("meet", -4, "ip port [cluster_bus_port]@4.0.0", "3.0.0",
            "Joins this node's cluster and another's."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = "O(1)"},
    {MAP_QUESTION("myid", 2, myid_command, "", "3.0.0", "Answers the node's name."),
     .flags = COMMAND_STALE, .complexity = "O(1)"},
    {MAP_QUESTION("myshardid", 2, myshardid_command, "", "7.2.0", "Answers the name of its shard."),
     .flags = COMMAND_STALE, .complexity = "O(1)", .tips = changing_tips},
    {MAP_QUESTION("nodes", 2, nodes_command, "", "3.0.0", "Tells the map, a line for each node."),
     .flags = COMMAND_STALE, .complexity = BY_NODES, .tips = changing_tips},
    {MAP_QUESTION("replicas", 3, replicas_command, "node-id", "5.0.0",
                  "Lists a primary's replicas."),
     .flags = COMMAND_ADMIN | COMMAND_STALE, .complexity = BY_NODES, .tips = changing_tips},
    {CHANGE("override", 2, "", "7.2.4",
            "Founds the cluster anew with the nodes that are left, when most of those that decide "
            "are lost for good."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = BY_NODES},
    {CHANGE("replicate", 3, "node-id", "3.0.0", "Makes this node a replica of a primary."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = "O(1)"},
    {CHANGE("reset", -2, "[HARD|SOFT]", "3.0.0", "Takes this node out of its cluster."),
     .flags = COMMAND_ADMIN | COMMAND_STALE | COMMAND_NO_SCRIPT | COMMAND_WAITS,
     .session = change_command, .complexity = BY_NODES},
    {MAP_QUESTION("saveconfig", 2, saveconfig_command, "", "3.0.0",
                  "Answers OK: what was acknowledged is on disk."),
     .flags = COMMAND_ADMIN | COMMAND_STALE | COMMAND_NO_ASYNC_LOADING, .complexity = "O(1)"},
    {CHANGE("set-config-epoch", 3, "config-epoch", "3.0.0", "Sets a new node's epoch."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = "O(1)"},
    {CHANGE("setslot", -4, "slot <IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE>",
            "3.0.0", "Marks a slot as moving, or gives it to a node."),
     .flags = CHANGE_FLAGS, .session = change_command, .complexity = "O(1)"},
    {MAP_QUESTION("shards", 2, shards_command, "", "7.0.0", "Tells the map by shards."),
     .flags = COMMAND_STALE, .complexity = BY_NODES, .tips = changing_tips},
    {MAP_QUESTION("slaves", 3, replicas_command, "node-id", "3.0.0", "Lists a primary's replicas."),
     .flags = COMMAND_ADMIN | COMMAND_STALE, .complexity = BY_NODES, .tips = changing_tips,
     .deprecated_since = "5.0.0", .replaced_by = "`CLUSTER REPLICAS`"},
    {QUESTION("slot-stats", -4, slot_stats_command,
              "<SLOTSRANGE start-slot end-slot|ORDERBY metric [LIMIT limit] [ASC|DESC]>", "8.2.0",
              "Counts the keys of this node's slots."),
     .flags = COMMAND_STALE | COMMAND_LOADING | COMMAND_ALL_WORKERS,
     .complexity = "O(N log N) with N the slots", .tips = changing_tips},
    {MAP_QUESTION("slots", 2, slots_command, "", "3.0.0", "Tells the map by ranges of slots."),
     .flags = COMMAND_STALE, .complexity = BY_NODES, .tips = changing_tips,
     .deprecated_since = "7.0.0", .replaced_by = "`CLUSTER SHARDS`"},
    {0},
};

const struct command cluster_commands[] = {
    {
        .name = "asking",
        .arity = 1,
        .flags = COMMAND_FAST,
        .rules = RULE_ASKS,
        .categories = CATEGORY_CONNECTION,
        .session = asking_command,
        .group = "cluster",
        .since = "3.0.0",
        .complexity = "O(1)",
        .summary = "Says that the next command was sent here by ASK.",
        .syntax = "",
    },
    {
        .name = "cluster",
        .arity = -2,
        .subcommands = cluster_subcommands,
        .group = "cluster",
        .since = "3.0.0",
        .complexity = "That of the subcommand.",
        .summary = "Tells of the cluster, and changes it.",
        .syntax = "",
    },
    {
        .name = "readonly",
        .arity = 1,
        .flags = COMMAND_FAST | COMMAND_LOADING | COMMAND_STALE,
        .categories = CATEGORY_CONNECTION,
        .session = readonly_command,
        .group = "cluster",
        .since = "3.0.0",
        .complexity = "O(1)",
        .summary = "Lets this connection read from a replica.",
        .syntax = "",
    },
    {
        .name = "readwrite",
        .arity = 1,
        .flags = COMMAND_FAST | COMMAND_LOADING | COMMAND_STALE,
        .categories = CATEGORY_CONNECTION,
        .session = readwrite_command,
        .group = "cluster",
        .since = "3.0.0",
        .complexity = "O(1)",
        .summary = "Takes READONLY back.",
        .syntax = "",
    },
    {0},
};
