/* Load: threads that write to a server with commands of all kinds, until they are told to end. */
#ifndef TARN_TESTS_INTEGRATION_LOAD_H
#define TARN_TESTS_INTEGRATION_LOAD_H

#include "tests/integration/server.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOAD_KEYS 500
#define LOAD_CLIENTS 2

struct load {
    const struct server *server;
    pthread_t threads[LOAD_CLIENTS];
    atomic_bool ends;
    atomic_ullong writes;
};

static inline void load_one(redisContext *client, unsigned *seed) {
    char command[256];
    int key = rand_r(seed) % LOAD_KEYS;
    int number = rand_r(seed);
    switch (rand_r(seed) % 6) {
    case 0:
        snprintf(command, sizeof(command), "HSET hash:%d field%d %d", key, number % 50, number);
        break;
    case 1:
        snprintf(command, sizeof(command), "MSET a:%d %d b:%d %d c:%d %d", key, number, key, number,
                 key, number);
        break;
    case 2:
        snprintf(command, sizeof(command), "DEL a:%d hash:%d", key, key);
        break;
    case 3:
        snprintf(command, sizeof(command), "SET short:%d %d PX %d", key, number, number % 300 + 1);
        break;
    case 4:
        snprintf(command, sizeof(command), "SETRANGE range:%d %d %d", key, number % 5000, number);
        break;
    default:
        snprintf(command, sizeof(command), "SET string:%d %d", key, number);
        break;
    }
    client_ask(client, command);
}

static inline void *load_main(void *context) {
    struct load *load = context;
    redisContext *client = server_connect(load->server);
    unsigned seed = (unsigned)atomic_load(&load->writes) + 1;
    while (!atomic_load(&load->ends)) {
        load_one(client, &seed);
        atomic_fetch_add(&load->writes, 1);
    }
    redisFree(client);
    return NULL;
}

static inline void load_begin(struct load *load, const struct server *server) {
    *load = (struct load){.server = server};
    for (int i = 0; i < LOAD_CLIENTS; i++) {
        atomic_store(&load->writes, (unsigned long long)i);
        ck_assert_int_eq(pthread_create(&load->threads[i], NULL, load_main, load), 0);
    }
}

static inline void load_end(struct load *load) {
    atomic_store(&load->ends, true);
    for (int i = 0; i < LOAD_CLIENTS; i++) {
        pthread_join(load->threads[i], NULL);
    }
}

#endif
