/* Plans: what each CLUSTER command that changes something asks for: changes of the map, or a wish;
 * or why it cannot be, in redis-server's words and order of checks. Planners: cluster.h.
 */
#ifndef TARN_SERVER_CLUSTER_PLANS_H
#define TARN_SERVER_CLUSTER_PLANS_H

#include "server/cluster.h"

void plan_add_slots(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_add_ranges(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_delete_slots(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_delete_ranges(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_flush_slots(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_set_slot(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_override(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_bump_epoch(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_set_epoch(struct cluster_plan *plan, const struct span *args, uint32_t args_count);

void plan_meet(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_forget(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_replicate(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_failover(struct cluster_plan *plan, const struct span *args, uint32_t args_count);
void plan_reset(struct cluster_plan *plan, const struct span *args, uint32_t args_count);

/* ---- what the files cluster_plans*.c share ---- */

void plan_refuse(struct cluster_plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A change about this node, to be filled in and given to plan_change(), which frees it. */
struct map_change *plan_change_new(const struct cluster_plan *plan, enum map_change_kind kind);
void plan_change(struct cluster_plan *plan, struct map_change *change);
/* Names the node as its change's other one. */
void plan_peer(const struct cluster_plan *plan, struct map_change *change, uint16_t node);
/* A slot's number. False: that is refused. */
bool plan_slot(struct cluster_plan *plan, struct span text, uint16_t *slot);
/* Keys that this node holds. */
uint64_t plan_keys(const struct cluster_plan *plan);

#endif
