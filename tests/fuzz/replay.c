/* The main function that stands in for libFuzzer's: replays a corpus, and mutations of it.
 *
 *     <fuzzer> CORPUS_FOLDER [MUTATIONS [SEED]]
 *
 * Runs every file of the folder, then MUTATIONS inputs (1000 by default) that are made of them by a
 * few random changes each, all from SEED (1 by default): the same arguments, the same inputs. A
 * sanitizer's report or a signal ends the run; the input that was running is then named on standard
 * error, and written to the file crash-input when it is a mutation. Ends with one line
 * "N passed, 0 failed", N being the inputs that ran.
 *
 *     <fuzzer> FILE
 *
 * Runs that file alone.
 */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

#define MUTATIONS_DEFAULT 1000
#define CHANGES_MAX 8
#define INPUT_BYTES_MAX ((size_t)1 << 20)

struct input {
    char *name;
    uint8_t *bytes;
    size_t length;
};

struct corpus {
    struct input *inputs;
    size_t count;
};

/* What runs now, for the report of a crash: a signal handler has no parameters. */
static struct {
    struct input input;
    bool mutated;
} current;

/* xorshift64*: the numbers need to be many and repeatable, not good. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static size_t random_below(uint64_t *state, size_t bound) {
    return (size_t)(random_next(state) >> 11) % bound;
}

static void *must(void *block) {
    if (block == NULL) {
        fprintf(stderr, "replay: out of memory\n");
        exit(EX_OSERR);
    }
    return block;
}

static void crash_report(void) {
    fprintf(stderr, "replay: the input was %s%s\n", current.mutated ? "a mutation of " : "",
            current.input.name == NULL ? "none" : current.input.name);
    if (!current.mutated) {
        return;
    }
    FILE *file = fopen("crash-input", "wb");
    if (file != NULL) {
        fwrite(current.input.bytes, 1, current.input.length, file);
        fclose(file);
        fprintf(stderr, "replay: written to crash-input\n");
    }
}

static void crash_signal(int number) {
    crash_report();
    signal(number, SIG_DFL);
    raise(number);
}

static struct input file_read(const char *path) {
    struct input input = {.name = must(strdup(path))};
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(EX_NOINPUT);
    }
    input.bytes = must(malloc(INPUT_BYTES_MAX));
    input.length = fread(input.bytes, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    input.bytes = must(realloc(input.bytes, input.length + 1));
    return input;
}

static int input_compare(const void *a, const void *b) {
    return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

/* The files of the folder in the order of their names, so that a seed means the same everywhere. */
static struct corpus corpus_read(const char *folder) {
    struct corpus corpus = {0};
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        fprintf(stderr, "replay: cannot open %s\n", folder);
        exit(EX_NOINPUT);
    }
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        corpus.inputs = must(realloc(corpus.inputs, (corpus.count + 1) * sizeof(*corpus.inputs)));
        corpus.inputs[corpus.count++] = file_read(path);
    }
    closedir(directory);
    if (corpus.count == 0) {
        fprintf(stderr, "replay: %s is empty\n", folder);
        exit(EX_NOINPUT);
    }
    qsort(corpus.inputs, corpus.count, sizeof(*corpus.inputs), input_compare);
    return corpus;
}

static void corpus_free(struct corpus *corpus) {
    for (size_t i = 0; i < corpus->count; i++) {
        free(corpus->inputs[i].name);
        free(corpus->inputs[i].bytes);
    }
    free(corpus->inputs);
}

/* An exact copy on the heap, so that reading one byte past the end is seen. */
static void input_run(const struct input *input, bool mutated) {
    uint8_t *bytes = must(malloc(input->length == 0 ? 1 : input->length));
    memcpy(bytes, input->bytes, input->length);
    current.input = *input;
    current.mutated = mutated;
    LLVMFuzzerTestOneInput(bytes, input->length);
    free(bytes);
}

/* Numbers at whose edges parsers break. */
static const char *const interesting[] = {
    "0",
    "-1",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "\r\n",
    "\n",
    "*",
    "$",
    "\"",
    "'",
    "nan",
    "inf",
    "1e400",
};

/* One random change in place; the buffer has room for INPUT_BYTES_MAX. */
static void input_change(struct input *input, const struct input *other, uint64_t *state) {
    size_t at = random_below(state, input->length + 1);
    size_t rest = input->length - at;
    const void *piece = NULL;
    size_t piece_length = 0;
    switch (random_below(state, 6)) {
    case 0: /* flip a bit */
        if (rest != 0) {
            input->bytes[at] ^= (uint8_t)(1U << random_below(state, 8));
        }
        return;
    case 1: /* any other byte */
        if (rest != 0) {
            input->bytes[at] = (uint8_t)random_next(state);
        }
        return;
    case 2: { /* leave out some */
        size_t count = rest == 0 ? 0 : random_below(state, rest < 16 ? rest + 1 : 16);
        memmove(input->bytes + at, input->bytes + at + count, rest - count);
        input->length -= count;
        return;
    }
    case 3: /* cut the end off */
        input->length = at;
        return;
    case 4: /* put a word between */
        piece = interesting[random_below(state, sizeof(interesting) / sizeof(interesting[0]))];
        piece_length = strlen(piece);
        break;
    default: /* put a part of another input between */
        if (other->length != 0) {
            size_t from = random_below(state, other->length);
            piece = other->bytes + from;
            piece_length = 1 + random_below(state, other->length - from);
        }
        break;
    }
    if (piece_length != 0 && piece_length <= INPUT_BYTES_MAX - input->length) {
        memmove(input->bytes + at + piece_length, input->bytes + at, rest);
        memcpy(input->bytes + at, piece, piece_length);
        input->length += piece_length;
    }
}

static void mutations_run(const struct corpus *corpus, uint64_t count, uint64_t seed) {
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    uint8_t *bytes = must(malloc(INPUT_BYTES_MAX));
    for (uint64_t i = 0; i < count; i++) {
        const struct input *source = &corpus->inputs[random_below(&state, corpus->count)];
        struct input input = {.name = source->name, .bytes = bytes, .length = source->length};
        memcpy(bytes, source->bytes, source->length);
        for (size_t left = 1 + random_below(&state, CHANGES_MAX); left != 0; left--) {
            input_change(&input, &corpus->inputs[random_below(&state, corpus->count)], &state);
        }
        input_run(&input, true);
    }
    free(bytes);
}

static uint64_t number_argument(int argc, char **argv, int index, uint64_t otherwise) {
    return argc > index ? strtoull(argv[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    struct stat status;
    if (argc < 2 || argc > 4 || stat(argv[1], &status) != 0) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER [MUTATIONS [SEED]] | %s FILE\n", argv[0], argv[0]);
        return EX_USAGE;
    }
    signal(SIGABRT, crash_signal);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(crash_report);
    }
    if (LLVMFuzzerInitialize != NULL) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    if (!S_ISDIR(status.st_mode)) {
        struct input input = file_read(argv[1]);
        input_run(&input, false);
        free(input.name);
        free(input.bytes);
        printf("1 passed, 0 failed\n");
        return EXIT_SUCCESS;
    }
    uint64_t mutations = number_argument(argc, argv, 2, MUTATIONS_DEFAULT);
    uint64_t seed = number_argument(argc, argv, 3, 1);
    struct corpus corpus = corpus_read(argv[1]);
    printf("%s %s %" PRIu64 " %" PRIu64 "\n", argv[0], argv[1], mutations, seed);
    for (size_t i = 0; i < corpus.count; i++) {
        input_run(&corpus.inputs[i], false);
    }
    mutations_run(&corpus, mutations, seed);
    printf("%" PRIu64 " passed, 0 failed\n", (uint64_t)corpus.count + mutations);
    corpus_free(&corpus);
    return EXIT_SUCCESS;
}
