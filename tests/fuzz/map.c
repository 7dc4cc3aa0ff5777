/* Maps and their changes from outside: what is read as a map holds the invariants, and is written
 * again as what reads the same; an entry changes a map or is refused, with a sentence.
 *
 * The input: length 4 of a map, the map, an entry. */
#include "base/bytes.h"
#include "cluster/map_change.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_bytes(const struct map *map) {
    struct buffer once = BUFFER_EMPTY;
    struct buffer twice = BUFFER_EMPTY;
    map_write(map, &once);
    struct map *again = map_read(buffer_span(&once));
    ASSERT(again != NULL);
    map_write(again, &twice);
    ASSERT(span_equal(buffer_span(&once), buffer_span(&twice)));
    map_return(again);
    buffer_free(&once);
    buffer_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const unsigned char group[MAP_ID_BYTES] = {1};
    if (length < 4) {
        return 0;
    }
    struct span rest = span_of(bytes + 4, length - 4);
    size_t map_length = bytes_load_u32(bytes);
    map_length = map_length < rest.length ? map_length : rest.length;
    struct map *map = map_read(span_of(rest.bytes, map_length));
    if (map != NULL) {
        check_bytes(map);
    } else {
        map = map_new(group);
    }
    struct buffer report = BUFFER_EMPTY;
    struct map *next = map_change_apply(
        map, map->index + 1, span_of(rest.bytes + map_length, rest.length - map_length), &report);
    ASSERT((next == NULL) == (report.length > 0));
    if (next != NULL) {
        check_bytes(next);
    }
    map_return(next);
    map_return(map);
    buffer_free(&report);
    return 0;
}
