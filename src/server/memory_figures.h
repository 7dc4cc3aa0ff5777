/* What the process' memory is used for, as INFO and MEMORY tell it. In bytes.
 *
 * Taken while all workers stand still. Costs a walk over all connections and over the headers of
 * all slots that hold keys.
 */
#ifndef TARN_SERVER_MEMORY_FIGURES_H
#define TARN_SERVER_MEMORY_FIGURES_H

#include "base/memory.h"

#include <stdint.h>

struct server;

struct memory_figures {
    struct memory_totals allocator;
    uint64_t log;         /* buffers of the log, which eviction does not count */
    uint64_t used;        /* what maxmemory limits */
    uint64_t resident;    /* of the process */
    uint64_t peak;        /* of used */
    uint64_t startup;     /* of used, before the first client came */
    uint64_t clients;     /* connections with their buffers */
    uint64_t links;       /* those of replicas likewise */
    uint64_t backlog;     /* a log that is in memory */
    uint64_t replication; /* both */
    uint64_t input_max;   /* the largest input and output buffer of a connection */
    uint64_t output_max;
    uint64_t tables;   /* buckets and headers of all databases */
    uint64_t overhead; /* startup, clients, replication and tables */
    uint64_t dataset;  /* used without overhead */
    uint64_t keys;
    uint64_t system;      /* of the machine */
    double dataset_share; /* of used without startup, in percent */
};

void memory_figures_read(struct server *server, struct memory_figures *figures);

struct store;
/* Bytes of one database's buckets and headers in this store. */
uint64_t memory_figures_tables(const struct store *store, uint32_t database);

/* b to a's ratio, 0 when a is. */
static inline double memory_figures_ratio(uint64_t b, uint64_t a) {
    return a == 0 ? 0 : (double)b / (double)a;
}

#endif
