#include "worker/pubsub.h"

#include "base/glob.h"
#include "base/hash.h"
#include "base/memory.h"
#include "structures/table.h"
#include "worker/notices.h"

/* Something that somebody listens to. */
struct topic {
    struct list link;          /* among those of its kind, in the order of their beginning */
    struct list subscriptions; /* by topic_link */
    uint64_t hash;
    uint32_t subscriptions_count;
    enum pubsub_kind kind;
    size_t length;
    char name[];
};

struct subscription {
    struct list topic_link;
    struct list connection_link;
    struct topic *topic;
    struct connection *connection;
};

/* What one connection listens to. */
struct subscriptions {
    struct list lists[PUBSUB_KINDS]; /* by connection_link */
    uint32_t counts[PUBSUB_KINDS];
};

struct pubsub {
    struct worker *worker;
    struct heap heap;
    uint64_t secret;
    struct table topics[PUBSUB_KINDS]; /* by name */
    struct list lists[PUBSUB_KINDS];   /* the same, by link */
    size_t topics_count;
    struct table subscriptions; /* by topic and connection */
    struct reply forms[2];      /* scratch: a message in RESP2 and RESP3 */
    struct buffer channel;      /* scratch: the channel of a keyspace event */
};

/* ---- tables ---- */

static uint64_t hash_of_topic(const void *element, const void *context) {
    (void)context;
    return ((const struct topic *)element)->hash;
}

static bool topic_is(const void *element, const void *sought) {
    const struct topic *topic = element;
    return span_equal(span_of(topic->name, topic->length), *(const struct span *)sought);
}

/* One hash for all of a topic's or a connection's subscriptions would pile them up in one
 * bucket. */
static uint64_t hash_pair(const struct topic *topic, const struct connection *connection) {
    struct {
        uint64_t topic;
        uint64_t connection;
    } pair = {.topic = (uint64_t)(uintptr_t)topic, .connection = connection->id};
    return hash_bytes(span_of(&pair, sizeof(pair)), topic->hash);
}

static uint64_t hash_of_subscription(const void *element, const void *context) {
    (void)context;
    const struct subscription *subscription = element;
    return hash_pair(subscription->topic, subscription->connection);
}

static bool subscription_is(const void *element, const void *sought) {
    const struct subscription *a = element;
    const struct subscription *b = sought;
    return a->topic == b->topic && a->connection == b->connection;
}

static const struct table_elements topic_elements = {.hash = hash_of_topic};
static const struct table_elements subscription_elements = {.hash = hash_of_subscription};

static void add(struct pubsub *pubsub, struct table *table, const struct table_elements *elements,
                void *element) {
    table_insert(table, &pubsub->heap, elements->hash(element, NULL), element);
    for (int i = 0; i < TABLE_STEPS_MAX && table_wants_step(table); i++) {
        table_step(table, &pubsub->heap, elements);
    }
}

static void take_out(struct pubsub *pubsub, struct table *table,
                     const struct table_elements *elements, uint64_t *cell) {
    uint64_t hash = elements->hash(table_cell_element(*cell), NULL);
    table_remove(table, &pubsub->heap, hash, cell);
    for (int i = 0; i < TABLE_STEPS_MAX && table_wants_step(table); i++) {
        table_step(table, &pubsub->heap, elements);
    }
}

/* ---- topics ---- */

static uint64_t *topic_cell(const struct pubsub *pubsub, enum pubsub_kind kind, struct span name) {
    return table_find(&pubsub->topics[kind], hash_bytes(name, pubsub->secret), topic_is, &name);
}

static struct topic *topic_find(const struct pubsub *pubsub, enum pubsub_kind kind,
                                struct span name) {
    const uint64_t *cell = topic_cell(pubsub, kind, name);
    return cell == NULL ? NULL : table_cell_element(*cell);
}

static atomic_uint_least64_t *subscriber_workers(struct pubsub *pubsub) {
    return &pubsub->worker->node->subscriber_workers;
}

/* NULL: there is no memory for a name of this length. */
static struct topic *topic_new(struct pubsub *pubsub, enum pubsub_kind kind, struct span name) {
    struct topic *topic = heap_try_alloc(&pubsub->heap, sizeof(*topic) + name.length);
    if (topic == NULL) {
        return NULL;
    }
    topic->hash = hash_bytes(name, pubsub->secret);
    topic->subscriptions_count = 0;
    topic->kind = kind;
    topic->length = name.length;
    if (name.length != 0) {
        memcpy(topic->name, name.bytes, name.length);
    }
    list_init(&topic->link);
    list_init(&topic->subscriptions);
    list_push_back(&pubsub->lists[kind], &topic->link);
    add(pubsub, &pubsub->topics[kind], &topic_elements, topic);
    if (pubsub->topics_count++ == 0) {
        atomic_fetch_or(subscriber_workers(pubsub), UINT64_C(1) << pubsub->worker->index);
    }
    return topic;
}

static void topic_free(struct pubsub *pubsub, struct topic *topic) {
    uint64_t *cell = topic_cell(pubsub, topic->kind, span_of(topic->name, topic->length));
    ASSERT(cell != NULL && table_cell_element(*cell) == topic);
    take_out(pubsub, &pubsub->topics[topic->kind], &topic_elements, cell);
    list_remove(&topic->link);
    heap_free(&pubsub->heap, topic, sizeof(*topic) + topic->length);
    if (--pubsub->topics_count == 0) {
        atomic_fetch_and(subscriber_workers(pubsub), ~(UINT64_C(1) << pubsub->worker->index));
    }
}

/* ---- subscriptions ---- */

static uint64_t *subscription_cell(const struct pubsub *pubsub, struct topic *topic,
                                   struct connection *connection) {
    const struct subscription sought = {.topic = topic, .connection = connection};
    return table_find(&pubsub->subscriptions, hash_pair(topic, connection), subscription_is,
                      &sought);
}

static struct subscriptions *subscriptions_of(struct connection *connection) {
    if (connection->subscriptions == NULL) {
        struct subscriptions *subscriptions = memory_alloc_zeroed(sizeof(*subscriptions));
        for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
            list_init(&subscriptions->lists[kind]);
        }
        connection->subscriptions = subscriptions;
    }
    return connection->subscriptions;
}

enum pubsub_outcome pubsub_subscribe(struct connection *connection, enum pubsub_kind kind,
                                     struct span name) {
    struct pubsub *pubsub = connection->home->pubsub;
    struct topic *topic = topic_find(pubsub, kind, name);
    if (topic == NULL) {
        topic = topic_new(pubsub, kind, name);
        if (topic == NULL) {
            return PUBSUB_NO_MEMORY;
        }
    } else if (subscription_cell(pubsub, topic, connection) != NULL) {
        return PUBSUB_UNCHANGED;
    }
    struct subscriptions *subscriptions = subscriptions_of(connection);
    struct subscription *subscription = heap_alloc(&pubsub->heap, sizeof(*subscription));
    subscription->topic = topic;
    subscription->connection = connection;
    list_init(&subscription->topic_link);
    list_init(&subscription->connection_link);
    list_push_back(&topic->subscriptions, &subscription->topic_link);
    list_push_back(&subscriptions->lists[kind], &subscription->connection_link);
    topic->subscriptions_count++;
    subscriptions->counts[kind]++;
    add(pubsub, &pubsub->subscriptions, &subscription_elements, subscription);
    return PUBSUB_CHANGED;
}

static void leave(struct pubsub *pubsub, struct topic *topic, struct connection *connection,
                  uint64_t *cell) {
    struct subscription *subscription = table_cell_element(*cell);
    take_out(pubsub, &pubsub->subscriptions, &subscription_elements, cell);
    list_remove(&subscription->topic_link);
    list_remove(&subscription->connection_link);
    heap_free(&pubsub->heap, subscription, sizeof(*subscription));
    connection->subscriptions->counts[topic->kind]--;
    if (--topic->subscriptions_count == 0) {
        topic_free(pubsub, topic);
    }
}

bool pubsub_unsubscribe(struct connection *connection, enum pubsub_kind kind, struct span name) {
    struct pubsub *pubsub = connection->home->pubsub;
    struct topic *topic = topic_find(pubsub, kind, name);
    uint64_t *cell = topic == NULL ? NULL : subscription_cell(pubsub, topic, connection);
    if (cell == NULL) {
        return false;
    }
    leave(pubsub, topic, connection, cell);
    return true;
}

void pubsub_forget(struct connection *connection) {
    if (connection->subscriptions == NULL) {
        return;
    }
    struct pubsub *pubsub = connection->home->pubsub;
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        struct list *list = &connection->subscriptions->lists[kind];
        while (!list_is_empty(list)) {
            struct topic *topic =
                LIST_ENTRY(list->next, struct subscription, connection_link)->topic;
            leave(pubsub, topic, connection, subscription_cell(pubsub, topic, connection));
        }
    }
    memory_free(connection->subscriptions);
    connection->subscriptions = NULL;
}

bool pubsub_first(const struct connection *connection, enum pubsub_kind kind, struct span *name) {
    if (pubsub_count(connection, kind) == 0) {
        return false;
    }
    const struct topic *topic = LIST_ENTRY(connection->subscriptions->lists[kind].next,
                                           struct subscription, connection_link)
                                    ->topic;
    *name = span_of(topic->name, topic->length);
    return true;
}

uint32_t pubsub_count(const struct connection *connection, enum pubsub_kind kind) {
    return connection->subscriptions == NULL ? 0 : connection->subscriptions->counts[kind];
}

size_t pubsub_subscriptions(const struct connection *connection) {
    size_t count = 0;
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        count += pubsub_count(connection, (enum pubsub_kind)kind);
    }
    return count;
}

/* ---- messages ---- */

struct message {
    struct span channel;
    struct span text;
    struct block *block; /* of the text, when it is to be shared and somebody gets it */
};

static void write_text(struct reply *form, struct message *message) {
    if (message->block == NULL && message->text.length >= PUBSUB_SHARED_BYTES_MIN) {
        message->block = block_try_new(message->text.length);
        if (message->block != NULL) {
            memcpy(message->block->bytes, message->text.bytes, message->text.length);
            message->block->length = message->text.length;
        }
    }
    if (message->block != NULL) {
        reply_bulk_block(form, message->block, 0, message->text.length);
    } else {
        reply_bulk(form, message->text);
    }
}

static void write_form(struct reply *form, const struct topic *topic, struct message *message) {
    static const char *const words[PUBSUB_KINDS] = {"message", "pmessage", "smessage"};
    reply_clear(form);
    reply_push(form, topic->kind == PUBSUB_PATTERN ? 4 : 3);
    reply_bulk_string(form, words[topic->kind]);
    if (topic->kind == PUBSUB_PATTERN) {
        reply_bulk(form, span_of(topic->name, topic->length));
    }
    reply_bulk(form, message->channel);
    write_text(form, message);
}

static size_t push_to_topic(struct pubsub *pubsub, const struct topic *topic,
                            struct message *message) {
    bool is_written[2] = {false, false};
    LIST_FOR_EACH(link, &topic->subscriptions) {
        struct connection *connection =
            LIST_ENTRY(link, struct subscription, topic_link)->connection;
        if (!connection_takes_pushes(connection)) {
            continue;
        }
        struct reply *reply = connection_push_reply(connection);
        int i = reply->protocol - 2;
        if (!is_written[i]) {
            is_written[i] = true;
            write_form(&pubsub->forms[i], topic, message);
        }
        reply_append(reply, &pubsub->forms[i]);
        connection_pushed(connection);
    }
    return topic->subscriptions_count;
}

/* Scratch that one large message made large is not kept. */
static void release_forms(struct pubsub *pubsub) {
    for (int i = 0; i < 2; i++) {
        reply_clear(&pubsub->forms[i]);
        if (pubsub->forms[i].buffer.capacity > REPLY_KEPT_BYTES) {
            reply_free(&pubsub->forms[i]);
        }
    }
}

size_t pubsub_deliver(struct worker *worker, enum pubsub_kind kind, struct span channel,
                      struct span text) {
    struct pubsub *pubsub = worker->pubsub;
    struct message message = {.channel = channel, .text = text};
    size_t receivers = 0;
    const struct topic *topic = topic_find(pubsub, kind, channel);
    if (topic != NULL) {
        receivers += push_to_topic(pubsub, topic, &message);
    }
    if (kind == PUBSUB_CHANNEL) {
        LIST_FOR_EACH(link, &pubsub->lists[PUBSUB_PATTERN]) {
            const struct topic *pattern = LIST_ENTRY(link, struct topic, link);
            if (glob_match(span_of(pattern->name, pattern->length), channel)) {
                receivers += push_to_topic(pubsub, pattern, &message);
            }
        }
    }
    if (receivers > 0) {
        release_forms(pubsub);
        block_release(message.block);
    }
    return receivers;
}

void pubsub_publish(struct worker *worker, struct span channel, struct span text) {
    uint64_t bits = atomic_load(&worker->node->subscriber_workers);
    if ((bits >> worker->index & 1) != 0) {
        pubsub_deliver(worker, PUBSUB_CHANNEL, channel, text);
    }
    notices_add(worker, bits, NOTICE_MESSAGE, channel, text);
}

uint32_t pubsub_next_worker(const struct node *node, uint32_t from) {
    uint64_t bits = from < KEYSPACE_STORES_MAX ? atomic_load(&node->subscriber_workers) >> from : 0;
    return bits == 0 ? node->worker_count : from + (uint32_t)__builtin_ctzll(bits);
}

/* ---- over all workers ---- */

size_t pubsub_topic_subscribers(const struct node *node, enum pubsub_kind kind, struct span name) {
    size_t count = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        const struct topic *topic = topic_find(node->workers[i]->pubsub, kind, name);
        count += topic == NULL ? 0 : topic->subscriptions_count;
    }
    return count;
}

void pubsub_each_topic(const struct node *node, enum pubsub_kind kind,
                       void (*found)(void *context, struct span name), void *context) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        LIST_FOR_EACH(link, &node->workers[i]->pubsub->lists[kind]) {
            const struct topic *topic = LIST_ENTRY(link, struct topic, link);
            struct span name = span_of(topic->name, topic->length);
            bool is_told = false; /* by a worker before this one */
            for (uint32_t before = 0; before < i && !is_told; before++) {
                is_told = topic_find(node->workers[before]->pubsub, kind, name) != NULL;
            }
            if (!is_told) {
                found(context, name);
            }
        }
    }
}

/* ---- slots that have gone ---- */

static void push_left(struct connection *connection, const struct topic *topic) {
    if (!connection_takes_pushes(connection)) {
        return;
    }
    struct reply *reply = connection_push_reply(connection);
    reply_push(reply, 3);
    reply_bulk_string(reply, "sunsubscribe");
    reply_bulk(reply, span_of(topic->name, topic->length));
    reply_integer(reply, (int64_t)pubsub_count(connection, PUBSUB_SHARD_CHANNEL) - 1);
    connection_pushed(connection);
}

static void leave_all(struct pubsub *pubsub, struct topic *topic) {
    for (uint32_t left = topic->subscriptions_count; left > 0; left--) {
        struct connection *connection =
            LIST_ENTRY(topic->subscriptions.next, struct subscription, topic_link)->connection;
        push_left(connection, topic);
        leave(pubsub, topic, connection, subscription_cell(pubsub, topic, connection));
    }
}

void pubsub_leave_slots(struct worker *worker, bool (*is_ours)(const void *context, uint16_t slot),
                        const void *context) {
    struct list *topics = &worker->pubsub->lists[PUBSUB_SHARD_CHANNEL];
    for (struct list *link = topics->next; link != topics;) {
        struct topic *topic = LIST_ENTRY(link, struct topic, link);
        link = link->next;
        if (!is_ours(context, slot_of_key(span_of(topic->name, topic->length)))) {
            leave_all(worker->pubsub, topic);
        }
    }
}

static void count_one(void *context, struct span name) {
    (void)name;
    ++*(size_t *)context;
}

size_t pubsub_topics(const struct node *node, enum pubsub_kind kind) {
    size_t count = 0;
    pubsub_each_topic(node, kind, count_one, &count);
    return count;
}

/* ---- keyspace events ---- */

static void event_happened(void *context, const struct call *call, enum event event,
                           struct span key) {
    struct worker *worker = context;
    if (atomic_load_explicit(&worker->node->subscriber_workers, memory_order_relaxed) == 0) {
        return;
    }
    unsigned classes = worker->executor.environment.observer.event_classes;
    struct span name = span_of_string(event_name(event));
    struct buffer *channel = &worker->pubsub->channel;
    if ((classes & EVENT_KEYSPACE) != 0) {
        buffer_clear(channel);
        buffer_format(channel, "__keyspace@%u__:", call->database);
        buffer_append_span(channel, key);
        pubsub_publish(worker, buffer_span(channel), name);
    }
    if ((classes & EVENT_KEYEVENT) != 0) {
        buffer_clear(channel);
        buffer_format(channel, "__keyevent@%u__:", call->database);
        buffer_append_span(channel, name);
        pubsub_publish(worker, buffer_span(channel), key);
    }
}

void pubsub_notify_configure(struct worker *worker) {
    unsigned classes = (unsigned)worker->node->options->notify_keyspace_events;
    struct call_observer *observer = &worker->executor.environment.observer;
    observer->context = worker;
    observer->event = event_happened;
    /* Without K and E there is no channel to tell. */
    observer->event_classes = (classes & (EVENT_KEYSPACE | EVENT_KEYEVENT)) != 0 ? classes : 0;
}

/* A channel of events, or a pattern that does not begin otherwise. */
static bool may_be_of_events(const struct topic *topic) {
    static const char prefix[] = "__key";
    bool is_pattern = topic->kind == PUBSUB_PATTERN;
    for (size_t i = 0; i < sizeof(prefix) - 1; i++) {
        char c = i < topic->length ? topic->name[i] : '\0';
        if (is_pattern && (c == '*' || c == '?' || c == '[' || c == '\\')) {
            return true;
        }
        if (c != prefix[i]) {
            return false;
        }
    }
    return true;
}

void pubsub_close_event_listeners(struct worker *worker) {
    static const enum pubsub_kind kinds[] = {PUBSUB_CHANNEL, PUBSUB_PATTERN};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        LIST_FOR_EACH(link, &worker->pubsub->lists[kinds[i]]) {
            struct topic *topic = LIST_ENTRY(link, struct topic, link);
            if (!may_be_of_events(topic)) {
                continue;
            }
            LIST_FOR_EACH(place, &topic->subscriptions) {
                connection_close_over_output(
                    LIST_ENTRY(place, struct subscription, topic_link)->connection);
            }
        }
    }
}

/* ---- lifecycle ---- */

struct pubsub *pubsub_new(struct worker *worker) {
    struct pubsub *pubsub = memory_alloc_zeroed(sizeof(*pubsub));
    pubsub->worker = worker;
    pubsub->secret = random_seed_draw();
    heap_init(&pubsub->heap);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        pubsub->topics[kind] = TABLE_EMPTY;
        list_init(&pubsub->lists[kind]);
    }
    pubsub->subscriptions = TABLE_EMPTY;
    reply_init(&pubsub->forms[0], 2);
    reply_init(&pubsub->forms[1], 3);
    return pubsub;
}

void pubsub_free(struct pubsub *pubsub) {
    ASSERT(pubsub->topics_count == 0);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) {
        table_free(&pubsub->topics[kind], &pubsub->heap);
    }
    table_free(&pubsub->subscriptions, &pubsub->heap);
    heap_free_all(&pubsub->heap);
    reply_free(&pubsub->forms[0]);
    reply_free(&pubsub->forms[1]);
    buffer_free(&pubsub->channel);
    memory_free(pubsub);
}
