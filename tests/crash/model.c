#include "tests/crash/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY_FIRST_MS INT64_C(4000000000000)
#define INTEGER_DIGITS_MAX 18

uint64_t model_random(uint64_t *state) {
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

/* ---- what a seed brings ---- */

/* Letters only, so that no such value is a number. Every other one compresses well. */
static char *bytes_of_seed(uint64_t seed, size_t length) {
    char *bytes = malloc(length + 1);
    uint64_t state = seed;
    bool is_even = seed % 2 == 0;
    uint64_t word = model_random(&state);
    for (size_t i = 0; i < length; i++) {
        if (i % 8 == 0 && (!is_even || i % 512 == 0)) {
            word = model_random(&state);
        }
        bytes[i] = (char)('a' + (word >> (i % 8 * 8)) % 26);
    }
    bytes[length] = '\0';
    return bytes;
}

static uint32_t fields_of(const struct step *step) {
    return 1 + (uint32_t)(step->seed % 5);
}

static uint32_t field_of(const struct step *step, uint32_t i) {
    uint64_t state = step->seed + i;
    return (uint32_t)(model_random(&state) % MODEL_FIELDS);
}

static int64_t expiry_of(const struct step *step) {
    return EXPIRY_FIRST_MS + (int64_t)(step->seed % 1000000007);
}

/* ---- values ---- */

static void text_clear(struct model_text *text) {
    free(text->bytes);
    *text = (struct model_text){0};
}

static void text_put(struct model_text *text, const char *bytes, size_t length) {
    char *copy = malloc(length + 1);
    memcpy(copy, bytes, length);
    copy[length] = '\0';
    text_clear(text);
    *text = (struct model_text){.bytes = copy, .length = length};
}

static bool text_equals(const struct model_text *one, const struct model_text *other) {
    return (one->bytes == NULL) == (other->bytes == NULL) && one->length == other->length &&
           (one->bytes == NULL || memcmp(one->bytes, other->bytes, one->length) == 0);
}

static void value_clear(struct model_value *value) {
    text_clear(&value->text);
    for (uint32_t i = 0; value->fields != NULL && i < MODEL_FIELDS; i++) {
        text_clear(&value->fields[i]);
    }
    free(value->fields);
    *value = (struct model_value){.kind = MODEL_NONE, .expiry_ms = -1};
}

static void value_copy(struct model_value *target, const struct model_value *source) {
    value_clear(target);
    target->kind = source->kind;
    target->expiry_ms = source->expiry_ms;
    if (source->kind == MODEL_STRING) {
        text_put(&target->text, source->text.bytes, source->text.length);
    }
    for (uint32_t i = 0; source->kind == MODEL_HASH && i < MODEL_FIELDS; i++) {
        if (source->fields[i].bytes != NULL) {
            model_put_field(target, i, source->fields[i].bytes, source->fields[i].length);
        }
    }
}

void model_put_text(struct model_value *value, const char *bytes, size_t length) {
    value->kind = MODEL_STRING;
    text_put(&value->text, bytes, length);
}

void model_put_field(struct model_value *value, uint32_t field, const char *bytes, size_t length) {
    value->kind = MODEL_HASH;
    if (value->fields == NULL) {
        value->fields = calloc(MODEL_FIELDS, sizeof(*value->fields));
    }
    text_put(&value->fields[field], bytes, length);
}

struct model *model_new(void) {
    struct model *model = calloc(1, sizeof(*model));
    for (uint32_t i = 0; i < MODEL_DATABASES * MODEL_KEYS; i++) {
        model->values[i / MODEL_KEYS][i % MODEL_KEYS].expiry_ms = -1;
    }
    return model;
}

static void database_clear(struct model *model, uint32_t database) {
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        value_clear(&model->values[database][key]);
    }
}

void model_free(struct model *model) {
    for (uint32_t i = 0; i < MODEL_DATABASES; i++) {
        database_clear(model, i);
    }
    free(model);
}

/* ---- steps ---- */

static const struct answer answer_ok = {0};
static const struct answer answer_error = {.is_error = true};

static struct answer answer_integer(int64_t integer) {
    return (struct answer){.is_integer = true, .integer = integer};
}

static struct answer apply_set(struct model_value *value, const struct step *step, uint32_t more) {
    char *bytes = bytes_of_seed(step->seed + more, step->length);
    value_clear(value);
    model_put_text(value, bytes, step->length);
    free(bytes);
    return answer_ok;
}

static bool text_integer(const struct model_text *text, int64_t *integer) {
    *integer = 0;
    for (size_t i = 0; i < text->length; i++) {
        if (text->bytes[i] < '0' || text->bytes[i] > '9' || i == INTEGER_DIGITS_MAX) {
            return false;
        }
        *integer = *integer * 10 + (text->bytes[i] - '0');
    }
    return text->length > 0;
}

static struct answer apply_increment(struct model_value *value) {
    int64_t integer = 0;
    if (value->kind == MODEL_HASH ||
        (value->kind == MODEL_STRING && !text_integer(&value->text, &integer))) {
        return answer_error;
    }
    char text[MODEL_NAME_BYTES];
    int length = snprintf(text, sizeof(text), "%lld", (long long)++integer);
    model_put_text(value, text, (size_t)length);
    return answer_integer(integer);
}

static struct answer apply_set_range(struct model_value *value, const struct step *step,
                                     size_t offset) {
    if (value->kind == MODEL_HASH) {
        return answer_error;
    }
    size_t end = offset + step->length;
    size_t length = value->text.length > end ? value->text.length : end;
    char *bytes = calloc(1, length + 1);
    char *more = bytes_of_seed(step->seed, step->length);
    if (value->text.length > 0) {
        memcpy(bytes, value->text.bytes, value->text.length);
    }
    memcpy(bytes + offset, more, step->length);
    model_put_text(value, bytes, length);
    free(more);
    free(bytes);
    return answer_integer((int64_t)length);
}

static struct answer apply_hash_set(struct model_value *value, const struct step *step) {
    if (value->kind == MODEL_STRING) {
        return answer_error;
    }
    int64_t added = 0;
    char *bytes = bytes_of_seed(step->seed, step->length);
    for (uint32_t i = 0; i < fields_of(step); i++) {
        uint32_t field = field_of(step, i);
        added += value->fields == NULL || value->fields[field].bytes == NULL ? 1 : 0;
        model_put_field(value, field, bytes, step->length);
    }
    free(bytes);
    return answer_integer(added);
}

static struct answer apply_hash_delete(struct model_value *value, const struct step *step) {
    if (value->kind == MODEL_STRING) {
        return answer_error;
    }
    int64_t removed = 0;
    for (uint32_t i = 0; value->kind == MODEL_HASH && i < fields_of(step); i++) {
        struct model_text *field = &value->fields[field_of(step, i)];
        removed += field->bytes != NULL ? 1 : 0;
        text_clear(field);
    }
    bool is_empty = value->kind == MODEL_HASH;
    for (uint32_t i = 0; is_empty && i < MODEL_FIELDS; i++) {
        is_empty = value->fields[i].bytes == NULL;
    }
    if (is_empty) {
        value_clear(value);
    }
    return answer_integer(removed);
}

static struct answer apply_delete(struct model_value *one, struct model_value *other) {
    int64_t removed = one->kind != MODEL_NONE ? 1 : 0;
    value_clear(one);
    removed += other->kind != MODEL_NONE ? 1 : 0;
    value_clear(other);
    return answer_integer(removed);
}

static struct answer apply_expire(struct model_value *value, const struct step *step) {
    if (value->kind == MODEL_NONE || (step->kind == STEP_PERSIST && value->expiry_ms < 0)) {
        return answer_integer(0);
    }
    value->expiry_ms = step->kind == STEP_PERSIST ? -1 : expiry_of(step);
    return answer_integer(1);
}

static struct answer apply_rename(struct model_value *source, struct model_value *target) {
    if (source->kind == MODEL_NONE) {
        return answer_error;
    }
    value_clear(target);
    *target = *source;
    *source = (struct model_value){.kind = MODEL_NONE, .expiry_ms = -1};
    return answer_ok;
}

static struct answer apply_copy(const struct model_value *source, struct model_value *target) {
    if (source->kind == MODEL_NONE) {
        return answer_integer(0);
    }
    value_copy(target, source);
    return answer_integer(1);
}

static struct answer apply_swap(struct model *model) {
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        struct model_value value = model->values[0][key];
        model->values[0][key] = model->values[1][key];
        model->values[1][key] = value;
    }
    return answer_ok;
}

static struct answer apply_step(struct model *model, const struct step *step) {
    struct model_value *value = &model->values[step->database][step->key];
    struct model_value *other = &model->values[step->database][step->other];
    switch (step->kind) {
    case STEP_SET:
        return apply_set(value, step, 0);
    case STEP_INCREMENT:
        return apply_increment(value);
    case STEP_APPEND:
        return apply_set_range(value, step, value->text.length);
    case STEP_SET_RANGE:
        return apply_set_range(value, step, step->offset);
    case STEP_HASH_SET:
        return apply_hash_set(value, step);
    case STEP_HASH_DELETE:
        return apply_hash_delete(value, step);
    case STEP_DELETE:
        return apply_delete(value, other);
    case STEP_EXPIRE_AT:
    case STEP_PERSIST:
        return apply_expire(value, step);
    case STEP_RENAME:
        return apply_rename(value, other);
    case STEP_COPY:
        return apply_copy(value, other);
    case STEP_COPY_ACROSS:
        return apply_copy(value, &model->values[1 - step->database][step->other]);
    case STEP_SET_MANY:
        apply_set(value, step, 0);
        return apply_set(other, step, 1);
    case STEP_FLUSH:
        database_clear(model, step->database);
        return answer_ok;
    case STEP_SWAP:
        return apply_swap(model);
    case STEP_KINDS:
        break;
    }
    abort();
}

void model_apply(struct model *model, const struct request *request,
                 struct answer answers[REQUEST_STEPS_MAX]) {
    for (uint32_t i = 0; i < request->count; i++) {
        answers[i] = apply_step(model, &request->steps[i]);
    }
}

/* ---- comparing ---- */

static const char *value_difference(const struct model_value *one,
                                    const struct model_value *other) {
    if (one->kind != other->kind) {
        return "another type";
    }
    if (one->expiry_ms != other->expiry_ms) {
        return "another time to expire at";
    }
    if (!text_equals(&one->text, &other->text)) {
        return one->text.length == other->text.length ? "other bytes" : "another length";
    }
    for (uint32_t i = 0; one->kind == MODEL_HASH && i < MODEL_FIELDS; i++) {
        if (!text_equals(&one->fields[i], &other->fields[i])) {
            return "other fields";
        }
    }
    return NULL;
}

bool model_equals(const struct model *expected, const struct model *found, char *difference,
                  size_t size) {
    for (uint32_t i = 0; i < MODEL_DATABASES * MODEL_KEYS; i++) {
        const struct model_value *one = &expected->values[i / MODEL_KEYS][i % MODEL_KEYS];
        const struct model_value *other = &found->values[i / MODEL_KEYS][i % MODEL_KEYS];
        const char *what = value_difference(one, other);
        if (what != NULL) {
            snprintf(difference, size,
                     "database %u, key %u: %s: expected type %d, %zu bytes, expiry %lld, found "
                     "type %d, %zu bytes, expiry %lld",
                     i / MODEL_KEYS, i % MODEL_KEYS, what, (int)one->kind, one->text.length,
                     (long long)one->expiry_ms, (int)other->kind, other->text.length,
                     (long long)other->expiry_ms);
            return false;
        }
    }
    return true;
}

/* ---- requests ---- */

static uint32_t random_below(uint64_t *state, uint32_t bound) {
    return (uint32_t)(model_random(state) % bound);
}

static uint32_t random_length(uint64_t *state) {
    uint32_t kind = random_below(state, 200);
    if (kind < 150) {
        return 1 + random_below(state, 64);
    }
    if (kind < 190) {
        return 1 + random_below(state, 2000);
    }
    return 1 + random_below(state, kind < 198 ? 40000 : (uint32_t)MODEL_VALUE_BYTES_MAX);
}

/* How often each kind comes, of the sum of all. */
static const uint32_t step_weights[STEP_KINDS] = {
    [STEP_SET] = 300,      [STEP_INCREMENT] = 150,  [STEP_APPEND] = 80, [STEP_SET_RANGE] = 80,
    [STEP_HASH_SET] = 250, [STEP_HASH_DELETE] = 80, [STEP_DELETE] = 60, [STEP_EXPIRE_AT] = 60,
    [STEP_PERSIST] = 20,   [STEP_RENAME] = 40,      [STEP_COPY] = 40,   [STEP_COPY_ACROSS] = 20,
    [STEP_SET_MANY] = 60,  [STEP_FLUSH] = 1,        [STEP_SWAP] = 4,
};

static enum step_kind random_kind(uint64_t *state) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < STEP_KINDS; i++) {
        sum += step_weights[i];
    }
    uint32_t at = random_below(state, sum);
    uint32_t kind = 0;
    while (at >= step_weights[kind]) {
        at -= step_weights[kind++];
    }
    return (enum step_kind)kind;
}

static void step_make(struct step *step, uint64_t *state, uint32_t database) {
    step->kind = random_kind(state);
    step->database = database;
    step->key = random_below(state, MODEL_KEYS);
    step->other = (step->key + 1 + random_below(state, MODEL_KEYS - 1)) % MODEL_KEYS;
    step->length = random_length(state);
    step->offset = random_length(state);
    step->seed = model_random(state);
    if (step->kind == STEP_HASH_SET) {
        step->length %= 400;
    }
}

void request_make(struct request *request, uint64_t *state) {
    uint32_t database = random_below(state, MODEL_DATABASES);
    request->count =
        random_below(state, 8) == 0 ? 2 + random_below(state, REQUEST_STEPS_MAX - 1) : 1;
    for (uint32_t i = 0; i < request->count; i++) {
        step_make(&request->steps[i], state, database);
    }
}

void model_key_name(char name[MODEL_NAME_BYTES], uint32_t key) {
    snprintf(name, MODEL_NAME_BYTES, "key:%u", key);
}

void model_field_name(char name[MODEL_NAME_BYTES], uint32_t field) {
    snprintf(name, MODEL_NAME_BYTES, "field:%u", field);
}

bool model_field_number(const char *name, uint32_t *field) {
    char rest;
    return sscanf(name, "field:%u%c", field, &rest) == 1 && *field < MODEL_FIELDS;
}

static void add_text(struct step_command *command, const char *text) {
    snprintf(command->texts[command->count], MODEL_NAME_BYTES, "%s", text);
    command->lengths[command->count] = strlen(text);
    command->arguments[command->count] = command->texts[command->count];
    command->count++;
}

static void add_number(struct step_command *command, long long number) {
    char text[MODEL_NAME_BYTES];
    snprintf(text, sizeof(text), "%lld", number);
    add_text(command, text);
}

static void add_key(struct step_command *command, uint32_t key) {
    char name[MODEL_NAME_BYTES];
    model_key_name(name, key);
    add_text(command, name);
}

/* The value of the step, or the second one. */
static void add_value(struct step_command *command, const struct step *step, uint32_t more) {
    if (command->values[more] == NULL) {
        command->values[more] = bytes_of_seed(step->seed + more, step->length);
    }
    command->arguments[command->count] = command->values[more];
    command->lengths[command->count++] = step->length;
}

static void add_fields(struct step_command *command, const struct step *step) {
    for (uint32_t i = 0; i < fields_of(step); i++) {
        char name[MODEL_NAME_BYTES];
        model_field_name(name, field_of(step, i));
        add_text(command, name);
        if (step->kind == STEP_HASH_SET) {
            add_value(command, step, 0);
        }
    }
}

static const char *const step_names[STEP_KINDS] = {
    [STEP_SET] = "SET",         [STEP_INCREMENT] = "INCR",
    [STEP_APPEND] = "APPEND",   [STEP_SET_RANGE] = "SETRANGE",
    [STEP_HASH_SET] = "HSET",   [STEP_HASH_DELETE] = "HDEL",
    [STEP_DELETE] = "DEL",      [STEP_EXPIRE_AT] = "PEXPIREAT",
    [STEP_PERSIST] = "PERSIST", [STEP_RENAME] = "RENAME",
    [STEP_COPY] = "COPY",       [STEP_COPY_ACROSS] = "COPY",
    [STEP_SET_MANY] = "MSET",   [STEP_FLUSH] = "FLUSHDB",
    [STEP_SWAP] = "SWAPDB",
};

/* What follows the key. */
static void add_rest(struct step_command *command, const struct step *step, uint32_t base) {
    switch (step->kind) {
    case STEP_SET_RANGE:
        add_number(command, step->offset);
        add_value(command, step, 0);
        break;
    case STEP_SET:
    case STEP_APPEND:
        add_value(command, step, 0);
        break;
    case STEP_HASH_SET:
    case STEP_HASH_DELETE:
        add_fields(command, step);
        break;
    case STEP_EXPIRE_AT:
        add_number(command, expiry_of(step));
        break;
    case STEP_DELETE:
    case STEP_RENAME:
        add_key(command, step->other);
        break;
    case STEP_COPY_ACROSS:
    case STEP_COPY:
        add_key(command, step->other);
        if (step->kind == STEP_COPY_ACROSS) {
            add_text(command, "DB");
            add_number(command, base + 1 - step->database);
        }
        add_text(command, "REPLACE");
        break;
    case STEP_SET_MANY:
        add_value(command, step, 0);
        add_key(command, step->other);
        add_value(command, step, 1);
        break;
    case STEP_INCREMENT:
    case STEP_PERSIST:
    case STEP_FLUSH:
    case STEP_SWAP:
    case STEP_KINDS:
        break;
    }
}

void step_command_make(struct step_command *command, const struct step *step, uint32_t base) {
    command->count = 0;
    command->values[0] = NULL;
    command->values[1] = NULL;
    add_text(command, step_names[step->kind]);
    if (step->kind == STEP_SWAP) {
        add_number(command, base);
        add_number(command, base + 1);
    } else if (step->kind != STEP_FLUSH) {
        add_key(command, step->key);
        add_rest(command, step, base);
    }
}

void step_command_free(struct step_command *command) {
    free(command->values[0]);
    free(command->values[1]);
}
