#define _GNU_SOURCE

#include "options.h"

#include "program.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static double number(const char *name, const char *text, double min, double max) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max)) {
        program_fail("--%s wants a number from %g to %g", name, min, max);
    }
    return value;
}

static enum command command(const char *text) {
    static const char *const names[] = {"get", "set", "mixed", "hset", "hget", "incr"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum command)i;
        }
    }
    program_fail("no such command: %s", text);
}

static enum values values(const char *text) {
    static const char *const names[] = {"one", "text", "random"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum values)i;
        }
    }
    program_fail("no such values: %s", text);
}

static const char *prefix(const char *text) {
    if (strlen(text) != OPTIONS_PREFIX_SIZE) {
        program_fail("--prefix wants %d bytes", OPTIONS_PREFIX_SIZE);
    }
    return text;
}

struct options options_read(int count, char **arguments) {
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"pid", required_argument, NULL, 'i'},
        {"core", required_argument, NULL, 'o'},
        {"command", required_argument, NULL, 'c'},
        {"connections", required_argument, NULL, 'n'},
        {"pipeline", required_argument, NULL, 'P'},
        {"size", required_argument, NULL, 's'},
        {"keys", required_argument, NULL, 'k'},
        {"fields", required_argument, NULL, 'f'},
        {"prefix", required_argument, NULL, 'x'},
        {"seed", required_argument, NULL, 'r'},
        {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 't'},
        {"fill", no_argument, NULL, 'F'},
        {"expiry", no_argument, NULL, 'e'},
        {"values", required_argument, NULL, 'v'},
        {"rate", required_argument, NULL, 'R'},
        {"large-percent", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {
        .port = 6379,
        .core = -1,
        .connections = 50,
        .pipeline = 1,
        .value_size = 64,
        .keys = 1000000,
        .fields = 1,
        .prefix = "key:",
        .seed = 1,
        .warmup_seconds = 0.3,
        .seconds = 1.5,
    };
    int option;
    int index = 0;

    while ((option = getopt_long(count, arguments, "", known, &index)) != -1) {
        const char *name = option == '?' ? "" : known[index].name;
        switch (option) {
        case 'p':
            options.port = (int)number(name, optarg, 1, 65535);
            break;
        case 'i':
            options.server_pid = (pid_t)number(name, optarg, 0, 4194304);
            break;
        case 'o':
            options.core = (int)number(name, optarg, -1, 1023);
            break;
        case 'c':
            options.command = command(optarg);
            break;
        case 'n':
            options.connections = (size_t)number(name, optarg, 1, OPTIONS_CONNECTIONS_MAX);
            break;
        case 'P':
            options.pipeline = (size_t)number(name, optarg, 1, OPTIONS_PIPELINE_MAX);
            break;
        case 's':
            options.value_size = (size_t)number(name, optarg, 1, OPTIONS_VALUE_SIZE_MAX);
            break;
        case 'k':
            options.keys = (uint64_t)number(name, optarg, 1, 1e11);
            break;
        case 'f':
            options.fields = (uint64_t)number(name, optarg, 1, OPTIONS_FIELDS_MAX);
            break;
        case 'x':
            options.prefix = prefix(optarg);
            break;
        case 'r':
            options.seed = (uint64_t)number(name, optarg, 0, 1e15);
            break;
        case 'w':
            options.warmup_seconds = number(name, optarg, 0, 3600);
            break;
        case 't':
            options.seconds = number(name, optarg, 0, 3600);
            break;
        case 'F':
            options.fill = true;
            break;
        case 'e':
            options.expiry = true;
            break;
        case 'v':
            options.values = values(optarg);
            break;
        case 'R':
            options.rate = number(name, optarg, 1, 1e9);
            break;
        case 'l':
            options.large_percent = number(name, optarg, 0, 100);
            break;
        default:
            program_fail("options.h explains the options");
        }
    }
    if (optind < count) {
        program_fail("unexpected argument: %s", arguments[optind]);
    }
    return options;
}
