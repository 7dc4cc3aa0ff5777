/* Crash tests: a real server is loaded by clients that record what was acknowledged, killed at a
 * random moment, started again in the same folder, and read back; and so on, round by round, on the
 * data that is there.
 *
 *   writers   pipelines over two databases each; what is found must be what the first n of the
 *             requests that one sent make, with n between those acknowledged and those sent
 *   bankers   transactions that count up BANK_KEYS keys of different slots: all equal, at least
 *             what was acknowledged, at most what was sent
 *   reader    reads these keys: never less is found than it saw
 *
 * Meanwhile snapshots are asked for, the log is switched off and on, all is loaded anew by DEBUG
 * RELOAD, segments are small, and now and then the server is killed a second time while it loads.
 * Each round starts it with other options. All that is not a matter of time follows from the seed.
 */
#ifndef TARN_TESTS_CRASH_STORM_H
#define TARN_TESTS_CRASH_STORM_H

#include <stdbool.h>
#include <stdint.h>

#define STORM_REPORT_BYTES 4096

struct storm_plan {
    const char *program; /* tarn-server */
    uint64_t seed;
    uint32_t rounds;  /* at most, 0: no maximum */
    uint32_t seconds; /* at most, 0: no maximum */
    uint32_t workers; /* 0: each round another count */
    const char *sync; /* of appendfsync; NULL: each round another one */
    uint32_t ballast; /* keys that nobody changes, so that snapshots and loading last longer */
    bool is_verbose;  /* a line per round on standard output */
};

struct storm_result {
    uint32_t rounds;                 /* done well */
    uint32_t kills;                  /* by SIGKILL, those while it loaded among them */
    uint32_t switches;               /* of the log, off and on */
    uint32_t reloads;                /* by DEBUG */
    uint64_t acknowledged;           /* requests */
    uint64_t unanswered;             /* sent, and not acknowledged */
    uint64_t kept;                   /* of these, found after the start */
    char report[STORM_REPORT_BYTES]; /* why it failed */
};

/* False: something was lost, or invented, or the server did not start. Its folder is kept, and the
 * report names it. */
bool storm_run(const struct storm_plan *plan, struct storm_result *result);

#endif
