/* tarn-snapshot, the program beside the one that TARN_SERVER names, on files of a real folder. */
#include "snapshot/snapshot_writer.h"
#include "store/cut.h"
#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define NAME "a.snapshot"
#define OUTPUT_BYTES ((size_t)1024 * 1024)
#define LONG_VALUE_BYTES 30000

struct fixture {
    char folder[64];
    char output[OUTPUT_BYTES]; /* of the last run, its errors too */
    struct snapshot_writer *writer;
};

/* ---- a file ---- */

static uint64_t cut_position(void *context) {
    (void)context;
    return 100;
}

static void cut_chunk(void *context, struct image_chunk *chunk) {
    struct fixture *fixture = context;
    struct buffer raw = BUFFER_EMPTY;
    image_chunk_join(chunk, &raw);
    struct snapshot_content content = {.kind = SNAPSHOT_IMAGE,
                                       .slot_first = chunk->slot_first,
                                       .slot_last = chunk->slot_last,
                                       .raw = buffer_span(&raw)};
    ck_assert_int_eq(snapshot_writer_add(fixture->writer, &content), 0);
    buffer_free(&raw);
    image_chunk_free(chunk);
}

static void cut_slot_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    struct fixture *fixture = context;
    snapshot_writer_slot(fixture->writer, slot, position, keys);
}

static void cut_store(struct fixture *fixture, struct store *store) {
    struct cut *cut = cut_new(&(struct cut_plan){
        .store = store,
        .target = {.context = fixture,
                   .position = cut_position,
                   .chunk = cut_chunk,
                   .slot_done = cut_slot_done},
        .slot_count = SLOTS,
        .step_bytes = CUT_STEP_BYTES,
    });
    struct cut_work work = {0};
    while (!cut_step(cut, &work)) {
    }
    cut_free(cut);
}

static void fill(struct store_fixture *store) {
    for (unsigned i = 0; i < 100; i++) {
        struct fixture_key key = fixture_key("key", i);
        store_fixture_put(store, i % 2, key.text, i < 10 ? FIXTURE_NOW_MS : ENTRY_NO_EXPIRY);
    }
    char bytes[LONG_VALUE_BYTES];
    memset(bytes, 'x', sizeof(bytes));
    struct place place = store_fixture_place(store, 1, span_of_string("a \"long\" one"));
    struct string_put put = {.bytes = span_of(bytes, sizeof(bytes)), .expiry_ms = ENTRY_NO_EXPIRY};
    value_string_put(place.store, 1, place.slot, place.hash, place.key, NULL, &put);
}

static struct fixture *fixture_open(void) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/tarn-snapshot.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(fixture->folder));
    struct disk disk;
    ck_assert_int_eq(disk_open(&disk, fixture->folder), 0);
    struct buffer report = BUFFER_EMPTY;
    struct snapshot_writer_plan plan = {
        .disk = disk,
        .name = "temporary",
        .header = {.history = {.epoch = 7}, .begin = 100, .databases = FIXTURE_DATABASES},
        .is_compressed = true,
        .report = &report,
    };
    int error;
    fixture->writer = snapshot_writer_new(&plan, &error);
    ck_assert_ptr_nonnull(fixture->writer);
    struct store_fixture store;
    store_fixture_open(&store);
    fill(&store);
    cut_store(fixture, store.store);
    store_fixture_close(&store);
    struct snapshot_finish finish = {.name = NAME, .end = 200};
    ck_assert_int_eq(snapshot_writer_finish(fixture->writer, &finish), 0);
    buffer_free(&report);
    disk_close(&disk);
    return fixture;
}

static void fixture_close(struct fixture *fixture) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, NAME);
    unlink(path);
    ck_assert_int_eq(rmdir(fixture->folder), 0);
    free(fixture);
}

/* ---- the program ---- */

/* Runs it in the fixture's folder; answers its exit code. */
static int run(struct fixture *fixture, const char *arguments) {
    const char *server = getenv("TARN_SERVER");
    ck_assert_msg(server != NULL, "TARN_SERVER names no program");
    const char *slash = strrchr(server, '/');
    ck_assert_ptr_nonnull(slash);
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && %.*s/tarn-snapshot %s 2>&1", fixture->folder,
             (int)(slash - server), server, arguments);
    FILE *pipe = popen(command, "r"); // NOLINT
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(fixture->output, 1, OUTPUT_BYTES - 1, pipe);
    fixture->output[length] = '\0';
    int status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_says(const struct fixture *fixture, const char *text) {
    ck_assert_msg(strstr(fixture->output, text) != NULL, "no \"%s\" in: %s", text, fixture->output);
}

START_TEST(a_whole_file_is_verified) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, "verify " NAME), EX_OK);
    assert_says(fixture, "keys 101\n");
    assert_says(fixture, "slots 16384\n");
    assert_says(fixture, "positions 100 to 200\n");
    assert_says(fixture, "The file is whole.\n");
    fixture_close(fixture);
}
END_TEST

START_TEST(a_file_that_may_not_be_written_to_can_be_verified) {
    struct fixture *fixture = fixture_open();
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, NAME);
    ck_assert_int_eq(chmod(path, 0400), 0);
    ck_assert_int_eq(run(fixture, "verify " NAME), EX_OK);
    fixture_close(fixture);
}
END_TEST

START_TEST(damage_is_named_with_the_code_of_wrong_data) {
    struct fixture *fixture = fixture_open();
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->folder, NAME);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "x", 1, 200), 1);
    ck_assert_int_eq(run(fixture, "verify " NAME), EX_DATAERR);
    assert_says(fixture, "\"" NAME "\": offset 128: ");
    assert_says(fixture, "expected ");
    ck_assert_int_eq(ftruncate(fd, 1000), 0);
    close(fd);
    ck_assert_int_eq(run(fixture, "verify " NAME), EX_DATAERR);
    assert_says(fixture, "expected its end");
    fixture_close(fixture);
}
END_TEST

START_TEST(statistics_tell_of_databases_types_and_the_biggest_values) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, "statistics " NAME " --biggest 2"), EX_OK);
    assert_says(fixture, "database 0: keys 50\n");
    assert_says(fixture, "database 1: keys 51\n");
    assert_says(fixture, "keys with an expiry 10\n");
    assert_says(fixture, "string: keys 101, elements 101, bytes 30500\n");
    assert_says(fixture, "\n30000 1 string 1 ");
    assert_says(fixture, " \"a \\\"long\\\" one\"\n");
    const char *big = strstr(fixture->output, "\n30000 ") + 1;
    int lines = 0;
    for (const char *end; (end = strchr(big, '\n')) != NULL; big = end + 1) {
        lines++;
    }
    ck_assert_int_eq(lines, 2);
    fixture_close(fixture);
}
END_TEST

START_TEST(slots_are_listed_with_their_keys) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, "slots " NAME), EX_OK);
    char line[64];
    snprintf(line, sizeof(line), "\n%u 1 100 ", slot_of_key(span_of_string("key7")));
    assert_says(fixture, line);
    fixture_close(fixture);
}
END_TEST

START_TEST(wrong_arguments_have_codes_of_their_own) {
    struct fixture *fixture = fixture_open();
    ck_assert_int_eq(run(fixture, ""), EX_USAGE);
    ck_assert_int_eq(run(fixture, "verify"), EX_USAGE);
    ck_assert_int_eq(run(fixture, "mend " NAME), EX_USAGE);
    ck_assert_int_eq(run(fixture, "statistics " NAME " --biggest x"), EX_USAGE);
    ck_assert_int_eq(run(fixture, "verify " NAME " --biggest 1"), EX_USAGE);
    ck_assert_int_eq(run(fixture, "verify missing"), EX_NOINPUT);
    ck_assert_int_eq(run(fixture, "verify missing/" NAME), EX_NOINPUT);
    ck_assert_int_eq(run(fixture, "--help"), EX_OK);
    assert_says(fixture, "usage: tarn-snapshot");
    ck_assert_int_eq(run(fixture, "--version"), EX_OK);
    fixture_close(fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_whole_file_is_verified,
        a_file_that_may_not_be_written_to_can_be_verified,
        damage_is_named_with_the_code_of_wrong_data,
        statistics_tell_of_databases_types_and_the_biggest_values,
        slots_are_listed_with_their_keys,
        wrong_arguments_have_codes_of_their_own,
    };
    return unit_run(unit_suite("tarn_snapshot", tests, UNIT_COUNT(tests)));
}
