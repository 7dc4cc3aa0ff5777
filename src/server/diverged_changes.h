/* Diverged changes: what divergence files hold, key by key, and what of it may go to the primary
 * that runs now.
 *
 *   files -> diverged_changes_add() -> _finish()
 *            the primary's log since the fork -> diverged_changes_seen() -> _choose() ->
 *            _commands()
 *
 * A key that the primary has not written since the fork is there as it was at the fork: so the
 * effects of the files, in their order, bring it to what the diverged history held. One that it has
 * written can only be replaced whole, by what an effect that says all of the value began: by time,
 * if it is asked for.
 *
 * Keys that were moved onto each other are a group: all of it goes, or nothing. A flush stands for
 * the deletion of those keys that the files name. Memory: about what the files hold. No I/O; one
 * owner, one thread at a time.
 */
#ifndef TARN_SERVER_DIVERGED_CHANGES_H
#define TARN_SERVER_DIVERGED_CHANGES_H

#include "base/buffer.h"
#include "base/span.h"

#include <stddef.h>
#include <stdint.h>

enum diverged_choice {
    DIVERGED_UNWRITTEN, /* goes: the primary has not written it */
    DIVERGED_NEWER,     /* goes: the primary's last write is older, and all of the value is known */
    DIVERGED_WRITTEN,   /* stays: the primary has written it */
    DIVERGED_OLDER,     /* stays: the primary's last write is not older */
    DIVERGED_PARTIAL,   /* stays: newer, but only part of the value is known */
    DIVERGED_CHOICES,
};

struct diverged_key {
    struct span key;
    uint32_t database;
    uint64_t effects;
    int64_t time_ms;    /* of the last one */
    int64_t written_ms; /* of the primary's last write since the fork; 0: none */
    enum diverged_choice choice;
};

/* Frames of either side. */
struct diverged_frame {
    struct span content;
    int64_t time_ms;
};

struct diverged_changes;

struct diverged_changes *diverged_changes_new(void);
void diverged_changes_free(struct diverged_changes *changes);

/* The frames of the files, in order. False: one holds no effects; a sentence is appended. */
bool diverged_changes_add(struct diverged_changes *changes, const struct diverged_frame *frame,
                          struct buffer *report);
/* All have been added. */
void diverged_changes_finish(struct diverged_changes *changes);
/* Keys in their order, by database and then by name; flushes that the files hold. */
size_t diverged_changes_keys(const struct diverged_changes *changes);
uint64_t diverged_changes_flushes(const struct diverged_changes *changes);
/* Databases were swapped: behind that, keys are not where the primary has them, and nothing of it
 * may go there. */
bool diverged_changes_has_swap(const struct diverged_changes *changes);
void diverged_changes_key(const struct diverged_changes *changes, size_t index,
                          struct diverged_key *key);

/* The frames of the primary's log from the fork on. False: one holds no effects; a sentence is
 * appended. */
bool diverged_changes_seen(struct diverged_changes *changes, const struct diverged_frame *frame,
                           struct buffer *report);
/* Again after more has been seen. */
void diverged_changes_choose(struct diverged_changes *changes, bool by_time);

/* A batch: groups that go, from the one with the key `first` on. */
struct diverged_batch {
    size_t *keys; /* their indexes */
    size_t count;
    size_t next; /* the first key of the next batch; diverged_changes_keys(): there is none */
};
#define DIVERGED_BATCH_KEYS 256
#define DIVERGED_BATCH_BYTES ((size_t)1024 * 1024)

void diverged_changes_batch(const struct diverged_changes *changes, size_t first,
                            struct diverged_batch *batch);
/* The batch was written: what is seen of its keys from then on changes nothing. */
void diverged_changes_settle(struct diverged_changes *changes, const struct diverged_batch *batch);
void diverged_batch_free(struct diverged_batch *batch);
/* Appends the commands that bring the batch's keys to the primary, in the order of the files, for a
 * connection in any database. Keys of it that do not go any more are left out. Answers the
 * effects. */
uint64_t diverged_changes_commands(const struct diverged_changes *changes,
                                   const struct diverged_batch *batch, struct buffer *commands);

#endif
