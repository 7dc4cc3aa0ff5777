#include "server/log_base.h"

#include "base/memory.h"
#include "execute/conversion.h"
#include "io/clock.h"
#include "replication/lineage.h"
#include "server/file_place.h"
#include "server/server.h"
#include "snapshot/snapshot_reader.h"

#include <stdio.h>
#include <sysexits.h>

#define PROGRAM "tarn-log"

/* What the segments tell of the histories that the log has come through. */
static void lineage_of(const struct segments *segments, struct lineage *lineage) {
    for (size_t i = 0; i < segments->count; i++) {
        const struct segment_found *found = &segments->found[i];
        if (found->problem != NULL) {
            continue;
        }
        if (lineage->count == 0 && !history_is_none(&found->header.parent)) {
            lineage_add(lineage, &found->header.parent, 0);
        }
        struct history last = lineage_current(lineage);
        if (!history_equal(&last, &found->header.history)) {
            lineage_add(lineage, &found->header.history, found->header.begin);
        }
    }
}

static bool holds_end(const struct segments *segments, const struct snapshot_reader *snapshot) {
    struct lineage *lineage = memory_alloc_zeroed(sizeof(*lineage));
    const struct lineage_part end = {.history = snapshot->header.history,
                                     .position = snapshot->end.end};
    lineage_of(segments, lineage);
    bool answer = segments->count > 0 && segments->found[0].name.first <= end.position &&
                  lineage_holds(lineage, &end);
    memory_free(lineage);
    return answer;
}

/* 0, or an exit code. */
static int check(const struct segments *segments, const struct file_place *place) {
    struct snapshot_reader *snapshot = NULL;
    struct buffer report = BUFFER_EMPTY;
    enum snapshot_read_status status =
        snapshot_reader_open(&place->disk, place->name, &snapshot, &report);
    int code = status == SNAPSHOT_READ_DONE     ? 0
               : status == SNAPSHOT_READ_FAILED ? EX_IOERR
                                                : EX_DATAERR;
    if (code != 0) {
        fprintf(stderr, PROGRAM ": %.*s\n", (int)report.length, report.bytes);
    } else if (!holds_end(segments, snapshot)) {
        fprintf(stderr,
                PROGRAM ": the log does not go on from position %llu of the snapshot's "
                        "history\n",
                (unsigned long long)snapshot->end.end);
        code = EX_DATAERR;
    }
    buffer_free(&report);
    if (snapshot != NULL) {
        snapshot_reader_close(snapshot);
    }
    return code;
}

static int convert(const struct file_place *source, const struct file_place *target,
                   uint64_t *position) {
    struct store_options options;
    struct buffer report = BUFFER_EMPTY;
    store_options_init(&options);
    const struct conversion_plan plan = {
        .source = &source->disk,
        .source_name = source->name,
        .target = &target->disk,
        .target_name = target->name,
        .options = &options,
        .now_ms = clock_wall_ms(),
        .compresses = true,
        .redis_version = NODE_REDIS_VERSION,
    };
    uint64_t keys;
    enum import_status status = conversion_to_rdb(&plan, position, &keys, &report);
    if (status != IMPORT_DONE) {
        fprintf(stderr, PROGRAM ": %.*s\n", (int)report.length, report.bytes);
    }
    buffer_free(&report);
    store_options_clear(&options);
    return status == IMPORT_DONE ? 0 : status == IMPORT_FAILED ? EX_IOERR : EX_DATAERR;
}

int log_base_write(const struct segments *segments, const char *snapshot, const char *file,
                   uint64_t *position) {
    struct file_place source;
    struct file_place target;
    int code = file_place_open(&source, PROGRAM, snapshot, EX_NOINPUT);
    if (code != 0) {
        return code;
    }
    code = check(segments, &source);
    code = code != 0 ? code : file_place_open(&target, PROGRAM, file, EX_CANTCREAT);
    if (code == 0) {
        code = convert(&source, &target, position);
        file_place_close(&target);
    }
    file_place_close(&source);
    return code;
}
