#include "commands/bitmap.h"

#include "base/memory.h"
#include "commands/arguments.h"
#include "commands/bits.h"
#include "commands/string.h"

enum field_verb { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum field_overflow { FIELD_WRAP, FIELD_SAT, FIELD_FAIL };

struct field_operation {
    enum field_verb verb;
    enum field_overflow overflow;
    bool is_signed;
    unsigned bits;
    uint64_t offset; /* of the field's first bit */
    int64_t operand; /* of SET and INCRBY */
};

struct field_program {
    struct field_operation *operations;
    size_t count;
    size_t written_bytes; /* as long as the string must be for its writes; 0: it writes nothing */
};

static bool parse_field_type(struct call *call, uint32_t i, struct field_operation *operation) {
    struct span text = call->args[i];
    int64_t bits = 0;
    bool is_signed = text.length != 0 && text.bytes[0] == 'i';
    bool is_unsigned = text.length != 0 && text.bytes[0] == 'u';
    if ((!is_signed && !is_unsigned) ||
        !number_parse(span_of(text.bytes + 1, text.length - 1), &bits) || bits < 1 ||
        bits > (is_signed ? 64 : 63)) {
        reply_error(call->reply, "ERR Invalid bitfield type. Use something like i16 u8. Note that "
                                 "u64 is not supported but i64 is.");
        return false;
    }
    operation->is_signed = is_signed;
    operation->bits = (unsigned)bits;
    return true;
}

static bool parse_overflow(struct call *call, uint32_t i, enum field_overflow *overflow) {
    static const char *const words[] = {
        [FIELD_WRAP] = "wrap", [FIELD_SAT] = "sat", [FIELD_FAIL] = "fail"};
    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
        if (span_is(call->args[i], words[k])) {
            *overflow = (enum field_overflow)k;
            return true;
        }
    }
    reply_error(call->reply, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* Which operation starts at argument i, if all its arguments are there. */
static bool verb_at(const struct call *call, uint32_t i, enum field_verb *verb) {
    uint32_t behind = call->args_count - i - 1;
    if (span_is(call->args[i], "get") && behind >= 2) {
        *verb = FIELD_GET;
    } else if (span_is(call->args[i], "set") && behind >= 3) {
        *verb = FIELD_SET;
    } else if (span_is(call->args[i], "incrby") && behind >= 3) {
        *verb = FIELD_INCRBY;
    } else {
        return false;
    }
    return true;
}

/* Reads the operation that starts at argument i. False: the reply says what is wrong with it. */
static bool parse_field_operation(struct call *call, uint32_t i,
                                  struct field_operation *operation) {
    if (!verb_at(call, i, &operation->verb)) {
        call_reply_syntax_error(call);
        return false;
    }
    return parse_field_type(call, i + 1, operation) &&
           bitmap_parse_offset(call, i + 2, operation->bits, &operation->offset) &&
           (operation->verb == FIELD_GET || call_integer(call, i + 3, &operation->operand, NULL));
}

static bool parse_field_program(struct call *call, struct field_program *program) {
    enum field_overflow overflow = FIELD_WRAP;
    uint32_t i = 2;
    while (i < call->args_count) {
        if (span_is(call->args[i], "overflow") && i + 1 < call->args_count) {
            if (!parse_overflow(call, i + 1, &overflow)) {
                return false;
            }
            i += 2;
            continue;
        }
        struct field_operation *operation = &program->operations[program->count];
        *operation = (struct field_operation){.overflow = overflow};
        if (!parse_field_operation(call, i, operation)) {
            return false;
        }
        program->count++;
        i += operation->verb == FIELD_GET ? 3 : 4;
        size_t end = (operation->offset + operation->bits + 7) / 8;
        if (operation->verb != FIELD_GET && end > program->written_bytes) {
            program->written_bytes = end;
        }
    }
    return true;
}

/* A field's value from its bits. */
static int64_t field_number(const struct field_operation *operation, uint64_t raw) {
    if (operation->is_signed && raw >> (operation->bits - 1) != 0) {
        raw |= ~(UINT64_MAX >> (64 - operation->bits));
    }
    return (int64_t)raw;
}

/* Brings a number into the field's range in the way that OVERFLOW says. False: it says to fail.
 * A SET so far below that its distance from the largest number takes more than 64 bits saturates
 * at that largest number: Redis' arithmetic wraps there, and clients can see it. */
static bool field_fit(const struct field_operation *operation, __int128 number, int64_t *fitting) {
    unsigned magnitude_bits = operation->bits - operation->is_signed;
    __int128 max = ((__int128)1 << magnitude_bits) - 1;
    __int128 min = operation->is_signed ? -max - 1 : 0;
    if (number >= min && number <= max) {
        *fitting = (int64_t)number;
        return true;
    }
    bool is_above = number > max || (operation->verb == FIELD_SET && max - number > INT64_MAX);
    switch (operation->overflow) {
    case FIELD_WRAP:
        *fitting = field_number(operation, (uint64_t)number & UINT64_MAX >> (64 - operation->bits));
        return true;
    case FIELD_SAT:
        *fitting = (int64_t)(is_above ? max : min);
        return true;
    case FIELD_FAIL:
        return false;
    }
    ASSERT(false);
}

/* What the field is to become: a number that may be beyond its range. An unsigned SET takes its
 * operand's bits, as Redis does: -1 is the largest number. */
static __int128 field_wish(const struct field_operation *operation, int64_t old) {
    if (operation->verb == FIELD_INCRBY) {
        return (__int128)old + operation->operand;
    }
    return operation->is_signed ? (__int128)operation->operand
                                : (__int128)(uint64_t)operation->operand;
}

/* The string while a program runs. Writes gather in one run of neighbouring bytes, which is emitted
 * when a write elsewhere comes, or at the end: then with the event, which is told once. */
#define FIELD_RUN_BYTES_MAX 64

struct field_writer {
    struct call *call;
    struct place place;
    char scratch[NUMBER_TEXT_BYTES_MAX];
    struct span bytes; /* the string without the run */
    bool has_grown;    /* Redis then counts any write as a change */
    size_t run_at;
    size_t run_length;
    unsigned char run[FIELD_RUN_BYTES_MAX];
};

static void writer_look(struct field_writer *writer) {
    const struct entry *entry = place_entry(&writer->place);
    writer->bytes = entry == NULL ? span_of("", 0) : value_string(entry, writer->scratch);
}

static void writer_patch(struct field_writer *writer, size_t at, struct span patch,
                         enum event event) {
    arguments_notify_new(writer->call, &writer->place);
    call_emit(writer->call, &writer->place,
              &(struct effect){
                  .kind = EFFECT_STRING_PATCH,
                  .event = event,
                  .value = patch,
                  .number = (int64_t)at,
              });
    writer_look(writer);
}

static void writer_flush(struct field_writer *writer, enum event event) {
    if (writer->run_length != 0) {
        writer_patch(writer, writer->run_at, span_of(writer->run, writer->run_length), event);
        writer->run_length = 0;
    }
}

static void writer_read(const struct field_writer *writer, size_t at, unsigned char *bytes,
                        size_t length) {
    for (size_t i = 0; i < length; i++) {
        size_t in_run = at + i - writer->run_at;
        if (at + i >= writer->run_at && in_run < writer->run_length) {
            bytes[i] = writer->run[in_run];
        } else {
            bytes[i] =
                at + i < writer->bytes.length ? (unsigned char)writer->bytes.bytes[at + i] : 0;
        }
    }
}

static void writer_write(struct field_writer *writer, size_t at, const unsigned char *bytes,
                         size_t length) {
    size_t end = at + length;
    size_t run_end = writer->run_at + writer->run_length;
    size_t first = at < writer->run_at ? at : writer->run_at;
    size_t last = end > run_end ? end : run_end;
    bool joins = writer->run_length != 0 && at <= run_end && end >= writer->run_at &&
                 last - first <= FIELD_RUN_BYTES_MAX;
    if (!joins) {
        writer_flush(writer, EVENT_NONE);
        first = at;
        last = end;
    } else if (first < writer->run_at) {
        memmove(writer->run + (writer->run_at - first), writer->run, writer->run_length);
    }
    memcpy(writer->run + (at - first), bytes, length);
    writer->run_at = first;
    writer->run_length = last - first;
}

/* Runs one operation and replies to it. */
static void field_run(struct field_writer *writer, const struct field_operation *operation) {
    struct reply *reply = writer->call->reply;
    unsigned char bytes[BITS_FIELD_BYTES_MAX];
    size_t at = operation->offset / 8;
    unsigned shift = (unsigned)(operation->offset % 8);
    size_t length = bits_field_bytes(shift, operation->bits);
    writer_read(writer, at, bytes, length);
    int64_t old = field_number(operation, bits_field_read(bytes, shift, operation->bits));
    if (operation->verb == FIELD_GET) {
        reply_integer(reply, old);
        return;
    }
    int64_t new;
    if (!field_fit(operation, field_wish(operation, old), &new)) {
        reply_null(reply);
        return;
    }
    reply_integer(reply, operation->verb == FIELD_SET ? old : new);
    if (old != new || writer->has_grown) {
        bits_field_write(bytes, shift, operation->bits, (uint64_t) new);
        writer_write(writer, at, bytes, length);
    }
}

/* Finds the string, and for writes makes it long enough. False: the reply says why not. */
static bool writer_open(struct field_writer *writer, const struct field_program *program) {
    struct call *call = writer->call;
    if (program->written_bytes == 0) {
        bool is_wrong;
        call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
        if (is_wrong) {
            return false;
        }
        writer->place = call_place(call, call->args[1]);
        return true;
    }
    if (!call_write_typed(call, call->args[1], VALUE_STRING, &writer->place)) {
        return false;
    }
    writer_look(writer);
    size_t length = program->written_bytes > writer->bytes.length ? program->written_bytes
                                                                  : writer->bytes.length;
    return string_reserve(call, &writer->place, length);
}

static void run_field_program(struct call *call, const struct field_program *program) {
    struct field_writer writer = {.call = call};
    if (!writer_open(&writer, program)) {
        return;
    }
    writer_look(&writer);
    writer.has_grown = program->written_bytes > writer.bytes.length;
    if (writer.has_grown) {
        writer_patch(&writer, program->written_bytes - 1, span_of("", 1), EVENT_NONE);
    }
    reply_array(call->reply, program->count);
    for (size_t i = 0; i < program->count; i++) {
        field_run(&writer, &program->operations[i]);
    }
    writer_flush(&writer, EVENT_SETBIT_ID);
    if (program->written_bytes != 0) {
        bitmap_make_raw(call, &writer.place);
    }
}

static void run_fields(struct call *call, bool may_write) {
    struct field_program program = {
        .operations = memory_alloc(call->args_count * sizeof(*program.operations)),
    };
    if (parse_field_program(call, &program)) {
        if (program.written_bytes != 0 && !may_write) {
            reply_error(call->reply, "ERR BITFIELD_RO only supports the GET subcommand");
        } else {
            run_field_program(call, &program);
        }
    }
    memory_free(program.operations);
}

static void bitfield(struct call *call) {
    run_fields(call, true);
}

static void bitfield_ro(struct call *call) {
    run_fields(call, false);
}

/* ---- rows ---- */

/* Reads only when there is nothing but GET in it. */
static unsigned bitfield_key_flags(const struct span *args, uint32_t args_count) {
    uint32_t i = 2;
    while (i < args_count) {
        if (span_is(args[i], "get") && args_count - i > 2) {
            i += 3;
        } else if (span_is(args[i], "overflow") && args_count - i > 1) {
            i += 2;
        } else {
            return KEY_RW | KEY_ACCESS | KEY_UPDATE;
        }
    }
    return KEY_RO | KEY_ACCESS;
}

const struct command bitfield_commands[] = {
    {
        .name = "bitfield",
        .arity = -2,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE_FLAGS,
                  .begin = 1,
                  .step = 1,
                  .notes = "This command allows both access and modification of the key"}},
        .run = bitfield,
        .find_key_flags = bitfield_key_flags,
        .group = "bitmap",
        .since = "3.2.0",
        .complexity = "O(1) for each operation",
        .summary = "Reads, sets and increases integers of any width inside a string.",
        .syntax = "key [operation=<get-block=GET encoding offset>|<write=[OVERFLOW "
                  "<overflow-block=WRAP|SAT|FAIL>] <write-operation=<set-block=SET encoding "
                  "offset value(integer)>|<incrby-block=INCRBY encoding offset increment>>> "
                  "...]",
    },
    {
        .name = "bitfield_ro",
        .arity = -2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = bitfield_ro,
        .group = "bitmap",
        .since = "6.0.0",
        .complexity = "O(1) for each operation",
        .summary = "Reads integers of any width inside a string.",
        .syntax = "key [get-block=GET encoding offset [GET encoding offset ...]]",
    },
    {.name = NULL},
};
