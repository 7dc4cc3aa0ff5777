#include "base/lzf.h"

#include <stdint.h>

#define LITERALS_MAX ((size_t)32)
#define DISTANCE_MAX ((size_t)8192)
#define MATCH_MIN ((size_t)3)
#define MATCH_MAX ((size_t)264)
#define MATCH_SHORT_MAX ((size_t)8) /* longer ones have a length byte */
#define HASH_BITS 13

/* ---- compressing ---- */

/* Where a run is being written. The bytes since `literals` are not in it yet. */
struct writer {
    const unsigned char *source;
    size_t literals;
    unsigned char *target;
    size_t length;
    size_t room;
};

static bool put(struct writer *writer, size_t byte) {
    if (writer->length == writer->room) {
        return false;
    }
    writer->target[writer->length++] = (unsigned char)byte;
    return true;
}

static bool put_literals(struct writer *writer, size_t end) {
    while (writer->literals < end) {
        size_t count = end - writer->literals;
        if (count > LITERALS_MAX) {
            count = LITERALS_MAX;
        }
        if (writer->room - writer->length < count + 1) {
            return false;
        }
        writer->target[writer->length++] = (unsigned char)(count - 1);
        memcpy(writer->target + writer->length, writer->source + writer->literals, count);
        writer->length += count;
        writer->literals += count;
    }
    return true;
}

static bool put_match(struct writer *writer, size_t distance, size_t count) {
    size_t back = distance - 1;
    if (count <= MATCH_SHORT_MAX) {
        return put(writer, (count - 2) << 5 | back >> 8) && put(writer, back & 0xff);
    }
    return put(writer, (size_t)7 << 5 | back >> 8) && put(writer, count - 9) &&
           put(writer, back & 0xff);
}

static uint32_t three_bytes(const unsigned char *place) {
    return (uint32_t)place[0] | (uint32_t)place[1] << 8 | (uint32_t)place[2] << 16;
}

static size_t hash_of(uint32_t three) {
    return (uint32_t)(three * UINT32_C(2654435761)) >> (32 - HASH_BITS);
}

static size_t match_length(const unsigned char *earlier, const unsigned char *place, size_t max) {
    size_t length = 0;
    while (length < max && earlier[length] == place[length]) {
        length++;
    }
    return length;
}

size_t lzf_compress(struct span source, char *target, size_t room) {
    const unsigned char *bytes = (const unsigned char *)source.bytes;
    struct writer writer = {
        .source = bytes, .target = (unsigned char *)target, .room = room, .length = 0};
    /* Where three bytes of this hash stood last: their place's low bits, which are enough, since
     * what is too far back is of no use. Wrong guesses are seen when bytes are compared. */
    uint16_t places[1 << HASH_BITS] = {0};
    size_t at = 1; /* nothing stands before the first byte */
    while (at + MATCH_MIN <= source.length) {
        size_t hash = hash_of(three_bytes(bytes + at));
        size_t distance = (at - places[hash]) & UINT16_MAX;
        places[hash] = (uint16_t)at;
        size_t length = 0;
        if (distance != 0 && distance <= DISTANCE_MAX && distance <= at) {
            size_t left = source.length - at;
            length = match_length(bytes + at - distance, bytes + at,
                                  left < MATCH_MAX ? left : MATCH_MAX);
        }
        if (length < MATCH_MIN) {
            at++;
            continue;
        }
        if (!put_literals(&writer, at) || !put_match(&writer, distance, length)) {
            return 0;
        }
        at += length;
        writer.literals = at;
        size_t last = at - 1;
        if (last + MATCH_MIN <= source.length) {
            places[hash_of(three_bytes(bytes + last))] = (uint16_t)last;
        }
    }
    return put_literals(&writer, source.length) ? writer.length : 0;
}

/* ---- expanding ---- */

static void copy_back(char *target, size_t distance, size_t count) {
    const char *from = target - distance;
    if (distance >= count) {
        memcpy(target, from, count);
        return;
    }
    if (distance == 1) {
        memset(target, *from, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        target[i] = from[i];
    }
}

bool lzf_expand(struct span source, char *target, size_t length) {
    const unsigned char *bytes = (const unsigned char *)source.bytes;
    size_t made = 0;
    for (size_t at = 0; at < source.length;) {
        size_t first = bytes[at++];
        if (first < LITERALS_MAX) {
            size_t count = first + 1;
            if (count > source.length - at || count > length - made) {
                return false;
            }
            memcpy(target + made, bytes + at, count);
            at += count;
            made += count;
            continue;
        }
        size_t count = first >> 5;
        size_t more = count == 7 ? 2 : 1;
        if (more > source.length - at) {
            return false;
        }
        if (count == 7) {
            count += bytes[at++];
        }
        count += 2;
        size_t distance = ((first & 0x1f) << 8 | bytes[at++]) + 1;
        if (distance > made || count > length - made) {
            return false;
        }
        copy_back(target + made, distance, count);
        made += count;
    }
    return made == length;
}
