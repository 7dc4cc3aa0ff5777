#include "server/anti_entropy.h"

#include "base/logger.h"
#include "base/memory.h"
#include "base/random.h"
#include "server/primary_links.h"
#include "server/replica_link.h"
#include "worker/digesting.h"
#include "worker/stop.h"

#include <inttypes.h>

struct anti_entropy {
    struct replicator *replicator;
    struct digest_rounds *rounds;
    struct digesting *digesting; /* NULL: there was no link yet */
};

/* ---- verdicts ---- */

static void slot_differs(void *context, const struct digest_verdict *verdict) {
    struct anti_entropy *entropy = context;
    if (verdict->keys_are_known) {
        log_warning("Slot %u of a replica differs from this node's, in %" PRIu64 " keys: %.*s. It "
                    "is healed by an image",
                    verdict->slot, verdict->keys, (int)verdict->keys_named.length,
                    verdict->keys_named.bytes);
    } else {
        log_warning("Slot %u of a replica differs from this node's, in keys that are not known. It "
                    "is healed by an image",
                    verdict->slot);
    }
    struct slot_set slots = {{0}};
    slot_set_add(&slots, verdict->slot);
    primary_links_heal(entropy->replicator->primary_links, verdict->node_id, &slots);
}

/* ---- this node's digests ---- */

/* On its way from a worker. */
struct digest_post {
    struct replicator_post post;
    struct message_digest digest;
    struct buffer rows;
};

static void digest_arrives(struct replicator *replicator, struct replicator_post *post) {
    struct digest_post *arrived = MAILBOX_ENTRY(post, struct digest_post, post);
    struct anti_entropy *entropy = replicator->anti_entropy;
    if (entropy != NULL) {
        bool asks = replication_role(&replicator->server->replication) == REPLICATION_PRIMARY;
        arrived->digest.rows = buffer_span(&arrived->rows);
        if (!asks) {
            replica_link_digest(replicator->replica_link, &arrived->digest);
        }
        digest_rounds_own(entropy->rounds, &arrived->digest, asks);
    }
    buffer_free(&arrived->rows);
    memory_free(arrived);
}

/* By any worker. */
static void digest_is_done(void *context, const struct message_digest *digest) {
    struct digest_post *post = memory_alloc_zeroed(sizeof(*post));
    post->post.run = digest_arrives;
    post->digest = *digest;
    buffer_append_span(&post->rows, digest->rows);
    replicator_post(context, &post->post);
}

/* Under a stop. */
static void attach(void *context) {
    struct anti_entropy *entropy = context;
    entropy->replicator->server->node.digesting = entropy->digesting;
}

static void detach(void *context) {
    struct anti_entropy *entropy = context;
    struct node *node = &entropy->replicator->server->node;
    digesting_give_up(node);
    node->digesting = NULL;
}

void anti_entropy_attach(struct anti_entropy *entropy) {
    struct node *node = &entropy->replicator->server->node;
    if (entropy->digesting == NULL) {
        entropy->digesting = digesting_new(node, digest_is_done, entropy->replicator);
        stop_visit(node, attach, entropy);
    }
}

/* ---- rounds ---- */

static void publish(struct anti_entropy *entropy) {
    struct replicator *replicator = entropy->replicator;
    struct digest_figures figures;
    digest_rounds_figures(entropy->rounds, &figures);
    replication_digests_publish(&replicator->server->replication, &figures,
                                primary_links_healed(replicator->primary_links));
}

void anti_entropy_step(struct anti_entropy *entropy, uint32_t replicas) {
    struct replicator *replicator = entropy->replicator;
    struct replication *replication = &replicator->server->replication;
    if (replicas == 0) {
        return;
    }
    anti_entropy_attach(entropy);
    if (replication_role(replication) != REPLICATION_PRIMARY) {
        publish(entropy); /* It compares what its primary asks for. */
        return;
    }
    struct digest_pace pace = {
        .period_ms = replication_settings(replication).digest_period_ms,
        .replicas = replicas,
    };
    struct digest_request request;
    for (int i = 0; i < ANTI_ENTROPY_ASKED_MAX &&
                    digest_rounds_next(entropy->rounds, &pace, replicator->now_ms, &request);
         i++) {
        if (!digesting_ask(entropy->digesting, &request)) {
            digest_rounds_put_off(entropy->rounds, &request);
            break;
        }
    }
    publish(entropy);
}

void anti_entropy_report(struct anti_entropy *entropy, const unsigned char *node_id,
                         const struct message_digest *digest) {
    digest_rounds_report(entropy->rounds, node_id, digest);
}

/* ---- lifecycle ---- */

struct anti_entropy *anti_entropy_new(struct replicator *replicator) {
    struct anti_entropy *entropy = memory_alloc_zeroed(sizeof(*entropy));
    entropy->replicator = replicator;
    entropy->rounds = digest_rounds_new(&(struct digest_rounds_plan){
        .context = entropy, .differs = slot_differs, .seed = random_seed_draw()});
    return entropy;
}

void anti_entropy_free(struct anti_entropy *entropy) {
    if (entropy->digesting != NULL) {
        stop_visit(&entropy->replicator->server->node, detach, entropy);
        digesting_free(entropy->digesting);
    }
    digest_rounds_free(entropy->rounds);
    memory_free(entropy);
}
