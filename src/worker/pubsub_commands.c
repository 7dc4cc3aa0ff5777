#include "worker/pubsub.h"

#include "base/glob.h"

/* ---- subscribing ---- */

static const char *const subscribe_words[PUBSUB_KINDS] = {"subscribe", "psubscribe", "ssubscribe"};
static const char *const unsubscribe_words[PUBSUB_KINDS] = {"unsubscribe", "punsubscribe",
                                                            "sunsubscribe"};

/* The count in the answers: shard channels are counted apart. */
static int64_t count_told(const struct connection *connection, enum pubsub_kind kind) {
    return kind == PUBSUB_SHARD_CHANNEL ? pubsub_count(connection, PUBSUB_SHARD_CHANNEL)
                                        : (int64_t)pubsub_count(connection, PUBSUB_CHANNEL) +
                                              pubsub_count(connection, PUBSUB_PATTERN);
}

/* The answers are pushes: CLIENT REPLY does not silence them. */
static struct reply *answer_place(struct session *session) {
    const unsigned silenced = CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP;
    return (session->connection->flags & silenced) == 0
               ? session->reply
               : connection_push_reply(session->connection);
}

/* name without bytes: null. */
static void answer(struct session *session, const char *word, enum pubsub_kind kind,
                   struct span name) {
    struct reply *reply = answer_place(session);
    reply_push(reply, 3);
    reply_bulk_string(reply, word);
    if (name.bytes == NULL) {
        reply_null(reply);
    } else {
        reply_bulk(reply, name);
    }
    reply_integer(reply, count_told(session->connection, kind));
    if (reply != session->reply) {
        connection_pushed(session->connection);
    }
}

static void subscribe(struct session *session, enum pubsub_kind kind) {
    for (uint32_t i = 1; i < session->args_count; i++) {
        if (pubsub_subscribe(session->connection, kind, session->args[i]) == PUBSUB_NO_MEMORY) {
            reply_error(session->reply, "OOM no memory for a name of that length");
            return;
        }
        answer(session, subscribe_words[kind], kind, session->args[i]);
    }
}

static void unsubscribe(struct session *session, enum pubsub_kind kind) {
    for (uint32_t i = 1; i < session->args_count; i++) {
        pubsub_unsubscribe(session->connection, kind, session->args[i]);
        answer(session, unsubscribe_words[kind], kind, session->args[i]);
    }
    if (session->args_count > 1) {
        return;
    }
    struct span name = span_of(NULL, 0);
    if (!pubsub_first(session->connection, kind, &name)) {
        answer(session, unsubscribe_words[kind], kind, name);
        return;
    }
    struct buffer copy = BUFFER_EMPTY; /* The topic may go with its last subscriber. */
    do {
        buffer_clear(&copy);
        buffer_append_span(&copy, name);
        pubsub_unsubscribe(session->connection, kind, name);
        buffer_reserve(&copy, 1);
        answer(session, unsubscribe_words[kind], kind, buffer_span(&copy));
    } while (pubsub_first(session->connection, kind, &name));
    buffer_free(&copy);
}

static void subscribe_command(struct session *session) {
    subscribe(session, PUBSUB_CHANNEL);
}

static void psubscribe_command(struct session *session) {
    subscribe(session, PUBSUB_PATTERN);
}

static void ssubscribe_command(struct session *session) {
    if ((session->connection->flags & CONNECTION_IN_EXEC) != 0) {
        reply_error(session->reply, "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
        return;
    }
    subscribe(session, PUBSUB_SHARD_CHANNEL);
}

static void unsubscribe_command(struct session *session) {
    unsubscribe(session, PUBSUB_CHANNEL);
}

static void punsubscribe_command(struct session *session) {
    unsubscribe(session, PUBSUB_PATTERN);
}

static void sunsubscribe_command(struct session *session) {
    unsubscribe(session, PUBSUB_SHARD_CHANNEL);
}

/* ---- publishing: one part per worker that has subscribers ---- */

static void publish(struct session *session, enum pubsub_kind kind) {
    struct gather *gather = session->gather;
    gather->count += pubsub_deliver(session->worker, kind, session->args[1], session->args[2]);
    if (gather_is_last(gather)) {
        const struct node *node = session_node(session);
        if (node->publish != NULL) {
            node->publish(session->worker, kind == PUBSUB_SHARD_CHANNEL, session->args[1],
                          session->args[2]);
        }
        reply_integer(session->reply, (int64_t)gather->count);
    }
}

static void publish_command(struct session *session) {
    publish(session, PUBSUB_CHANNEL);
}

static void spublish_command(struct session *session) {
    publish(session, PUBSUB_SHARD_CHANNEL);
}

/* ---- PUBSUB: all workers stand still ---- */

struct listing {
    struct reply *reply;
    struct span pattern;
    bool has_pattern;
    size_t count;
};

static void list_one(void *context, struct span name) {
    struct listing *listing = context;
    if (!listing->has_pattern || glob_match(listing->pattern, name)) {
        reply_bulk(listing->reply, name);
        listing->count++;
    }
}

static void list_topics(struct session *session, enum pubsub_kind kind) {
    struct listing listing = {.reply = session->reply, .has_pattern = session->args_count == 3};
    if (session->args_count > 3) {
        session_reply_usage_error(session);
        return;
    }
    if (listing.has_pattern) {
        listing.pattern = session->args[2];
    }
    struct reply_mark mark = reply_mark_here(session->reply);
    pubsub_each_topic(session_node(session), kind, list_one, &listing);
    reply_array_at(session->reply, mark, listing.count);
}

static void count_subscribers(struct session *session, enum pubsub_kind kind) {
    reply_array(session->reply, (size_t)(session->args_count - 2) * 2);
    for (uint32_t i = 2; i < session->args_count; i++) {
        reply_bulk(session->reply, session->args[i]);
        reply_integer(session->reply, (int64_t)pubsub_topic_subscribers(session_node(session), kind,
                                                                        session->args[i]));
    }
}

static void channels_command(struct session *session) {
    list_topics(session, PUBSUB_CHANNEL);
}

static void shardchannels_command(struct session *session) {
    list_topics(session, PUBSUB_SHARD_CHANNEL);
}

static void numsub_command(struct session *session) {
    count_subscribers(session, PUBSUB_CHANNEL);
}

static void shardnumsub_command(struct session *session) {
    count_subscribers(session, PUBSUB_SHARD_CHANNEL);
}

static void numpat_command(struct session *session) {
    reply_integer(session->reply, (int64_t)pubsub_topics(session_node(session), PUBSUB_PATTERN));
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

/* ---- rows ---- */

#define LISTEN_FLAGS (COMMAND_PUBSUB | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE)
#define PUBLISH_FLAGS                                                                              \
    (COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_MAY_REPLICATE |     \
     COMMAND_GATHERS)
#define LOOK_FLAGS (COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE | COMMAND_ALL_WORKERS)
#define SHARD_CHANNELS                                                                             \
    {                                                                                              \
        { .flags = KEY_NOT_KEY, .begin = 1, .last = -1, .step = 1 }                                \
    }
#define SHARD_CHANNEL                                                                              \
    {                                                                                              \
        { .flags = KEY_NOT_KEY, .begin = 1, .last = 0, .step = 1 }                                 \
    }

static const struct command pubsub_subcommands[] = {
    {
        .name = "channels",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .session = channels_command,
        .group = "pubsub",
        .since = "2.8.0",
        .complexity = "O(N) where N is the number of active channels",
        .summary = "Lists the channels that somebody listens to.",
        .syntax = "[pattern]",
    },
    {
        COMMAND_HELP,
        .session = help_command,
        .group = "pubsub",
        .since = "6.2.0",
    },
    {
        .name = "numpat",
        .arity = 2,
        .flags = LOOK_FLAGS,
        .session = numpat_command,
        .group = "pubsub",
        .since = "2.8.0",
        .complexity = "O(1)",
        .summary = "Counts the patterns that somebody listens to.",
        .syntax = "",
    },
    {
        .name = "numsub",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .session = numsub_command,
        .group = "pubsub",
        .since = "2.8.0",
        .complexity = "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
        .summary = "Counts the subscribers of channels.",
        .syntax = "[channel [channel ...]]",
    },
    {
        .name = "shardchannels",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .session = shardchannels_command,
        .group = "pubsub",
        .since = "7.0.0",
        .complexity = "O(N) where N is the number of active shard channels",
        .summary = "Lists the shard channels that somebody listens to.",
        .syntax = "[pattern]",
    },
    {
        .name = "shardnumsub",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .session = shardnumsub_command,
        .group = "pubsub",
        .since = "7.0.0",
        .complexity = "O(N) where N is the number of requested shard channels",
        .summary = "Counts the subscribers of shard channels.",
        .syntax = "[shardchannel [shardchannel ...]]",
    },
    {0},
};

const struct command pubsub_commands[] = {
    {
        .name = "psubscribe",
        .arity = -2,
        .flags = LISTEN_FLAGS,
        .rules = RULE_WHILE_SUBSCRIBED,
        .session = psubscribe_command,
        .group = "pubsub",
        .since = "2.0.0",
        .complexity = "O(N) where N is the number of patterns to subscribe to",
        .summary = "Listens to all channels whose names match patterns.",
        .syntax = "pattern [pattern ...]",
    },
    {
        .name = "publish",
        .arity = 3,
        .flags = PUBLISH_FLAGS,
        .session = publish_command,
        .group = "pubsub",
        .since = "2.0.0",
        .complexity = "O(N+M) where N is the number of subscribers of the channel and M the "
                      "number of patterns",
        .summary = "Sends a message to those who listen to a channel.",
        .syntax = "channel message",
    },
    {
        .name = "pubsub",
        .arity = -2,
        .subcommands = pubsub_subcommands,
        .group = "pubsub",
        .since = "2.8.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for Pub/Sub commands.",
        .syntax = "",
    },
    {
        .name = "punsubscribe",
        .arity = -1,
        .flags = LISTEN_FLAGS,
        .rules = RULE_WHILE_SUBSCRIBED,
        .session = punsubscribe_command,
        .group = "pubsub",
        .since = "2.0.0",
        .complexity = "O(N) where N is the number of patterns to leave",
        .summary = "Stops to listen to patterns.",
        .syntax = "[pattern [pattern ...]]",
    },
    {
        .name = "spublish",
        .arity = 3,
        .flags = PUBLISH_FLAGS,
        .keys = SHARD_CHANNEL,
        .session = spublish_command,
        .group = "pubsub",
        .since = "7.0.0",
        .complexity = "O(N) where N is the number of subscribers of the shard channel",
        .summary = "Sends a message to those who listen to a shard channel.",
        .syntax = "shardchannel message",
    },
    {
        .name = "ssubscribe",
        .arity = -2,
        .flags = LISTEN_FLAGS,
        .rules = RULE_WHILE_SUBSCRIBED,
        .keys = SHARD_CHANNELS,
        .session = ssubscribe_command,
        .group = "pubsub",
        .since = "7.0.0",
        .complexity = "O(N) where N is the number of shard channels to subscribe to",
        .summary = "Listens to shard channels.",
        .syntax = "shardchannel [shardchannel ...]",
    },
    {
        .name = "subscribe",
        .arity = -2,
        .flags = LISTEN_FLAGS,
        .rules = RULE_WHILE_SUBSCRIBED,
        .session = subscribe_command,
        .group = "pubsub",
        .since = "2.0.0",
        .complexity = "O(N) where N is the number of channels to subscribe to",
        .summary = "Listens to channels.",
        .syntax = "channel [channel ...]",
    },
    {
        .name = "sunsubscribe",
        .arity = -1,
        .flags = LISTEN_FLAGS,
        .rules = RULE_WHILE_SUBSCRIBED,
        .keys = SHARD_CHANNELS,
        .session = sunsubscribe_command,
        .group = "pubsub",
        .since = "7.0.0",
        .complexity = "O(N) where N is the number of shard channels to leave",
        .summary = "Stops to listen to shard channels.",
        .syntax = "[shardchannel [shardchannel ...]]",
    },
    {
        .name = "unsubscribe",
        .arity = -1,
        .flags = LISTEN_FLAGS,
        .rules = RULE_WHILE_SUBSCRIBED,
        .session = unsubscribe_command,
        .group = "pubsub",
        .since = "2.0.0",
        .complexity = "O(N) where N is the number of channels to leave",
        .summary = "Stops to listen to channels.",
        .syntax = "[channel [channel ...]]",
    },
    {0},
};
