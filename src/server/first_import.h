/* First import: what a redis-server left in the folder `dir` is taken over at a start that finds
 * neither a snapshot nor a log. As every loading it is one that clients see the progress of, and
 * that SIGTERM ends.
 *
 *   begin -> the import's thread: read a piece of the file -> [all workers stand still: its keys
 *   and commands] -> read the next piece ... -> end
 *
 * While a piece is read the workers go on, and answer LOADING. A piece is what the readers of files
 * ask the disk for at once; so a stop lasts as long as its keys and commands take.
 *
 * Nothing records what is imported: a snapshot is to follow.
 *
 * Thread: the main one, but for the progress, which is anybody's.
 */
#ifndef TARN_SERVER_FIRST_IMPORT_H
#define TARN_SERVER_FIRST_IMPORT_H

#include "execute/import.h"
#include "server/server.h"

struct first_import;

/* NULL and 0: there is nothing to import. NULL and an exit code: the log says why. The workers
 * run. */
struct first_import *first_import_begin(struct server *server, int *code);
/* Waits up to so long; true when it has come to its end. */
bool first_import_wait(struct first_import *import, int64_t timeout_ms);
/* Breaks it off where it is: for a server that ends. */
void first_import_give_up(struct first_import *import);
/* Waits for its end and frees it; the workers still run. 0, or an exit code: the log says why. */
int first_import_end(struct first_import *import, struct import_result *result);

/* Bytes of files. */
uint64_t first_import_bytes(const struct first_import *import);
uint64_t first_import_bytes_done(const struct first_import *import);

#endif
