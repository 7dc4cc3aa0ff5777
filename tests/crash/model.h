/* What two databases must hold after a sequence of requests: the recorder's half of a crash test.
 *
 * A request is a few steps, each one command; more than one of them is a transaction. All that a
 * step carries comes from its seed, so a request is small however large its values are.
 * model_apply() does what the server should do and says what it should answer.
 *
 * Keys and fields are numbers here, and model_key_name() and model_field_name() there. Memory: a
 * model owns copies of all values.
 */
#ifndef TARN_TESTS_CRASH_MODEL_H
#define TARN_TESTS_CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_DATABASES 2
#define MODEL_KEYS 96
#define MODEL_FIELDS 300
#define MODEL_NAME_BYTES 32
#define REQUEST_STEPS_MAX 6
/* Values are at most so long when a step brings them; APPEND and SETRANGE make longer ones. */
#define MODEL_VALUE_BYTES_MAX ((size_t)300 * 1024)

enum step_kind {
    STEP_SET,
    STEP_INCREMENT,
    STEP_APPEND,
    STEP_SET_RANGE,
    STEP_HASH_SET,
    STEP_HASH_DELETE,
    STEP_DELETE,    /* two keys */
    STEP_EXPIRE_AT, /* far from now */
    STEP_PERSIST,
    STEP_RENAME,
    STEP_COPY,        /* replaces */
    STEP_COPY_ACROSS, /* to the other database */
    STEP_SET_MANY,    /* two keys */
    STEP_FLUSH,
    STEP_SWAP,
    STEP_KINDS,
};

struct step {
    enum step_kind kind;
    uint32_t database;
    uint32_t key;
    uint32_t other;
    uint32_t length;
    uint32_t offset;
    uint64_t seed;
};

struct request {
    struct step steps[REQUEST_STEPS_MAX];
    uint32_t count;
};

/* What a step answers. */
struct answer {
    bool is_integer;
    bool is_error;
    int64_t integer;
};

enum model_kind { MODEL_NONE, MODEL_STRING, MODEL_HASH };

struct model_text {
    char *bytes; /* NULL: there is none */
    size_t length;
};

struct model_value {
    enum model_kind kind;
    int64_t expiry_ms; /* -1: none */
    struct model_text text;
    struct model_text *fields; /* MODEL_FIELDS of them */
};

struct model {
    struct model_value values[MODEL_DATABASES][MODEL_KEYS];
};

/* Numbers that follow from a seed. */
uint64_t model_random(uint64_t *state);

struct model *model_new(void);
void model_free(struct model *model);
void model_apply(struct model *model, const struct request *request,
                 struct answer answers[REQUEST_STEPS_MAX]);

/* Sets a value as it was found on a server. */
void model_put_text(struct model_value *value, const char *bytes, size_t length);
void model_put_field(struct model_value *value, uint32_t field, const char *bytes, size_t length);

/* True if they hold the same; otherwise says where they do not. */
bool model_equals(const struct model *expected, const struct model *found, char *difference,
                  size_t size);

void request_make(struct request *request, uint64_t *state);

/* The arguments of a step's command: at most STEP_ARGUMENTS_MAX, in memory of the struct's. */
#define STEP_ARGUMENTS_MAX 16
struct step_command {
    int count;
    const char *arguments[STEP_ARGUMENTS_MAX];
    size_t lengths[STEP_ARGUMENTS_MAX];
    char texts[STEP_ARGUMENTS_MAX][MODEL_NAME_BYTES];
    char *values[2]; /* to be freed by step_command_free() */
};
/* The model's databases are base and base + 1 on the server. */
void step_command_make(struct step_command *command, const struct step *step, uint32_t base);
void step_command_free(struct step_command *command);

void model_key_name(char name[MODEL_NAME_BYTES], uint32_t key);
void model_field_name(char name[MODEL_NAME_BYTES], uint32_t field);
/* False: no such field's name. */
bool model_field_number(const char *name, uint32_t *field);

#endif
