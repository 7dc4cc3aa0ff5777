#include "server/cluster.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/signals.h"
#include "server/cluster_answers.h"
#include "server/cluster_member.h"
#include "server/cluster_publications.h"
#include "server/cluster_role.h"
#include "server/migrate.h"
#include "server/server.h"
#include "worker/gate.h"
#include "worker/pubsub.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>

/* How often the part gets a step, whatever happens. */
#define STEP_PERIOD_MS 1000
#define LINK_SILENCE_MS_MIN 1000

/* ---- what the options say ---- */

static uint16_t port_of(int64_t announced, int64_t own) {
    return (uint16_t)(announced != 0 ? announced : own);
}

static void facts_read(const struct cluster_seat *seat, struct map_facts *facts) {
    const struct cluster_options *options = &seat->server->options->cluster;
    *facts = (struct map_facts){
        .port = port_of(options->announce_port, seat->server->options->server.port),
        .tls_port = port_of(options->announce_tls_port, 0),
        .bus_port = port_of(options->announce_bus_port, seat->bus_port),
    };
    snprintf(facts->ip, sizeof(facts->ip), "%s", options->announce_ip);
    snprintf(facts->hostname, sizeof(facts->hostname), "%s", options->announce_hostname);
    snprintf(facts->human_name, sizeof(facts->human_name), "%s", options->announce_human_nodename);
    snprintf(facts->zone, sizeof(facts->zone), "%s", options->availability_zone);
}

static uint16_t small(int64_t number) {
    return (uint16_t)(number > UINT16_MAX ? UINT16_MAX : number);
}

/* The next link is to be tried before the last one counts as failed. */
static void links_read(const struct options *options, struct cluster_links_settings *settings) {
    int64_t timeout_ms = options->cluster.node_timeout_ms;
    int64_t waiting_max = options->cluster.link_sendbuf_limit;
    *settings = (struct cluster_links_settings){
        .allows_anybody = options->cluster.allow_unauthenticated_nodes,
        .silence_ms =
            timeout_ms < LINK_SILENCE_MS_MIN / 2 ? LINK_SILENCE_MS_MIN : 2 * (uint64_t)timeout_ms,
        .waiting_bytes_max = waiting_max == 0 ? LINKS_WAITING_BYTES_MAX : (size_t)waiting_max,
    };
    snprintf(settings->secret, sizeof(settings->secret), "%s", options->cluster.secret);
    snprintf(settings->source_ip, sizeof(settings->source_ip), "%s",
             options->server.bind_source_addr);
}

void cluster_settings_read(const struct cluster_seat *seat, struct cluster_settings *settings) {
    const struct cluster_options *options = &seat->server->options->cluster;
    int64_t quorum = seat->server->options->worker.write_quorum;
    *settings = (struct cluster_settings){
        .node_timeout_ms = (uint64_t)options->node_timeout_ms,
        .voters = small(options->voters),
        .quorum = small(quorum < 1 ? 1 : quorum),
        .no_failover = options->replica_no_failover,
        .migrates_replicas = options->allow_replica_migration,
        .migration_barrier = small(options->migration_barrier),
    };
    facts_read(seat, &settings->facts);
    links_read(seat->server->options, &settings->links);
}

/* ---- what the workers see ---- */

static void state_settle(struct cluster_seat *seat) {
    const struct cluster_options *options = &seat->server->options->cluster;
    struct cluster *face = &seat->face;
    face->endpoint = (enum map_endpoint)options->preferred_endpoint_type;
    face->state = (struct redirect_state){
        .is_ok = map_is_ok(face->map, options->require_full_coverage),
        .allows_reads_when_down = options->allow_reads_when_down,
        .allows_pubsub_when_down = options->allow_pubsubshard_when_down,
    };
    atomic_fetch_add(&seat->shown_version, 1);
}

/* What is known of the nodes goes over to the new map's order. */
static void peers_follow(struct cluster_seat *seat, const struct map *before,
                         const struct map *map) {
    struct map_peer *peers = memory_alloc_zeroed(map->nodes_count * sizeof(*peers));
    pthread_mutex_lock(&seat->mutex);
    for (uint16_t i = 0; before != NULL && i < before->nodes_count && i < seat->peers_count; i++) {
        uint16_t place = map_find(map, before->nodes[i].id);
        if (place != MAP_NOBODY) {
            peers[place] = seat->peers[i];
        }
    }
    memory_free(seat->peers);
    seat->peers = peers;
    seat->peers_map = map;
    seat->peers_count = map->nodes_count;
    pthread_mutex_unlock(&seat->mutex);
}

/* Who is in the map no more, is remembered for a while. */
static void note_forgotten(struct cluster_seat *seat, const struct map *before,
                           const struct map *map) {
    for (uint16_t i = 0; before != NULL && i < before->nodes_count; i++) {
        if (map_find(map, before->nodes[i].id) == MAP_NOBODY) {
            uint64_t place = seat->forgotten_count++ % CLUSTER_FORGOTTEN_KEPT;
            memcpy(seat->forgotten[place], before->nodes[i].id, MAP_ID_BYTES);
        }
    }
}

bool cluster_was_forgotten(const struct cluster_seat *seat, struct span id) {
    unsigned char bytes[MAP_ID_BYTES];
    if (!map_id_parse(id, bytes)) {
        return false;
    }
    for (uint64_t i = 0; i < seat->forgotten_count && i < CLUSTER_FORGOTTEN_KEPT; i++) {
        if (memcmp(seat->forgotten[i], bytes, MAP_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_our_slot(const void *context, uint16_t slot) {
    const struct cluster *face = context;
    return face->map->slots[slot].owner == face->map->nodes[face->myself].shard;
}

/* Who listens to a shard channel whose slot went is told. */
static void listeners_follow(const struct cluster_seat *seat) {
    const struct node *node = &seat->server->node;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        pubsub_leave_slots(node->workers[i], is_our_slot, &seat->face);
    }
}

/* A slot that nobody owns for a moment is on its way to another node, of which one entry of the log
 * takes it and the next one gives it. */
void cluster_keep_leftovers(struct cluster_seat *seat) {
    const struct map *map = seat->face.map;
    uint16_t myself = seat->face.myself;
    if (map_primary_of(map, myself) != myself) {
        slot_set_clear(&seat->owned);
        seat->has_copy = true;
        return;
    }
    bool is_open = node_is_led(&seat->server->node) || atomic_load(&seat->server->saving) == NULL;
    uint16_t shard = map->nodes[myself].shard;
    seat->has_copy &= map->shards[shard].slots == 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint16_t slot = (uint16_t)i;
        uint16_t owner = map->slots[slot].owner;
        if (owner == shard) {
            slot_set_add(&seat->owned, slot);
        } else if (owner != MAP_NOBODY && !is_open && slot_set_has(&seat->owned, slot)) {
            slot_set_remove(&seat->owned, slot);
            if (cluster_slot_keys(seat->server, slot) > 0) {
                migrate_keep_leftovers(seat->server->migrate, slot);
            }
        }
    }
}

void cluster_drop_copy(struct cluster_seat *seat) {
    struct node *node = &seat->server->node;
    seat->drops_copy &= seat->has_copy;
    if (!seat->drops_copy || node_is_led(node) || seat->face.map->nodes_count > 1) {
        return;
    }
    struct worker *worker = node->workers[0];
    struct call call = {.environment = &worker->executor.environment, .now_ms = worker->now_ms};
    for (uint32_t i = 0; i < node->keyspace->database_count; i++) {
        if (keyspace_keys(node->keyspace, i) > 0) {
            gate_begin_group(worker);
            call_emit_to_database(
                &call, &(struct effect){.kind = EFFECT_DATABASE_FLUSH, .number = (int64_t)i});
        }
    }
    worker->executor.changes += call.changes;
    gate_append(worker);
    seat->has_copy = false;
    seat->drops_copy = false;
}

static void show(struct cluster_seat *seat, struct map *map, const unsigned char *id) {
    uint16_t myself = map_find(map, id);
    ASSERT(myself != MAP_NOBODY);
    bool was_ok = seat->face.state.is_ok;
    bool is_first = seat->face.map == NULL;
    peers_follow(seat, seat->face.map, map);
    note_forgotten(seat, seat->face.map, map);
    memcpy(seat->id, id, MAP_ID_BYTES);
    replication_set_cluster_id(&seat->server->replication, id);
    cluster_set_map(&seat->face, map, myself);
    cluster_keep_leftovers(seat);
    cluster_drop_copy(seat);
    state_settle(seat);
    listeners_follow(seat);
    if (!is_first && was_ok != seat->face.state.is_ok) {
        log_notice("Cluster state changed: %s", seat->face.state.is_ok ? "ok" : "fail");
    }
}

/* Under a stop. */
static void publication_run(void *context) {
    struct cluster_seat *seat = context;
    struct cluster_publication *publication = &seat->publication;
    unsigned char id[MAP_ID_BYTES];
    pthread_mutex_lock(&seat->mutex);
    struct map *map = publication->map;
    publication->map = NULL;
    memcpy(id, publication->id, MAP_ID_BYTES);
    pthread_mutex_unlock(&seat->mutex);
    show(seat, map, id);
    map_return(map);
    cluster_post(seat, &publication->done);
}

/* With the mutex. */
static void publication_begin(struct cluster_seat *seat) {
    seat->publication.is_under_way = true;
    stop_post(&seat->server->node, &seat->publication.visit);
}

static void publication_done(struct cluster_seat *seat, struct cluster_post *post) {
    (void)post;
    seat->publication.is_under_way = false;
    pthread_mutex_lock(&seat->mutex);
    if (seat->publication.map != NULL) {
        publication_begin(seat);
    }
    pthread_mutex_unlock(&seat->mutex);
    if (!seat->publication.is_under_way) {
        cluster_published(seat);
    }
}

void cluster_publish(struct cluster_seat *seat, struct map *map,
                     const unsigned char id[MAP_ID_BYTES]) {
    if (!seat->is_running) {
        show(seat, map, id);
        return;
    }
    pthread_mutex_lock(&seat->mutex);
    map_return(seat->publication.map);
    seat->publication.map = map_borrow(map);
    memcpy(seat->publication.id, id, MAP_ID_BYTES);
    if (!seat->publication.is_under_way) {
        publication_begin(seat);
    }
    pthread_mutex_unlock(&seat->mutex);
}

void cluster_set_peers(struct cluster_seat *seat, const struct map *map,
                       const struct map_peer *peers) {
    pthread_mutex_lock(&seat->mutex);
    bool is_shown = seat->peers_map == map;
    if (is_shown) {
        memcpy(seat->peers, peers, seat->peers_count * sizeof(*peers));
    }
    pthread_mutex_unlock(&seat->mutex);
    if (is_shown) {
        atomic_fetch_add(&seat->shown_version, 1);
    }
}

/* ---- INFO ---- */

void cluster_set_figures(struct cluster_seat *seat, const struct cluster_figures *figures) {
    pthread_mutex_lock(&seat->mutex);
    seat->figures = *figures;
    pthread_mutex_unlock(&seat->mutex);
}

void cluster_figures_read(struct cluster_seat *seat, struct cluster_figures *figures) {
    *figures = (struct cluster_figures){.voters = 0};
    if (seat != NULL) {
        pthread_mutex_lock(&seat->mutex);
        *figures = seat->figures;
        pthread_mutex_unlock(&seat->mutex);
    }
}

uint64_t cluster_slot_keys(const struct server *server, uint16_t slot) {
    const struct store *store = keyspace_store(server->node.keyspace, slot);
    const struct table *table = store_table(store, 0, slot);
    return table == NULL ? 0 : table->element_count;
}

/* ---- the thread ---- */

void cluster_post(struct cluster_seat *seat, struct cluster_post *post) {
    if (mailbox_push(&seat->mailbox, &post->mail)) {
        loop_wake(seat->loop);
    }
}

static void run_posts(struct cluster_seat *seat) {
    for (struct mailbox_node *node = mailbox_take_all(&seat->mailbox); node != NULL;) {
        struct cluster_post *post = MAILBOX_ENTRY(node, struct cluster_post, mail);
        node = node->next;
        post->run(seat, post);
    }
}

static void post_free(struct cluster_seat *seat, struct cluster_post *post) {
    (void)seat;
    memory_free(post);
}

/* A post without more to say. */
static void post_plain(struct cluster_seat *seat,
                       void (*run)(struct cluster_seat *seat, struct cluster_post *post)) {
    struct cluster_post *post = memory_alloc_zeroed(sizeof(*post));
    post->run = run;
    cluster_post(seat, post);
}

/* The step comes behind each iteration. */
static void timer_is_due(void *context) {
    (void)context;
}

static void *thread_main(void *context) {
    struct cluster_seat *seat = context;
    prctl(PR_SET_NAME, "cluster");
    signals_block_all();
    loop_timer_start(seat->loop, &seat->timer, STEP_PERIOD_MS, STEP_PERIOD_MS, timer_is_due, seat);
    while (!seat->is_stopping) {
        loop_run(seat->loop, LOOP_WAIT_FOREVER);
        seat->now_ms = clock_boot_ms();
        run_posts(seat);
        seat->part.step(seat->part.context, seat->now_ms);
        cluster_questions_step(seat);
    }
    seat->part.end(seat->part.context);
    loop_timer_stop(seat->loop, &seat->timer);
    return NULL;
}

/* ---- lifecycle ---- */

static struct cluster_seat *seat_new(struct server *server) {
    struct cluster_seat *seat = memory_alloc_aligned(MAILBOX_ALIGNMENT, sizeof(*seat));
    memset(seat, 0, sizeof(*seat));
    seat->server = server;
    seat->now_ms = clock_boot_ms();
    mailbox_init(&seat->mailbox);
    list_init(&seat->questions);
    pthread_mutex_init(&seat->mutex, NULL);
    seat->publications = cluster_publications_new(&server->node);
    seat->publication.visit = (struct visit){.run = publication_run, .context = seat};
    seat->publication.done.run = publication_done;
    seat->role = cluster_role_new(seat);
    return seat;
}

int cluster_open(struct server *server) {
    if (!server->options->cluster.enabled) {
        return 0;
    }
    int64_t port = server->options->server.port;
    if (server->options->cluster.port == 0 && port + CLUSTER_BUS_PORT_DISTANCE > UINT16_MAX) {
        log_warning("The port %lld is too high: other nodes speak on the port %d above it, or on "
                    "cluster-port.",
                    (long long)port, CLUSTER_BUS_PORT_DISTANCE);
        return EX_CONFIG;
    }
    struct cluster_seat *seat = seat_new(server);
    int64_t bus_port = server->options->cluster.port;
    seat->bus_port = (uint16_t)(bus_port != 0 ? bus_port : port + CLUSTER_BUS_PORT_DISTANCE);
    int code = EX_OSERR;
    int status = disk_open(&seat->disk, CLUSTER_FOLDER);
    if (status != 0) {
        log_warning("Cannot open the folder %s: %s", CLUSTER_FOLDER, strerror(-status));
        goto fail_after_new;
    }
    seat->loop = loop_new();
    if (seat->loop == NULL) {
        log_warning("Cannot make the event loop of the cluster: %s", strerror(errno));
        goto fail_after_disk;
    }
    code = cluster_member_open(seat);
    if (code != 0) {
        goto fail_after_loop;
    }
    server->seat = seat;
    server->node.cluster = &seat->face;
    server->node.queue_is_ready = cluster_queue_is_ready;
    server->node.publish = cluster_publish_message;
    server->node.keyspace->has_one_database = true;
    char text[MAP_ID_TEXT_BYTES];
    log_notice("Node in a cluster, I'm %s", map_id_format(text, seat->id));
    return 0;

fail_after_loop:
    loop_free(seat->loop);
fail_after_disk:
    disk_close(&seat->disk);
fail_after_new:
    cluster_publications_free(seat->publications);
    cluster_role_free(seat->role);
    pthread_mutex_destroy(&seat->mutex);
    memory_free(seat);
    return code;
}

int cluster_start(struct server *server) {
    struct cluster_seat *seat = server->seat;
    if (seat == NULL) {
        return 0;
    }
    seat->is_running = true;
    int error = pthread_create(&seat->thread, NULL, thread_main, seat);
    if (error != 0) {
        seat->is_running = false;
        log_warning("Cannot start the cluster's thread: %s", strerror(error));
        return EX_OSERR;
    }
    return 0;
}

static void loaded_run(struct cluster_seat *seat, struct cluster_post *post) {
    cluster_role_loaded(seat);
    seat->part.start(seat->part.context);
    post_free(seat, post);
}

void cluster_loaded(struct server *server) {
    if (server->seat != NULL) {
        post_plain(server->seat, loaded_run);
    }
}

struct leave_post {
    struct cluster_post post;
    uint64_t timeout_ms;
};

static void leave_run(struct cluster_seat *seat, struct cluster_post *post) {
    seat->part.leave(seat->part.context, ((struct leave_post *)post)->timeout_ms,
                     CLUSTER_LEAVE_TICKET);
    memory_free(post);
}

void cluster_leave(struct server *server, uint64_t timeout_ms) {
    struct cluster_seat *seat = server->seat;
    if (seat == NULL || atomic_exchange(&seat->is_leaving, true)) {
        return;
    }
    struct leave_post *post = memory_alloc_zeroed(sizeof(*post));
    post->post.run = leave_run;
    post->timeout_ms = timeout_ms;
    cluster_post(seat, &post->post);
}

bool cluster_is_leaving(const struct server *server) {
    return server->seat != NULL && atomic_load(&server->seat->is_leaving);
}

static void end_run(struct cluster_seat *seat, struct cluster_post *post) {
    seat->is_stopping = true;
    post_free(seat, post);
}

void cluster_end(struct server *server) {
    struct cluster_seat *seat = server->seat;
    if (seat == NULL || !seat->is_running) {
        return;
    }
    post_plain(seat, end_run);
    pthread_join(seat->thread, NULL);
    seat->is_running = false;
}

void cluster_close(struct server *server) {
    struct cluster_seat *seat = server->seat;
    if (seat == NULL) {
        return;
    }
    server->seat = NULL;
    server->node.cluster = NULL;
    server->node.publish = NULL;
    for (struct mailbox_node *node = mailbox_take_all(&seat->mailbox); node != NULL;) {
        struct cluster_post *post = MAILBOX_ENTRY(node, struct cluster_post, mail);
        node = node->next;
        if (post != &seat->publication.done && post != &seat->planned) {
            memory_free(post);
        }
    }
    map_return(seat->publication.map);
    seat->part.close(seat->part.context);
    cluster_publications_free(seat->publications);
    cluster_role_free(seat->role);
    cluster_questions_free(seat);
    cluster_answers_free(seat);
    map_return(seat->face.map);
    loop_free(seat->loop);
    disk_close(&seat->disk);
    memory_free(seat->peers);
    pthread_mutex_destroy(&seat->mutex);
    memory_free(seat);
}

/* ---- options ---- */

struct options_post {
    struct cluster_post post;
    struct cluster_settings settings;
};

static void options_run(struct cluster_seat *seat, struct cluster_post *post) {
    const struct options_post *changed = (struct options_post *)post;
    seat->part.options_changed(seat->part.context, &changed->settings);
    memory_free(post);
}

void cluster_options_changed(struct server *server) {
    struct cluster_seat *seat = server->seat;
    if (seat == NULL) {
        return;
    }
    state_settle(seat);
    replica_configure(&server->replica);
    struct options_post *post = memory_alloc_zeroed(sizeof(*post));
    post->post.run = options_run;
    cluster_settings_read(seat, &post->settings);
    cluster_post(seat, &post->post);
}
