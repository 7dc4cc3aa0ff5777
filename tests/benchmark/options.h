/* The load generator's command line. */

#ifndef BENCHMARK_OPTIONS_H
#define BENCHMARK_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    OPTIONS_PREFIX_SIZE = 4,
    OPTIONS_FIELDS_MAX = 10,
    OPTIONS_CONNECTIONS_MAX = 10000,
    OPTIONS_PIPELINE_MAX = 1024,
    OPTIONS_VALUE_SIZE_MAX = 64 * 1024 * 1024,
};

/* What values consist of: VALUES_ONE is one text for all of them. The others differ from key to
 * key: records of text, which compress, or random bytes, which do not. */
enum values { VALUES_ONE, VALUES_TEXT, VALUES_RANDOM };

enum command { COMMAND_GET, COMMAND_SET, COMMAND_MIXED, COMMAND_HSET, COMMAND_HGET, COMMAND_INCR };

struct options {
    int port;
    pid_t server_pid; /* whose CPU time is measured; 0: none */
    int core;         /* to run on; -1: any */
    enum command command;
    size_t connections;
    size_t pipeline;
    size_t value_size;
    uint64_t keys;
    uint64_t fields;    /* of a hash */
    const char *prefix; /* of every key, OPTIONS_PREFIX_SIZE bytes */
    uint64_t seed;
    double warmup_seconds;
    double seconds;
    bool fill;            /* every key once with all its fields, in a scattered order, then end */
    bool expiry;          /* SET has EX */
    enum values values;   /* of SET, below 16 KiB */
    double rate;          /* commands per second at most; 0: as many as the server takes */
    double large_percent; /* of the commands, that read or write a value of 1 MiB */
};

/* Ends the program when an argument is wrong. */
struct options options_read(int count, char **arguments);

#endif
