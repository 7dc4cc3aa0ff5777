#include "server/link_clients.h"

#include "base/memory.h"
#include "server/primary_links.h"
#include "server/replica_link.h"
#include "server/replicator.h"

_Static_assert(CLIENT_LINKS_MAX >= REPLICATION_LINKS_MAX + 1, "all of them have room");

static bool read_primary(struct replica *replica, struct client_link *link) {
    pthread_mutex_lock(&replica->mutex);
    *link = replica->client;
    link->heard_ms = replica->figures.heard_ms;
    pthread_mutex_unlock(&replica->mutex);
    return link->id != 0;
}

static uint32_t read_links(void *context, struct client_link links[CLIENT_LINKS_MAX]) {
    struct server *server = context;
    uint32_t count = replication_clients_read(&server->replication, links);
    return count + read_primary(&server->replica, &links[count]);
}

struct kill_post {
    struct replicator_post post;
    uint64_t id;
};

static void kill_arrives(struct replicator *replicator, struct replicator_post *post) {
    struct kill_post *kill = MAILBOX_ENTRY(post, struct kill_post, post);
    if (replicator->primary_links != NULL) {
        primary_links_kill(replicator->primary_links, kill->id);
        replica_link_kill(replicator->replica_link, kill->id);
    }
    memory_free(kill);
}

static void kill_link(void *context, uint64_t id) {
    const struct server *server = context;
    struct kill_post *kill = memory_alloc_zeroed(sizeof(*kill));
    kill->post.run = kill_arrives;
    kill->id = id;
    replicator_post(server->replicator, &kill->post);
}

struct client_links link_clients(struct server *server) {
    return (struct client_links){.context = server, .read = read_links, .kill = kill_link};
}

uint64_t link_clients_counted(struct server *server) {
    struct client_link link;
    return read_primary(&server->replica, &link);
}
