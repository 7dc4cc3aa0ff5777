#include "replication/redis_follower.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "protocol/parser.h"
#include "snapshot/rdb_reader.h"

#include <inttypes.h>
#include <string.h>

#define SHOWN_BYTES_MAX 128

/* Commands whose spans point into the input. */
struct batch {
    struct span *spans;
    size_t spans_count;
    size_t spans_capacity;
    struct redis_command *commands; /* args is an index until they are given */
    size_t *starts;
    size_t count;
    size_t capacity;
};

struct redis_follower {
    struct redis_follower_plan plan;
    enum redis_follower_stage stage;
    struct buffer input; /* what came and has not been taken */
    struct buffer reason;
    struct buffer out;

    /* FILE */
    bool has_length; /* the file's form is known */
    char mark[REDIS_EOF_MARK_BYTES];
    bool has_mark; /* and it ends with this */
    struct rdb_reader *reader;
    bool is_file_read;         /* what follows it is the mark */
    struct redis_stand coming; /* where the stream stands once it is loaded */

    /* STREAM */
    struct parser parser;
    struct batch batch;
    bool is_in_transaction;
    bool is_joined; /* the next command is of the transaction of the one before */
    size_t sought;  /* bytes of the input that begin with a MULTI, and hold no EXEC */
    bool owes_ack;
    int64_t acked_ms;
    struct redis_follower_figures figures;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct redis_follower *follower,
                                                       const char *format, ...) {
    if (follower->stage != REDIS_FOLLOWER_ENDED) {
        follower->stage = REDIS_FOLLOWER_ENDED;
        va_list arguments;
        va_start(arguments, format);
        buffer_format_arguments(&follower->reason, format, arguments);
        va_end(arguments);
        buffer_append_byte(&follower->reason, '\0');
    }
    return false;
}

/* The target, or the reader, has appended why. */
static bool fail_as_reported(struct redis_follower *follower) {
    follower->stage = REDIS_FOLLOWER_ENDED;
    buffer_append_byte(&follower->reason, '\0');
    return false;
}

/* ---- lifecycle ---- */

struct redis_follower *redis_follower_new(const struct redis_follower_plan *plan) {
    struct redis_follower *follower = memory_alloc_zeroed(sizeof(*follower));
    const struct redis_stand *stand = plan->stand;
    follower->plan = *plan;
    follower->acked_ms = plan->now_ms;
    follower->figures.heard_ms = plan->now_ms;
    parser_init(&follower->parser);
    char offset[NUMBER_TEXT_BYTES_MAX] = "-1";
    size_t length = 2;
    if (stand->id[0] != '\0') {
        length = number_format_unsigned(offset, stand->offset + 1);
    }
    const char *id = stand->id[0] == '\0' ? "?" : stand->id;
    buffer_format(&follower->out, "*3\r\n$5\r\nPSYNC\r\n$%zu\r\n%s\r\n$%zu\r\n%.*s\r\n", strlen(id),
                  id, length, (int)length, offset);
    return follower;
}

void redis_follower_free(struct redis_follower *follower) {
    if (follower == NULL) {
        return;
    }
    if (follower->reader != NULL) {
        rdb_reader_free(follower->reader);
    }
    parser_free(&follower->parser);
    memory_free(follower->batch.spans);
    memory_free(follower->batch.commands);
    memory_free(follower->batch.starts);
    buffer_free(&follower->input);
    buffer_free(&follower->reason);
    buffer_free(&follower->out);
    memory_free(follower);
}

/* ---- lines ---- */

/* Takes the first line off the input, without its end; those that are empty say that the primary
 * lives. False: it has not all come, or the link has ended. */
static bool take_line(struct redis_follower *follower, struct span *rest, struct span *line) {
    while (rest->length > 0 && rest->bytes[0] == '\n') {
        *rest = span_of(rest->bytes + 1, rest->length - 1);
    }
    const char *end = rest->length == 0 ? NULL : memchr(rest->bytes, '\n', rest->length);
    size_t seen = end == NULL ? rest->length : (size_t)(end - rest->bytes);
    if (seen > REDIS_FOLLOWER_LINE_BYTES_MAX) {
        return fail(follower, "the primary sent a line that does not end");
    }
    if (end == NULL) {
        return false;
    }
    size_t length = (size_t)(end - rest->bytes);
    *line = span_of(rest->bytes, length > 0 && end[-1] == '\r' ? length - 1 : length);
    *rest = span_of(end + 1, rest->length - length - 1);
    return true;
}

static bool begins_with(struct span line, const char *word) {
    size_t length = strlen(word);
    return line.length >= length && memcmp(line.bytes, word, length) == 0;
}

static bool fail_at_line(struct redis_follower *follower, const char *expected, struct span line) {
    int shown = (int)(line.length < SHOWN_BYTES_MAX ? line.length : SHOWN_BYTES_MAX);
    return fail(follower, "expected %s from the primary, found \"%.*s\"", expected, shown,
                line.bytes);
}

/* "<id>" at the line's begin, of 40 characters that stand for a number. */
static bool read_id(struct span *text, char id[REDIS_ID_BYTES + 1]) {
    if (text->length < REDIS_ID_BYTES) {
        return false;
    }
    for (size_t i = 0; i < REDIS_ID_BYTES; i++) {
        char byte = text->bytes[i];
        if ((byte < '0' || byte > '9') && (byte < 'a' || byte > 'f')) {
            return false;
        }
    }
    memcpy(id, text->bytes, REDIS_ID_BYTES);
    id[REDIS_ID_BYTES] = '\0';
    *text = span_of(text->bytes + REDIS_ID_BYTES, text->length - REDIS_ID_BYTES);
    return true;
}

/* ---- the answer ---- */

static bool whole_comes(struct redis_follower *follower, struct span line) {
    struct redis_stand stand = {.database = 0};
    struct span text = span_of(line.bytes + 12, line.length - 12);
    if (!read_id(&text, stand.id) || text.length < 2 || text.bytes[0] != ' ' ||
        !number_parse_unsigned(span_of(text.bytes + 1, text.length - 1), &stand.offset)) {
        return fail_at_line(follower, "\"+FULLRESYNC <id> <offset>\"", line);
    }
    follower->coming = stand;
    follower->stage = REDIS_FOLLOWER_FILE;
    return true;
}

/* The id may have changed: the primary is another one, which has what the old one sent us. */
static bool rest_comes(struct redis_follower *follower, struct span line) {
    struct redis_stand *stand = follower->plan.stand;
    struct span text = span_of(line.bytes + 9, line.length - 9);
    if (stand->id[0] == '\0' ||
        (text.length > 0 && (text.bytes[0] != ' ' || text.length != REDIS_ID_BYTES + 1))) {
        return fail_at_line(follower, "\"+CONTINUE <id>\"", line);
    }
    if (text.length > 0) {
        text = span_of(text.bytes + 1, text.length - 1);
        if (!read_id(&text, stand->id)) {
            return fail_at_line(follower, "\"+CONTINUE <id>\"", line);
        }
    }
    follower->stage = REDIS_FOLLOWER_STREAM;
    follower->owes_ack = true;
    return true;
}

static bool answer_step(struct redis_follower *follower, struct span *rest) {
    struct span line;
    if (!take_line(follower, rest, &line)) {
        return false;
    }
    if (begins_with(line, "+FULLRESYNC ")) {
        return whole_comes(follower, line);
    }
    if (begins_with(line, "+CONTINUE")) {
        return rest_comes(follower, line);
    }
    return fail_at_line(follower, "\"+FULLRESYNC\" or \"+CONTINUE\"", line);
}

/* ---- the file ---- */

static bool key_seen(void *context, const struct rdb_key *key) {
    (void)key;
    ((struct redis_follower *)context)->figures.keys++;
    return true;
}

static bool file_comes(struct redis_follower *follower) {
    const struct redis_follower_target *target = &follower->plan.target;
    const struct rdb_observer observer = {.context = follower, .key = key_seen};
    follower->reader = rdb_reader_new("from the primary", &observer, &follower->reason);
    follower->has_length = true;
    /* From here on what the node holds is going to be replaced. */
    return target->file_begin(target->context, &follower->reason) || fail_as_reported(follower);
}

/* "$1234" or "$EOF:<mark>" */
static bool length_step(struct redis_follower *follower, struct span *rest) {
    struct span line;
    if (!take_line(follower, rest, &line)) {
        return false;
    }
    struct span text = span_of(line.bytes + 1, line.length == 0 ? 0 : line.length - 1);
    if (begins_with(line, "$EOF:") && line.length == 5 + REDIS_EOF_MARK_BYTES) {
        memcpy(follower->mark, line.bytes + 5, REDIS_EOF_MARK_BYTES);
        follower->has_mark = true;
        return file_comes(follower);
    }
    if (!begins_with(line, "$") || !number_parse_unsigned(text, &follower->figures.file_length) ||
        follower->figures.file_length == 0) {
        return fail_at_line(follower, "the length of an RDB file", line);
    }
    return file_comes(follower);
}

static bool file_is_whole(struct redis_follower *follower) {
    const struct redis_follower_target *target = &follower->plan.target;
    rdb_reader_free(follower->reader);
    follower->reader = NULL;
    follower->plan.stand->id[0] = '\0'; /* until it is loaded nothing can be gone on with */
    follower->stage = REDIS_FOLLOWER_LOAD;
    return target->file_end(target->context, &follower->reason) || fail_as_reported(follower);
}

/* What the reader left of the file's last bytes: nothing, or the mark. */
static bool end_step(struct redis_follower *follower, struct span *rest) {
    if (!follower->has_mark) {
        return follower->figures.file_bytes == follower->figures.file_length
                   ? file_is_whole(follower)
                   : fail(follower,
                          "expected an RDB file of %" PRIu64
                          " bytes from the primary, found one of %" PRIu64,
                          follower->figures.file_length, follower->figures.file_bytes);
    }
    if (rest->length < REDIS_EOF_MARK_BYTES) {
        return false;
    }
    if (memcmp(rest->bytes, follower->mark, REDIS_EOF_MARK_BYTES) != 0) {
        return fail(follower, "expected the mark behind the primary's RDB file, found other bytes");
    }
    *rest = span_of(rest->bytes + REDIS_EOF_MARK_BYTES, rest->length - REDIS_EOF_MARK_BYTES);
    return file_is_whole(follower);
}

static bool bytes_step(struct redis_follower *follower, struct span *rest) {
    const struct redis_follower_target *target = &follower->plan.target;
    struct redis_follower_figures *figures = &follower->figures;
    struct span part = *rest;
    if (!follower->has_mark && part.length > figures->file_length - figures->file_bytes) {
        part.length = (size_t)(figures->file_length - figures->file_bytes);
    }
    if (part.length == 0) {
        /* Nothing has come; or the length was said too short for what the file holds. */
        return rest->length > 0 && rdb_reader_end(follower->reader) == RDB_READ_DAMAGED &&
               fail_as_reported(follower);
    }
    struct span left = part;
    enum rdb_read_status status = rdb_reader_feed(follower->reader, &left);
    if (status != RDB_READ_MORE && status != RDB_READ_DONE) {
        return fail_as_reported(follower);
    }
    size_t taken = status == RDB_READ_DONE ? part.length - left.length : part.length;
    follower->is_file_read = status == RDB_READ_DONE;
    figures->file_bytes += taken;
    *rest = span_of(rest->bytes + taken, rest->length - taken);
    return target->file_bytes(target->context, span_of(part.bytes, taken), &follower->reason) ||
           fail_as_reported(follower);
}

static bool file_step(struct redis_follower *follower, struct span *rest) {
    if (!follower->has_length) {
        return length_step(follower, rest);
    }
    return follower->is_file_read ? end_step(follower, rest) : bytes_step(follower, rest);
}

/* ---- the stream ---- */

static void batch_clear(struct batch *batch) {
    batch->count = 0;
    batch->spans_count = 0;
}

static void batch_add(struct batch *batch, const struct arguments *arguments,
                      const struct redis_command *command) {
    if (batch->spans_capacity - batch->spans_count < arguments->count) {
        batch->spans_capacity = 2 * batch->spans_capacity + arguments->count;
        batch->spans =
            memory_realloc(batch->spans, batch->spans_capacity * sizeof(batch->spans[0]));
    }
    if (batch->count == batch->capacity) {
        batch->capacity = 2 * batch->capacity + 16;
        batch->commands =
            memory_realloc(batch->commands, batch->capacity * sizeof(batch->commands[0]));
        batch->starts = memory_realloc(batch->starts, batch->capacity * sizeof(batch->starts[0]));
    }
    memcpy(batch->spans + batch->spans_count, arguments->items,
           arguments->count * sizeof(batch->spans[0]));
    batch->starts[batch->count] = batch->spans_count;
    batch->commands[batch->count] = *command;
    batch->commands[batch->count++].args_count = arguments->count;
    batch->spans_count += arguments->count;
}

/* All that the batch holds takes effect; then the stream stands here. */
static bool give(struct redis_follower *follower) {
    const struct redis_follower_target *target = &follower->plan.target;
    struct batch *batch = &follower->batch;
    if (batch->count == 0) {
        return true;
    }
    for (size_t i = 0; i < batch->count; i++) {
        batch->commands[i].args = batch->spans + batch->starts[i];
    }
    follower->figures.commands += batch->count;
    bool is_done =
        target->commands(target->context, batch->commands, batch->count, &follower->reason);
    batch_clear(batch);
    return is_done || fail_as_reported(follower);
}

static bool is_command(const struct arguments *arguments, const char *name, uint32_t least) {
    return arguments->count >= least && span_is(arguments->items[0], name);
}

static bool select_database(struct redis_follower *follower, struct redis_stand *stand) {
    uint64_t database;
    if (!number_parse_unsigned(follower->parser.arguments.items[1], &database) ||
        database > INT32_MAX) {
        return fail(follower, "the primary selects a database that is none");
    }
    stand->database = (uint32_t)database;
    return true;
}

/* stand: behind the commands that were taken; the node's own is as the target has them. */
static bool command_came(struct redis_follower *follower, struct redis_stand *stand) {
    const struct arguments *arguments = &follower->parser.arguments;
    if (is_command(arguments, "select", 2)) {
        return select_database(follower, stand);
    }
    if (is_command(arguments, "multi", 1) || is_command(arguments, "exec", 1)) {
        bool begins = is_command(arguments, "multi", 1);
        if (begins == follower->is_in_transaction) {
            return fail(follower, "the primary sent %s out of its turn", begins ? "MULTI" : "EXEC");
        }
        follower->is_in_transaction = begins;
        follower->is_joined = false;
        return true;
    }
    if (is_command(arguments, "replconf", 2)) {
        follower->owes_ack |= span_is(arguments->items[1], "getack");
    } else if (arguments->count > 0 && !is_command(arguments, "ping", 1)) {
        batch_add(
            &follower->batch, arguments,
            &(struct redis_command){.database = stand->database, .is_joined = follower->is_joined});
        follower->is_joined = follower->is_in_transaction;
    }
    return true;
}

/* The next command, if it is whole. */
static bool parse(struct redis_follower *follower, struct span rest) {
    /* Sizes are bounded by what is kept of the input. */
    const struct parser_limits limits = {.bulk_bytes_max = REDIS_FOLLOWER_COMMAND_BYTES_MAX,
                                         .authenticated = true};
    if (rest.length == 0) {
        return false;
    }
    if (rest.bytes[0] != '*' && rest.bytes[0] != '\n' && rest.bytes[0] != '\r') {
        return fail(follower, "the primary sent bytes that are no command");
    }
    switch (parser_next(&follower->parser, rest.bytes, rest.length, &limits)) {
    case PARSER_READY:
        return true;
    case PARSER_ERROR:
        return fail(follower, "the primary sent bytes that are no command: %s",
                    follower->parser.error);
    default:
        return false;
    }
}

/* What the parser holds of a part of a command points into bytes that move. */
static void parser_forget(struct redis_follower *follower) {
    parser_free(&follower->parser);
    parser_init(&follower->parser);
}

/* False: the transaction that the input begins with has no EXEC yet. */
static bool seek_exec(struct redis_follower *follower, struct span input) {
    bool is_found = follower->sought == 0;
    struct span rest = span_of(input.bytes + follower->sought, input.length - follower->sought);
    while (!is_found && parse(follower, rest)) {
        is_found = is_command(&follower->parser.arguments, "exec", 1);
        size_t consumed = follower->parser.consumed;
        rest = span_of(rest.bytes + consumed, rest.length - consumed);
    }
    follower->sought = is_found ? 0 : input.length - rest.length;
    parser_forget(follower);
    return is_found;
}

/* Commands up to the last one that is whole and in no open transaction take effect: a transaction
 * is taken once its EXEC is there, and parsed again then. */
static void stream_step(struct redis_follower *follower, struct span *rest) {
    if (!seek_exec(follower, *rest)) {
        return;
    }
    struct redis_stand *node = follower->plan.stand;
    struct redis_stand stand = *node;
    struct redis_stand safe = stand; /* behind the last command outside of a transaction */
    struct span behind = *rest;
    struct batch *batch = &follower->batch;
    size_t safe_count = 0;
    follower->is_in_transaction = false;
    follower->is_joined = false;
    while (parse(follower, *rest)) {
        size_t consumed = follower->parser.consumed;
        stand.offset += consumed;
        if (!command_came(follower, &stand)) {
            return;
        }
        *rest = span_of(rest->bytes + consumed, rest->length - consumed);
        if (!follower->is_in_transaction) {
            safe = stand;
            behind = *rest;
            safe_count = batch->count;
        }
    }
    parser_forget(follower);
    if (follower->stage == REDIS_FOLLOWER_ENDED) {
        return;
    }
    batch->count = safe_count;
    follower->sought = (size_t)(rest->bytes - behind.bytes);
    if (give(follower)) {
        batch_clear(batch);
        *node = safe;
        *rest = behind;
    }
}

/* ---- what comes ---- */

static bool take_input(struct redis_follower *follower) {
    struct span rest = buffer_span(&follower->input);
    bool goes_on = true;
    while (goes_on) {
        switch (follower->stage) {
        case REDIS_FOLLOWER_ANSWER:
            goes_on = answer_step(follower, &rest);
            break;
        case REDIS_FOLLOWER_FILE:
            goes_on = file_step(follower, &rest);
            break;
        case REDIS_FOLLOWER_STREAM:
            stream_step(follower, &rest);
            goes_on = false;
            break;
        default:
            goes_on = false;
            break;
        }
    }
    buffer_consume(&follower->input, follower->input.length - rest.length);
    return follower->stage != REDIS_FOLLOWER_ENDED &&
           (follower->input.length <= REDIS_FOLLOWER_COMMAND_BYTES_MAX ||
            fail(follower, "the primary sent a command or transaction that is too long"));
}

bool redis_follower_receive(struct redis_follower *follower, struct span bytes, int64_t now_ms) {
    if (follower->stage == REDIS_FOLLOWER_ENDED) {
        return false;
    }
    follower->figures.heard_ms = now_ms;
    buffer_append_span(&follower->input, bytes);
    return take_input(follower);
}

bool redis_follower_loaded(struct redis_follower *follower, int64_t now_ms) {
    ASSERT(follower->stage == REDIS_FOLLOWER_LOAD);
    *follower->plan.stand = follower->coming;
    follower->stage = REDIS_FOLLOWER_STREAM;
    follower->owes_ack = true;
    follower->figures.heard_ms = now_ms;
    return take_input(follower);
}

/* ---- what is sent ---- */

void redis_follower_fill(struct redis_follower *follower, struct buffer *out, int64_t now_ms) {
    buffer_append_span(out, buffer_span(&follower->out));
    buffer_clear(&follower->out);
    bool is_due = now_ms - follower->acked_ms >= REDIS_FOLLOWER_ACK_MS;
    if (follower->stage == REDIS_FOLLOWER_LOAD && is_due) {
        buffer_append_byte(out, '\n');
        follower->acked_ms = now_ms;
    }
    if (follower->stage == REDIS_FOLLOWER_STREAM && (is_due || follower->owes_ack)) {
        char offset[NUMBER_TEXT_BYTES_MAX];
        size_t length = number_format_unsigned(offset, follower->plan.stand->offset);
        buffer_format(out, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%zu\r\n%.*s\r\n", length,
                      (int)length, offset);
        follower->acked_ms = now_ms;
        follower->owes_ack = false;
    }
}

/* ---- questions ---- */

enum redis_follower_stage redis_follower_stage(const struct redis_follower *follower) {
    return follower->stage;
}

const char *redis_follower_reason(const struct redis_follower *follower) {
    return follower->reason.length == 0 ? "" : follower->reason.bytes;
}

void redis_follower_figures_read(const struct redis_follower *follower,
                                 struct redis_follower_figures *figures) {
    *figures = follower->figures;
}
