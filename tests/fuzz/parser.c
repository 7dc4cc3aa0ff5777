/* Fuzzes the parser of what clients send. The input is the stream of one connection.
 *
 * Whatever the stream: the answers are the same however it is cut, before authentication too, and
 * with large arguments in blocks or in the buffer; and the commands, sent again in the one form
 * that every client uses, are the same commands.
 */
#include "tests/unit/protocol/parser_feed.h"

#include <stdint.h>

/* Byte by byte takes time in the square of the length. */
#define SINGLE_BYTES_LENGTH_MAX ((size_t)4096)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void expect(struct span stream, struct parser_limits limits, struct feed_pieces pieces,
                   struct span expected) {
    struct feed_transcript got = feed_transcript_of(stream, limits, pieces, true);
    ASSERT(span_equal(buffer_span(&got.text), expected));
    buffer_free(&got.text);
}

static void check(struct span stream, struct parser_limits limits, uint64_t seed) {
    struct feed_transcript whole =
        feed_transcript_of(stream, limits, (struct feed_pieces){0}, true);
    struct span expected = buffer_span(&whole.text);
    expect(stream, limits, (struct feed_pieces){.seed = seed}, expected);
    expect(stream, limits, (struct feed_pieces){.first = 1 + seed % (stream.length + 1)}, expected);
    if (stream.length <= SINGLE_BYTES_LENGTH_MAX) {
        expect(stream, limits, (struct feed_pieces){.first = 1, .later = 1}, expected);
    }
    struct parser_limits other = limits;
    other.take_large = !limits.take_large;
    expect(stream, other, (struct feed_pieces){.seed = seed}, expected);
    if (limits.authenticated) {
        struct span commands = span_of(whole.text.bytes, whole.commands_length);
        expect(commands, limits, (struct feed_pieces){0}, commands);
    }
    buffer_free(&whole.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    uint64_t seed = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++) {
        seed = (seed ^ bytes[i]) * UINT64_C(1099511628211);
    }
    seed |= 1;
    struct parser_limits limits = {
        .bulk_bytes_max = (size_t)1024 * 1024, .authenticated = true, .take_large = true};
    check(span_of(bytes, length), limits, seed);
    limits.authenticated = false;
    check(span_of(bytes, length), limits, seed);
    return 0;
}
