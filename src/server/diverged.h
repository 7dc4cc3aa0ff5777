/* Diverged: what `tarn-log diverged` does with the files that a node kept of a log that was not its
 * new primary's (oplog/divergence.h). */
#ifndef TARN_SERVER_DIVERGED_H
#define TARN_SERVER_DIVERGED_H

/* For --help. */
extern const char diverged_usage[];
extern const char diverged_help[];

/* The words behind `tarn-log diverged`. Answers an exit code of sysexits.h. */
int diverged_run(int count, char *const *words);

#endif
