#include "generator.h"

#include "program.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_DIGITS = 12,
    EXPIRY_DIGITS = 7,
    BODY_SIZE_MIN = 16 * 1024, /* smaller values are a part of the text */
    TEXT_SIZE_FIXED = 256,     /* room for all but fields and values */
    TEXT_SIZE_FIELD = 32,
    LARGE_SIZE = 1024 * 1024, /* of what --large-percent asks for, and its number of keys */
    LARGE_KEYS = 64,
    EXPIRY_SECONDS_MIN = 1000000,
    EXPIRY_SECONDS_MAX = 9999999,
    /* Values that differ are cut out of a pool at random: far larger than what a compressor looks
     * back on, so that it finds nothing in one value that it knows from another's place. */
    POOL_SIZE = 32 * 1024 * 1024,
};

/* A ready-made request. A position of 0 means: there is none. */
struct template {
    char *text;
    size_t capacity;
    size_t size;
    size_t key_at;
    size_t field_at;
    size_t expiry_at;
    size_t value_size; /* of a value that follows as a body; 0: none */
    size_t value_at;   /* of the last value in the text */
    uint64_t keys;
};

struct generator {
    const struct options *options;
    struct template read;
    struct template write;
    struct template large_read;
    struct template large_write;
    char *value;      /* letters: the beginning of every value in a text */
    char *pool;       /* POOL_SIZE bytes, and room for a value; NULL: all values are one */
    char *body;       /* `body_size` letters and a line end */
    size_t body_size; /* all bodies of a stream have one size */
    uint64_t random;
    uint64_t made;   /* requests; in a fill also the number of the next key */
    uint64_t stride; /* of a fill; has no divisor in common with the number of keys */
    char digits[1000][3];
};

/* xorshift64*: scatters keys well enough, and costs next to nothing. */
static uint64_t random_next(struct generator *generator) {
    uint64_t random = generator->random;
    random ^= random >> 12;
    random ^= random << 25;
    random ^= random >> 27;
    generator->random = random;
    return random * UINT64_C(2685821657736338717);
}

static uint64_t random_below(struct generator *generator, uint64_t limit) {
    return (uint64_t)(((unsigned __int128)random_next(generator) * limit) >> 64);
}

static void __attribute__((format(printf, 2, 3)))
append(struct template *template, const char *format, ...) {
    size_t room = template->capacity - template->size;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(template->text + template->size, room, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= room) {
        program_fail("a request is too long");
    }
    template->size += (size_t)size;
}

static void append_value(struct template *template, const char *value, size_t size) {
    append(template, "$%zu\r\n", size);
    if (size >= BODY_SIZE_MIN) {
        template->value_size = size;
    } else {
        template->value_at = template->size;
        append(template, "%.*s\r\n", (int)size, value);
    }
}

struct shape {
    const char *name;
    const char *prefix;
    uint64_t keys;
    uint64_t fields;   /* 0: not a hash. 1: the field is chosen each time. More: all are set */
    size_t value_size; /* 0: the command has no value */
    bool expiry;
};

static struct template template_make(const struct generator *generator, struct shape shape) {
    size_t values = shape.value_size > 0 ? (shape.fields > 1 ? shape.fields : 1) : 0;
    size_t arguments = 2 + shape.fields + values + (shape.expiry ? 2 : 0);
    size_t value_in_text = shape.value_size < BODY_SIZE_MIN ? shape.value_size : 0;
    struct template template = {
        .capacity = TEXT_SIZE_FIXED + (shape.fields + 1) * (TEXT_SIZE_FIELD + value_in_text),
        .keys = shape.keys,
    };
    template.text = program_allocate(template.capacity);

    append(&template, "*%zu\r\n$%zu\r\n%s\r\n", arguments, strlen(shape.name), shape.name);
    append(&template, "$%d\r\n%s", OPTIONS_PREFIX_SIZE + KEY_DIGITS, shape.prefix);
    template.key_at = template.size;
    append(&template, "%0*d\r\n", KEY_DIGITS, 0);
    for (uint64_t field = 0; field < shape.fields; field++) {
        append(&template, "$6\r\nfield%d\r\n", (int)field);
        template.field_at = shape.fields == 1 ? template.size - strlen("0\r\n") : 0;
        if (values > 1) {
            append_value(&template, generator->value, shape.value_size);
        }
    }
    if (values == 1) {
        append_value(&template, generator->value, shape.value_size);
    }
    if (shape.expiry) {
        append(&template, "$2\r\nEX\r\n$%d\r\n", EXPIRY_DIGITS);
        template.expiry_at = template.size;
        append(&template, "%0*d\r\n", EXPIRY_DIGITS, 0);
    }
    return template;
}

static void templates_make(struct generator *generator) {
    const struct options *options = generator->options;
    bool hash = options->command == COMMAND_HSET || options->command == COMMAND_HGET;
    bool counter = options->command == COMMAND_INCR;
    struct shape read = {
        .name = counter ? "INCR"
                : hash  ? "HGET"
                        : "GET",
        .prefix = options->prefix,
        .keys = options->keys,
        .fields = hash ? 1 : 0,
    };
    struct shape write = read;
    write.name = counter ? "INCR" : hash ? "HSET" : "SET";
    write.fields = hash && options->fill ? options->fields : read.fields;
    write.value_size = counter ? 0 : options->value_size;
    write.expiry = options->expiry;
    struct shape large_read = {.name = "GET", .prefix = "big:", .keys = LARGE_KEYS};
    struct shape large_write = large_read;
    large_write.name = "SET";
    large_write.value_size = LARGE_SIZE;

    generator->read = template_make(generator, read);
    generator->write = template_make(generator, write);
    generator->large_read = template_make(generator, large_read);
    generator->large_write = template_make(generator, large_write);
}

static void pool_make(struct generator *generator) {
    size_t size = POOL_SIZE + BODY_SIZE_MIN;
    generator->pool = program_allocate(size);
    if (generator->options->values == VALUES_RANDOM) {
        for (size_t at = 0; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
            uint64_t bytes = random_next(generator);
            memcpy(generator->pool + at, &bytes, sizeof bytes);
        }
        return;
    }
    for (size_t at = 0; at < size;) {
        int length =
            snprintf(generator->pool + at, size - at,
                     "{\"id\":%06d,\"name\":\"user%05d\",\"visits\":%03d,"
                     "\"token\":\"%08x%08x\",\"active\":true},",
                     (int)random_below(generator, 1000000), (int)random_below(generator, 100000),
                     (int)random_below(generator, 1000), (unsigned)random_next(generator),
                     (unsigned)random_next(generator));
        at += (size_t)length;
    }
}

static void values_make(struct generator *generator) {
    size_t size = generator->options->value_size;
    generator->body_size = size >= BODY_SIZE_MIN ? size : LARGE_SIZE;
    generator->value = program_allocate(BODY_SIZE_MIN + 1);
    generator->body = program_allocate(generator->body_size + strlen("\r\n"));
    for (size_t i = 0; i < BODY_SIZE_MIN; i++) {
        generator->value[i] = (char)('a' + random_below(generator, 26));
    }
    for (size_t i = 0; i < generator->body_size; i++) {
        generator->body[i] = (char)('a' + random_below(generator, 26));
    }
    memcpy(generator->body + generator->body_size, "\r\n", 2);
    if (generator->options->values != VALUES_ONE) {
        pool_make(generator);
    }
}

static uint64_t divisor_common(uint64_t a, uint64_t b) {
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

struct generator *generator_new(const struct options *options) {
    struct generator *generator = program_allocate(sizeof *generator);
    generator->options = options;
    generator->random = (options->seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    generator->stride = options->keys * 5 / 8 + 1;
    while (divisor_common(generator->stride, options->keys) != 1) {
        generator->stride++;
    }
    for (int i = 0; i < 1000; i++) {
        generator->digits[i][0] = (char)('0' + i / 100);
        generator->digits[i][1] = (char)('0' + i / 10 % 10);
        generator->digits[i][2] = (char)('0' + i % 10);
    }
    if (options->value_size >= BODY_SIZE_MIN &&
        (options->fields > 1 || options->expiry || options->large_percent > 0)) {
        program_fail("such large values go with plain SET and GET only");
    }
    if (options->values != VALUES_ONE &&
        (options->value_size >= BODY_SIZE_MIN || options->fields > 1)) {
        program_fail("only small values of plain SET differ from key to key");
    }
    values_make(generator);
    templates_make(generator);
    return generator;
}

size_t generator_text_size_max(const struct generator *generator) {
    const struct template *const all[] = {&generator->read, &generator->write,
                                          &generator->large_read, &generator->large_write};
    size_t max = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        max = all[i]->size > max ? all[i]->size : max;
    }
    return max;
}

bool generator_ended(const struct generator *generator) {
    return generator->options->fill && generator->made == generator->options->keys;
}

static const struct template *choose(struct generator *generator) {
    const struct options *options = generator->options;
    bool write = options->command == COMMAND_SET || options->command == COMMAND_HSET ||
                 options->command == COMMAND_INCR;
    if (options->command == COMMAND_MIXED) {
        write = random_below(generator, 11) == 0;
    }
    if (options->large_percent > 0 &&
        random_below(generator, 100000) < (uint64_t)(options->large_percent * 1000)) {
        return write ? &generator->large_write : &generator->large_read;
    }
    return write ? &generator->write : &generator->read;
}

static void digits_write(const struct generator *generator, char *end, uint64_t number) {
    for (; number > 0; number /= 1000) {
        end -= 3;
        memcpy(end, generator->digits[number % 1000], 3);
    }
}

static void expiry_write(struct generator *generator, char *place) {
    uint64_t seconds =
        EXPIRY_SECONDS_MIN + random_below(generator, EXPIRY_SECONDS_MAX - EXPIRY_SECONDS_MIN + 1);
    for (size_t i = EXPIRY_DIGITS; i-- > 0; seconds /= 10) {
        place[i] = (char)('0' + seconds % 10);
    }
}

struct generator_request generator_next(struct generator *generator, char *place) {
    const struct template *template = choose(generator);
    uint64_t key =
        generator->options->fill
            ? (uint64_t)((unsigned __int128)generator->made * generator->stride % template->keys)
            : random_below(generator, template->keys);

    memcpy(place, template->text, template->size);
    digits_write(generator, place + template->key_at + KEY_DIGITS, key);
    if (template->field_at > 0) {
        place[template->field_at] =
            (char)('0' + random_below(generator, generator->options->fields));
    }
    if (generator->pool != NULL && template->value_at > 0) {
        memcpy(place + template->value_at, generator->pool + random_below(generator, POOL_SIZE),
               generator->options->value_size);
    }
    if (template->expiry_at > 0) {
        expiry_write(generator, place + template->expiry_at);
    }
    generator->made++;
    return (struct generator_request){
        .text_size = template->size,
        .body = template->value_size > 0 ? generator->body : NULL,
        .body_size = template->value_size > 0 ? template->value_size + strlen("\r\n") : 0,
    };
}
