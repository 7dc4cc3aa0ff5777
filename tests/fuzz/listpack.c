/* A list pack from outside: what listpack_is_valid() lets pass can be walked, searched and changed
 * without reading or writing beyond it, and stays valid. */
#include "structures/listpack.h"

#include "base/assertion.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What the walk forward and the walk backward see must be the same elements. */
static size_t walk(const unsigned char *pack) {
    size_t count = 0;
    size_t bytes = LISTPACK_EMPTY_BYTES;
    for (size_t place = listpack_first(pack); place != LISTPACK_END;
         place = listpack_next(pack, place)) {
        char scratch[LISTPACK_NUMBER_TEXT_MAX];
        struct span text = listpack_text(pack, place, scratch);
        ASSERT(text.length <= listpack_bytes(pack));
        ASSERT(listpack_equal(pack, place, text));
        ASSERT(listpack_get(pack, place).is_number == (text.bytes == scratch));
        bytes += listpack_stored_bytes(pack, place);
        count++;
    }
    ASSERT(bytes == listpack_bytes(pack));
    ASSERT(count == listpack_count(pack));
    for (size_t place = listpack_last(pack); place != LISTPACK_END;
         place = listpack_previous(pack, place)) {
        count--;
    }
    ASSERT(count == 0);
    return listpack_count(pack);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    /* A copy of the exact size, for a sanitizer to guard. */
    unsigned char *pack = malloc(length + (length == 0));
    memcpy(pack, bytes, length);
    if (!listpack_is_valid(pack, length)) {
        free(pack);
        return 0;
    }
    struct span added = span_of("added text", 10);
    size_t count = walk(pack);
    for (uint32_t skip = 0; skip < 3; skip++) {
        listpack_find(pack, listpack_first(pack), added, skip);
        listpack_find(pack, listpack_first(pack), span_of("17", 2), skip);
    }
    for (int64_t index = -3; index < 3; index++) {
        listpack_seek(pack, index);
    }

    /* Put an element in the middle, replace one, take them out again. */
    pack = realloc(pack, length + listpack_element_bytes(added));
    size_t place = listpack_seek(pack, (int64_t)(count / 2));
    place = listpack_insert(pack, place, added);
    ASSERT(listpack_equal(pack, place, added));
    ASSERT(walk(pack) == count + 1);
    listpack_replace(pack, place, span_of("1", 1));
    ASSERT(walk(pack) == count + 1);
    listpack_delete(pack, place, 1);
    ASSERT(walk(pack) == count);
    ASSERT(listpack_bytes(pack) == length);
    ASSERT(listpack_is_valid(pack, length));
    listpack_delete(pack, listpack_first(pack) == LISTPACK_END ? 6 : listpack_first(pack), count);
    ASSERT(listpack_first(pack) == LISTPACK_END);
    free(pack);
    return 0;
}
