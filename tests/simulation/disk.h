/* A disk in memory that does to its files what disks and kernels may do, from one seed: the same
 * calls give the same misfortunes.
 *
 *   loss of power    of each sector that was written and not synced, the old content survives, or
 *                    the new one, or the new one up to some byte; a size that was not synced may be
 *                    old or new; of the names made, renamed and removed since the last
 *                    sync_names(), any subset, in order
 *   failing calls    from some call on, so many of them; a write may get a part done; a sync may
 *                    write some sectors, and drop others for good although they read as written
 *   bit flips        anywhere in a file
 *
 * The end of the process alone loses nothing of what was written: simulated_disk_stop(), the end of
 * whatever has files open, simulated_disk_start(). One thread.
 */
#ifndef TARN_TESTS_SIMULATION_DISK_H
#define TARN_TESTS_SIMULATION_DISK_H

#include "base/random.h"
#include "io/disk.h"

struct simulated_disk;

struct simulated_disk *simulated_disk_new(uint64_t seed);
void simulated_disk_free(struct simulated_disk *disk); /* no file is open any more */

/* The interface; valid as long as the disk is. */
struct disk simulated_disk_interface(struct simulated_disk *disk);

/* Calls that change something or sync, so far. */
uint64_t simulated_disk_calls(const struct simulated_disk *disk);
/* Of these, lets fail those that come after the next `skip`, `count` of them. */
void simulated_disk_fail(struct simulated_disk *disk, uint64_t skip, uint64_t count, int error);
void simulated_disk_heal(struct simulated_disk *disk);

/* Calls it at the end of each sync of a file, when nothing that is written from then on is covered:
 * what another thread would do meanwhile. NULL: no more. */
typedef void (*simulated_disk_meanwhile)(void *context);
void simulated_disk_set_meanwhile(struct simulated_disk *disk, simulated_disk_meanwhile meanwhile,
                                  void *context);

/* All calls fail and change nothing, until the start. */
void simulated_disk_stop(struct simulated_disk *disk);
void simulated_disk_start(struct simulated_disk *disk);
/* No file is open any more. */
void simulated_disk_lose_power(struct simulated_disk *disk);
/* Flips one bit of one file. False: there is none. */
bool simulated_disk_flip_bit(struct simulated_disk *disk);
/* Flips that bit of the file of this name, which has been synced and is long enough. */
void simulated_disk_flip_bit_at(struct simulated_disk *disk, const char *name, uint64_t bit);

#endif
