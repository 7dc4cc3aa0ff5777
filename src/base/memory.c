#include "base/memory.h"

#include "base/assertion.h"
#include "base/buffer.h"
#include "base/logger.h"
#include "base/numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#ifdef TARN_SANITIZED
/* Where malloc answers NULL, a sanitizer's would end the process: the runtimes ask for this
 * text. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}
#endif

#define TEXT_OF(token) #token
#define TEXT_OF_VALUE(macro) TEXT_OF(macro)

/* Written by hand: whoever has no memory cannot format. */
static _Noreturn void memory_exhausted(size_t size_bytes) {
    char text[96] = "Out of memory: an allocation of ";
    size_t length = strlen(text);
    length += number_format_unsigned(text + length, size_bytes);
    memcpy(text + length, " bytes failed\n", sizeof(" bytes failed\n"));
    logger_write_raw(text);
    abort();
}

/* The C standard lets malloc(0) answer NULL and realloc(block, 0) free: a byte is asked instead. */
static size_t size_at_least_one(size_t size_bytes) {
    return size_bytes + (size_bytes == 0);
}

void *memory_try_alloc(size_t size_bytes) {
    return malloc(size_at_least_one(size_bytes));
}

void *memory_try_realloc(void *block, size_t size_bytes) {
    return realloc(block, size_at_least_one(size_bytes));
}

void *memory_alloc(size_t size_bytes) {
    void *block = memory_try_alloc(size_bytes);
    if (UNLIKELY(block == NULL)) {
        memory_exhausted(size_bytes);
    }
    return block;
}

void *memory_alloc_zeroed(size_t size_bytes) {
    void *block = calloc(1, size_at_least_one(size_bytes));
    if (UNLIKELY(block == NULL)) {
        memory_exhausted(size_bytes);
    }
    return block;
}

void *memory_alloc_aligned(size_t alignment, size_t size_bytes) {
    ASSERT(alignment != 0);
    ASSERT((alignment & (alignment - 1)) == 0);
    void *block = NULL;
    size_t least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    if (UNLIKELY(posix_memalign(&block, least, size_at_least_one(size_bytes)) != 0)) {
        memory_exhausted(size_bytes);
    }
    return block;
}

void *memory_realloc(void *block, size_t size_bytes) {
    void *moved = memory_try_realloc(block, size_bytes);
    if (UNLIKELY(moved == NULL)) {
        memory_exhausted(size_bytes);
    }
    return moved;
}

void *memory_copy(const void *bytes, size_t size_bytes) {
    void *copy = memory_alloc(size_bytes);
    if (size_bytes != 0) {
        memcpy(copy, bytes, size_bytes);
    }
    return copy;
}

char *memory_copy_string(const char *string) {
    return memory_copy(string, strlen(string) + 1);
}

void memory_free(void *block) {
    free(block);
}

size_t memory_resident_bytes(void) {
    char text[128];
    int descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return 0;
    }
    ssize_t length = read(descriptor, text, sizeof(text) - 1);
    close(descriptor);
    if (length <= 0) {
        return 0;
    }
    text[length] = '\0';
    /* The second field counts resident pages. */
    const char *field = strchr(text, ' ');
    if (field == NULL) {
        return 0;
    }
    return (size_t)strtoull(field, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

#ifdef HAVE_JEMALLOC

size_t memory_class_bytes(size_t size_bytes) {
    return nallocx(size_at_least_one(size_bytes), 0);
}

size_t memory_block_bytes(const void *block) {
    return sallocx(block, 0);
}

/* A statistic, or 0 when this jemalloc was built without. */
static size_t statistic_read(const char *name) {
    size_t value = 0;
    size_t value_bytes = sizeof(value);
    return mallctl(name, &value, &value_bytes, NULL, 0) == 0 ? value : 0;
}

void memory_totals_read(struct memory_totals *totals) {
    /* The statistics are those of the last epoch; a new one gathers them anew. */
    uint64_t epoch = 1;
    size_t epoch_bytes = sizeof(epoch);
    mallctl("epoch", &epoch, &epoch_bytes, &epoch, epoch_bytes);
    size_t muzzy_pages =
        statistic_read("stats.arenas." TEXT_OF_VALUE(MALLCTL_ARENAS_ALL) ".pmuzzy");
    *totals = (struct memory_totals){
        .allocated = statistic_read("stats.allocated"),
        .active = statistic_read("stats.active"),
        .resident = statistic_read("stats.resident"),
        .retained = statistic_read("stats.retained"),
        .muzzy = muzzy_pages * statistic_read("arenas.page"),
    };
}

void memory_give_back(void) {
    bool is_on = true;
    if (mallctl("background_thread", NULL, NULL, &is_on, sizeof(is_on)) != 0) {
        log_verbose("The allocator cannot give memory back by itself; MEMORY PURGE does.");
    }
}

void memory_purge(void) {
    mallctl("arena." TEXT_OF_VALUE(MALLCTL_ARENAS_ALL) ".purge", NULL, NULL, NULL, 0);
}

const char *memory_allocator_name(void) {
    return "jemalloc-" TEXT_OF_VALUE(JEMALLOC_VERSION_MAJOR) "." TEXT_OF_VALUE(
        JEMALLOC_VERSION_MINOR) "." TEXT_OF_VALUE(JEMALLOC_VERSION_BUGFIX);
}

static void report_append(void *report, const char *text) {
    buffer_append_string(report, text);
}

char *memory_report(void) {
    struct buffer report = BUFFER_EMPTY;
    malloc_stats_print(report_append, &report, NULL);
    buffer_append_byte(&report, '\0');
    return report.bytes;
}

#else

/* An estimate: what the C library adds is its own secret. Rounded, so that growth steps stay
 * sane. */
size_t memory_class_bytes(size_t size_bytes) {
    size_t rounded = (size_at_least_one(size_bytes) + 15) & ~(size_t)15;
    return rounded < size_bytes ? size_bytes : rounded;
}

size_t memory_block_bytes(const void *block) {
    union {
        const void *lent;
        void *asked;
    } same = {.lent = block};
    return malloc_usable_size(same.asked);
}

void memory_totals_read(struct memory_totals *totals) {
    struct mallinfo2 allocator = mallinfo2();
    size_t resident = memory_resident_bytes();
    *totals = (struct memory_totals){
        .allocated = allocator.uordblks + allocator.hblkhd,
        .active = allocator.arena + allocator.hblkhd,
        .resident = resident,
    };
}

void memory_give_back(void) {
}

void memory_purge(void) {
    malloc_trim(0);
}

const char *memory_allocator_name(void) {
    return "libc";
}

char *memory_report(void) {
    struct memory_totals totals;
    memory_totals_read(&totals);
    struct buffer report = BUFFER_EMPTY;
    buffer_format(&report, "libc allocator: %zu bytes allocated, %zu active, %zu resident\n",
                  totals.allocated, totals.active, totals.resident);
    buffer_append_byte(&report, '\0');
    return report.bytes;
}

#endif
