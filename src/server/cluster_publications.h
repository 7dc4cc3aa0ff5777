/* Cluster publications: messages of PUBLISH on their way to all nodes of the cluster, and of
 * SPUBLISH to those of the shard.
 *
 *   worker: PUBLISH -> waiting ==[the cluster's thread]==> BUS_PUBLICATION frames to each node
 *   frame ==[the cluster's thread]==> a post for each worker with listeners -> pubsub_deliver()
 *
 * Who publishes does not wait for that, and is told of the receivers on its own node, as with
 * Redis. What one worker publishes arrives in order.
 *
 * Bounds: PUBLICATIONS_BYTES_MAX wait for the thread, and as many for a worker; a message is no
 * larger than BUS_PUBLICATION_BYTES_MAX. What is beyond that is lost for the other nodes; the log
 * says so.
 *
 * Thread: the cluster's, but for cluster_publish_message().
 */
#ifndef TARN_SERVER_CLUSTER_PUBLICATIONS_H
#define TARN_SERVER_CLUSTER_PUBLICATIONS_H

#include "cluster/map.h"
#include "cluster/raft_id.h"
#include "server/cluster_links.h"
#include "worker/pubsub.h"

#define PUBLICATIONS_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct cluster_publications;
struct cluster_seat;
struct node;

struct cluster_publications *cluster_publications_new(struct node *node);
/* The workers have ended. */
void cluster_publications_free(struct cluster_publications *publications);

/* For node->publish: on a worker. */
void cluster_publish_message(struct worker *worker, bool is_sharded, struct span channel,
                             struct span text);

/* Sends what waits to the nodes of the map, or of this node's shard. */
void cluster_publications_send(struct cluster_publications *publications,
                               struct cluster_links *links, const struct map *map, uint16_t myself);
/* A frame of a node of the map has come. False: it is none that an honest node sends. */
bool cluster_publications_receive(struct cluster_publications *publications,
                                  const struct raft_id *source, struct span body);
/* What was received goes to the workers. */
void cluster_publications_deliver(struct cluster_publications *publications);
/* The link to the node has ended: the rest of its message does not come. */
void cluster_publications_forget(struct cluster_publications *publications,
                                 const struct raft_id *source);

#endif
