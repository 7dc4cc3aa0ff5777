/* Snapshot conversion: the actions import and export of tarn-snapshot, from arguments to an exit
 * code. Writes to standard output and standard error.
 */
#ifndef TARN_SERVER_SNAPSHOT_CONVERSION_H
#define TARN_SERVER_SNAPSHOT_CONVERSION_H

#include <stdbool.h>

#define SNAPSHOT_IMPORT_DATABASES 16 /* as databases' default */

/* The word is one of these actions. */
bool snapshot_conversion_is(const char *word);
/* argv[1] is; EX_USAGE: the rest does not fit, and nothing was said. */
int snapshot_conversion_run(int argc, char **argv);

#endif
