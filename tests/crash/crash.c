/* Crash tests without an end: see storm.h, and utils/crash, which builds and runs this. */
#include "tests/crash/storm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static int usage(const char *program) {
    fprintf(stderr,
            "usage: TARN_SERVER=PATH %s [--seconds N] [--rounds N] [--seed S] [--workers N]\n"
            "           [--appendfsync everysec|always|no] [--ballast KEYS]\n",
            program);
    return EX_USAGE;
}

int main(int count, char **arguments) {
    struct storm_plan plan = {
        .program = getenv("TARN_SERVER"),
        .seed = (uint64_t)time(NULL),
        .is_verbose = true,
    };
    for (int i = 1; i < count; i += 2) {
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (value == NULL) {
            return usage(arguments[0]);
        }
        if (strcmp(arguments[i], "--seconds") == 0) {
            plan.seconds = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(arguments[i], "--rounds") == 0) {
            plan.rounds = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(arguments[i], "--seed") == 0) {
            plan.seed = strtoull(value, NULL, 10);
        } else if (strcmp(arguments[i], "--workers") == 0) {
            plan.workers = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(arguments[i], "--ballast") == 0) {
            plan.ballast = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(arguments[i], "--appendfsync") == 0) {
            plan.sync = value;
        } else {
            return usage(arguments[0]);
        }
    }
    if (plan.program == NULL) {
        return usage(arguments[0]);
    }
    signal(SIGPIPE, SIG_IGN);
    printf("seed %llu\n", (unsigned long long)plan.seed);
    struct storm_result result;
    bool is_good = storm_run(&plan, &result);
    printf("%s%s%u kills, %llu requests acknowledged, %llu not, of which %llu were kept\n",
           result.report, is_good ? "" : "\n", result.kills,
           (unsigned long long)result.acknowledged, (unsigned long long)result.unanswered,
           (unsigned long long)result.kept);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
