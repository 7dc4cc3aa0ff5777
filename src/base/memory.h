/* Memory from jemalloc (the C library's allocator in sanitizer builds).
 *
 * An allocation of a size that is our own cannot fail: memory_alloc() and its kin end the process
 * when the machine has none left. A size that a client chose goes through memory_try_alloc(), which
 * answers NULL, and the client gets an OOM error. Every function may be called by any thread.
 */
#ifndef TARN_BASE_MEMORY_H
#define TARN_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *memory_alloc(size_t size_bytes);
void *memory_alloc_zeroed(size_t size_bytes);
void *memory_alloc_aligned(size_t alignment, size_t size_bytes); /* alignment: a power of two */
void *memory_realloc(void *block, size_t size_bytes);            /* a NULL block is an allocation */
void *memory_copy(const void *bytes, size_t size_bytes);
char *memory_copy_string(const char *string);
void memory_free(void *block); /* NULL is allowed */

void *memory_try_alloc(size_t size_bytes);                /* NULL when there is none */
void *memory_try_realloc(void *block, size_t size_bytes); /* NULL: none, and block is unchanged */

/* Bytes that an allocation of size_bytes really occupies: the allocator's size class. */
size_t memory_class_bytes(size_t size_bytes);
/* Bytes that this block really occupies: with jemalloc the class of its size; in sanitizer builds
 * the two need not agree, so a sum keeps to one of them. */
size_t memory_block_bytes(const void *block);

/* The allocator's view of the whole process, in bytes. Takes tens of microseconds: not per request.
 * Source: jemalloc's stats.*; in sanitizer builds only `allocated` is known, and is an estimate. */
struct memory_totals {
    size_t allocated; /* handed out to the program */
    size_t active;    /* in pages that hold at least one allocation */
    size_t resident;  /* mapped and present */
    size_t retained;  /* virtual memory kept without pages */
    size_t muzzy;     /* freed lazily to the system */
};
void memory_totals_read(struct memory_totals *totals);

/* Resident set of the process, in bytes, from the kernel (/proc/self/statm). */
size_t memory_resident_bytes(void);

/* Has unused pages given back to the system by and by, by a thread of the allocator's. Once, after
 * signals_init(). */
void memory_give_back(void);
/* Gives unused pages back to the system now (MEMORY PURGE). */
void memory_purge(void);

/* "jemalloc-5.3.0" or "libc", for INFO. */
const char *memory_allocator_name(void);

/* The allocator's own report, as text; the caller frees it with memory_free(). */
char *memory_report(void);

#endif
