/* The incremental parser of what clients send: RESP arrays of bulk strings, and inline commands.
 *
 * Bytes in; a command, "incomplete", "a large argument comes", or an error out. It never reads a
 * socket and never recurses. It allocates only the argument list, which follows the arguments that
 * really arrived, never an announced count, and room for quoted inline arguments.
 *
 * Lifecycle: parser_init() once per connection; parser_next() each time there may be more to parse.
 *   READY       arguments holds the command; its first byte was at bytes[0], and `consumed` bytes
 *               belong to it. The spans point into `bytes`, into blocks, and, for quoted inline
 *               arguments, into memory of the parser. They and the list are valid until the next
 *               parser_next(). Zero arguments (an empty line, "*0", "*-1") are READY with count 0:
 *               skip it.
 *   INCOMPLETE  call again with the same first byte and more behind it. What was parsed is not
 *               parsed again. If the bytes moved in memory, call parser_rebase() first.
 *   LARGE       a bulk string of `large_length` >= BLOCK_BYTES_MIN bytes starts at bytes[consumed].
 *               The caller collects exactly that many bytes in a block (those already in the
 *               buffer, then straight from the socket), calls parser_large_done(), drops those
 *               bytes from its buffer, and calls parser_next() again, whose bytes go on with the CR
 *               LF behind the value. For the parser the buffer then looks as if the value had
 *               never been in it.
 *   ERROR       `error` is the text Redis sends (without "-" and CR LF), e.g. "ERR Protocol error:
 *               invalid multibulk length"; or PARSER_OUT_OF_MEMORY, when there is none for the
 *               list of arguments. The connection is to be closed after the reply.
 *
 * Source of the grammar and of the limits: the RESP specification and the behaviour of redis-server
 * 7 (inline and multibulk header lines at most 64 KiB, multibulk count at most 2^31-1, or 10 before
 * authentication; bulk at most proto-max-bulk-len, or 16384 before authentication). As there:
 *   - A header line ends at its CR, and the byte behind the CR is skipped unseen. So are the two
 *     bytes behind a bulk string.
 *   - An inline line ends at its LF, with or without a CR before it.
 *   - A line that holds a zero byte never ends, until it is too long.
 * Unlike there, the limit of a line does not depend on how the bytes were split on their way: a
 * longer line is an error even when it arrived whole.
 */
#ifndef TARN_PROTOCOL_PARSER_H
#define TARN_PROTOCOL_PARSER_H

#include "base/block.h"
#include "base/buffer.h"
#include "base/span.h"

#include <stdint.h>

#define PARSER_LINE_BYTES_MAX ((size_t)64 * 1024)
#define PARSER_ARGUMENTS_MAX 2147483647L
#define PARSER_UNAUTHENTICATED_ARGUMENTS_MAX 10L
#define PARSER_UNAUTHENTICATED_BULK_BYTES_MAX ((size_t)16384)
#define ARGUMENTS_KEPT_MAX 1024

#define PARSER_OUT_OF_MEMORY "OOM there is not enough memory for the arguments of this command"

enum parser_status {
    PARSER_READY,
    PARSER_INCOMPLETE,
    PARSER_LARGE,
    PARSER_ERROR,
};

/* A growable list of arguments. blocks is NULL unless some argument came as a block; then
 * blocks[i] is argument i's block, or NULL. The list owns a reference of each. */
struct arguments {
    struct span *items;
    struct block **blocks;
    uint32_t count;
    uint32_t capacity;
};

void arguments_init(struct arguments *arguments);
/* Releases the blocks; keeps the room, unless it is more than ARGUMENTS_KEPT_MAX items. */
void arguments_clear(struct arguments *arguments);
void arguments_free(struct arguments *arguments);
/* False: there is no memory for more, and the block stays the caller's. */
bool arguments_push(struct arguments *arguments, struct span item, struct block *block);

struct parser {
    struct arguments arguments; /* of the command being parsed, or just parsed */
    int64_t items_left;         /* arguments still to come; -1: the header is not parsed yet */
    int64_t bulk_length;        /* of the argument whose header is parsed, or PARSER_BULK_* */
    size_t position;            /* bytes of the current command that are parsed */
    size_t scanned;             /* up to here the current line is known not to end */
    size_t consumed;
    size_t large_length;
    struct buffer unquoted; /* what quoted inline arguments say */
    const char *error;
    char error_text[64]; /* where a text that quotes a byte is made */
};

#define PARSER_BULK_UNKNOWN (-1) /* the header of the next argument is not parsed yet */
#define PARSER_BULK_TAKEN (-2)   /* its value came as a block; the CR LF behind it is to come */

struct parser_limits {
    size_t bulk_bytes_max; /* proto-max-bulk-len; at least BLOCK_BYTES_MIN */
    bool authenticated;
    bool take_large; /* answer LARGE (else large arguments are parsed like others) */
};

void parser_init(struct parser *parser);
void parser_free(struct parser *parser);

/* Parses bytes[0..length), whose first byte is the first byte of the current command. The limits
 * hold for this command: ask for the next one after AUTH has been executed. */
enum parser_status parser_next(struct parser *parser, const char *bytes, size_t length,
                               const struct parser_limits *limits);

/* The argument announced by LARGE has been collected; takes over the caller's reference. False:
 * there is no memory to note it, and the reference stays the caller's. */
bool parser_large_done(struct parser *parser, struct block *block);

/* The buffer moved: arguments that pointed behind old_bytes point behind new_bytes. */
void parser_rebase(struct parser *parser, const char *old_bytes, const char *new_bytes);

#endif
