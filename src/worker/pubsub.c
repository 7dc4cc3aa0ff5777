#include "worker/pubsub.h"

struct pubsub *pubsub_new(struct worker *worker) {
    (void)worker;
    return NULL;
}

void pubsub_free(struct pubsub *pubsub) {
    (void)pubsub;
}

void pubsub_forget(struct connection *connection) {
    (void)connection;
}

size_t pubsub_subscriptions(const struct connection *connection) {
    (void)connection;
    return 0;
}
