#include "base/random.h"
#include "snapshot/snapshot_walk.h"
#include "snapshot/snapshot_writer.h"
#include "store/cut.h"
#include "store/hash_value.h"
#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

#define NAME "file"
#define KEYS 3000
#define LARGE_BYTES ((size_t)700 * 1024)
#define LARGE_FIELDS 3000
#define BEGIN 100
#define END 200

struct fixture {
    struct memory_disk disk;
    struct buffer report;
    struct snapshot_writer *writer;
    struct snapshot_reader *reader;
    uint64_t keys_added; /* to what is noted of slot 0 and all that have keys */
};

static void fixture_open(struct fixture *fixture) {
    *fixture = (struct fixture){.report = BUFFER_EMPTY};
    memory_disk_init(&fixture->disk);
    struct snapshot_writer_plan plan = {
        .disk = fixture->disk.disk,
        .name = "temporary",
        .header = {.begin = BEGIN, .databases = FIXTURE_DATABASES},
        .is_compressed = true,
        .report = &fixture->report,
    };
    int error;
    fixture->writer = snapshot_writer_new(&plan, &error);
}

static void fixture_finish(struct fixture *fixture) {
    struct snapshot_finish finish = {.name = NAME, .end = END};
    ck_assert_int_eq(snapshot_writer_finish(fixture->writer, &finish), 0);
    ck_assert_int_eq(
        snapshot_reader_open(&fixture->disk.disk, NAME, &fixture->reader, &fixture->report),
        SNAPSHOT_READ_DONE);
}

static void fixture_close(struct fixture *fixture) {
    snapshot_reader_close(fixture->reader);
    memory_disk_free(&fixture->disk);
    buffer_free(&fixture->report);
}

/* ---- a file of a store ---- */

static uint64_t cut_position(void *context) {
    (void)context;
    return BEGIN;
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
    uint64_t added = keys == 0 ? 0 : fixture->keys_added;
    snapshot_writer_slot(fixture->writer, slot, position, keys + added);
}

static void cut_store(struct fixture *fixture, struct store *store) {
    struct cut *cut = cut_new(&(struct cut_plan){
        .store = store,
        .target = {.context = fixture,
                   .position = cut_position,
                   .chunk = cut_chunk,
                   .slot_done = cut_slot_done},
        .slot_count = SLOTS,
        .step_bytes = 1000,
    });
    struct cut_work work = {0};
    while (!cut_step(cut, &work)) {
    }
    cut_free(cut);
}

static void fill_store(struct store_fixture *store) {
    for (unsigned i = 0; i < KEYS; i++) {
        struct fixture_key key = fixture_key("key", i);
        store_fixture_put(store, i % FIXTURE_DATABASES, key.text,
                          i % 3 == 0 ? FIXTURE_NOW_MS + i : ENTRY_NO_EXPIRY);
    }
    char *bytes = malloc(LARGE_BYTES);
    struct random random;
    random_seed(&random, 1);
    for (size_t i = 0; i < LARGE_BYTES; i++) {
        bytes[i] = (char)random_next(&random);
    }
    struct place place = store_fixture_place(store, 1, span_of_string("large"));
    struct string_put put = {.bytes = span_of(bytes, LARGE_BYTES), .expiry_ms = ENTRY_NO_EXPIRY};
    value_string_put(place.store, 1, place.slot, place.hash, place.key, NULL, &put);
    free(bytes);
    place = store_fixture_place(store, 2, span_of_string("hash"));
    place.cell = hash_value_new(place.store, 2, place.slot, place.hash, place.key);
    for (unsigned i = 0; i < LARGE_FIELDS; i++) {
        struct fixture_key field = fixture_key("field", i);
        hash_value_put(place.store, place.cell, span_of_string(field.text),
                       span_of_string(field.text));
    }
}

/* ---- what is seen ---- */

struct seen {
    const struct store *store; /* what should be seen */
    uint64_t keys;
    uint64_t frames;
    uint64_t pairs;
    bool refuses_frames;
};

static void see_key(void *context, const struct snapshot_key *key) {
    struct seen *seen = context;
    struct span name = entry_key(key->entry);
    ck_assert_uint_eq(slot_of_key(name), key->slot);
    const uint64_t *cell =
        store_find(seen->store, key->database, key->slot, store_hash(seen->store, name), name);
    ck_assert_ptr_nonnull(cell);
    const struct entry *entry = table_cell_element(*cell);
    ck_assert_int_eq(value_type_of(entry), value_type_of(key->entry));
    ck_assert_int_eq(entry_expiry(entry), entry_expiry(key->entry));
    ck_assert_uint_eq(value_elements(entry), value_elements(key->entry));
    if (value_type_of(entry) == VALUE_STRING) {
        char scratches[2][NUMBER_TEXT_BYTES_MAX];
        ck_assert(
            span_equal(value_string(entry, scratches[0]), value_string(key->entry, scratches[1])));
    }
    seen->keys++;
}

static bool see_frame(void *context, const struct snapshot_frame *frame) {
    struct seen *seen = context;
    ck_assert_uint_eq(frame->position, BEGIN + seen->frames);
    seen->frames++;
    return !seen->refuses_frames;
}

static void see_pair(void *context, const struct snapshot_pair *pair) {
    struct seen *seen = context;
    ck_assert(span_equal(pair->name, span_of_string("name")));
    seen->pairs++;
}

static enum snapshot_read_status walk(struct fixture *fixture, struct seen *seen) {
    struct snapshot_visitor visitor = {
        .context = seen, .key = see_key, .frame = see_frame, .pair = see_pair};
    enum snapshot_read_status status = snapshot_walk(fixture->reader, &visitor, &fixture->report);
    ck_assert((status == SNAPSHOT_READ_DONE) == (fixture->report.length == 0));
    return status;
}

START_TEST(the_keys_of_a_cut_store_are_seen_once_each) {
    struct store_fixture store;
    store_fixture_open(&store);
    fill_store(&store);
    struct fixture fixture;
    fixture_open(&fixture);
    cut_store(&fixture, store.store);
    fixture_finish(&fixture);
    ck_assert_uint_gt(fixture.reader->chunks_count, 2);
    struct seen seen = {.store = store.store};
    ck_assert_int_eq(walk(&fixture, &seen), SNAPSHOT_READ_DONE);
    ck_assert_uint_eq(seen.keys, KEYS + 2);
    ck_assert_uint_eq(fixture.reader->end.keys, KEYS + 2);
    fixture_close(&fixture);
    store_fixture_close(&store);
}
END_TEST

START_TEST(an_index_of_other_keys_is_refused) {
    struct store_fixture store;
    store_fixture_open(&store);
    store_fixture_put(&store, 0, "key", ENTRY_NO_EXPIRY);
    struct fixture fixture;
    fixture_open(&fixture);
    fixture.keys_added = 1;
    cut_store(&fixture, store.store);
    fixture_finish(&fixture);
    struct seen seen = {.store = store.store};
    ck_assert_int_eq(walk(&fixture, &seen), SNAPSHOT_READ_DAMAGED);
    fixture_close(&fixture);
    store_fixture_close(&store);
}
END_TEST

/* A file whose one image chunk, noted for the slots first to last, is this. */
static enum snapshot_read_status walk_image(const struct image_chunk *chunk, uint16_t first,
                                            uint16_t last, uint16_t noted) {
    struct fixture fixture;
    fixture_open(&fixture);
    struct snapshot_content content = {.kind = SNAPSHOT_IMAGE,
                                       .slot_first = first,
                                       .slot_last = last,
                                       .raw = buffer_span(&chunk->bytes)};
    ck_assert_int_eq(snapshot_writer_add(fixture.writer, &content), 0);
    snapshot_writer_slot(fixture.writer, noted, BEGIN, 1);
    fixture_finish(&fixture);
    struct snapshot_visitor visitor = {0};
    enum snapshot_read_status status = snapshot_walk(fixture.reader, &visitor, &fixture.report);
    fixture_close(&fixture);
    return status;
}

START_TEST(records_outside_their_chunk_or_slot_are_refused) {
    struct store_fixture store;
    store_fixture_open(&store);
    store_fixture_put(&store, 0, "key", ENTRY_NO_EXPIRY);
    uint16_t slot = slot_of_key(span_of_string("key"));
    const struct entry *entry = store_fixture_entry(&store, 0, "key");
    struct image_chunk *chunk = image_chunk_new();
    image_write_slot(chunk, slot, 0);
    image_write_entry(chunk, entry, false);
    ck_assert_int_eq(walk_image(chunk, slot, slot, slot), SNAPSHOT_READ_DONE);
    ck_assert_int_eq(walk_image(chunk, slot + 1, slot + 1, slot + 1), SNAPSHOT_READ_DAMAGED);
    ck_assert_int_eq(walk_image(chunk, slot, slot + 1, slot + 1), SNAPSHOT_READ_DAMAGED);
    image_write_entry(chunk, entry, false);
    ck_assert_int_eq(walk_image(chunk, slot, slot, slot), SNAPSHOT_READ_DAMAGED);
    image_chunk_free(chunk);

    chunk = image_chunk_new();
    image_write_slot(chunk, slot + 1, 0);
    image_write_entry(chunk, entry, false);
    ck_assert_int_eq(walk_image(chunk, slot, slot + 1, slot + 1), SNAPSHOT_READ_DAMAGED);
    image_chunk_free(chunk);

    chunk = image_chunk_new();
    image_write_slot(chunk, slot, FIXTURE_DATABASES);
    image_write_entry(chunk, entry, false);
    ck_assert_int_eq(walk_image(chunk, slot, slot, slot), SNAPSHOT_READ_DAMAGED);
    image_chunk_free(chunk);
    store_fixture_close(&store);
}
END_TEST

static void add_section(struct fixture *fixture, enum snapshot_kind kind, struct span raw) {
    struct snapshot_content content = {.kind = kind, .raw = raw};
    ck_assert_int_eq(snapshot_writer_add(fixture->writer, &content), 0);
}

START_TEST(frames_and_pairs_are_seen_in_their_order) {
    struct fixture fixture;
    fixture_open(&fixture);
    struct buffer raw = BUFFER_EMPTY;
    for (uint64_t i = 0; i < 3; i++) {
        snapshot_frame_write(
            &raw, &(struct snapshot_frame){.position = BEGIN + i, .content = span_of_string("x")});
        if (i == 1) {
            add_section(&fixture, SNAPSHOT_TAIL, buffer_span(&raw));
            buffer_clear(&raw);
        }
    }
    add_section(&fixture, SNAPSHOT_TAIL, buffer_span(&raw));
    buffer_clear(&raw);
    snapshot_pair_write(&raw, &(struct snapshot_pair){.name = span_of_string("name")});
    add_section(&fixture, SNAPSHOT_NODE, buffer_span(&raw));
    buffer_free(&raw);
    fixture_finish(&fixture);
    struct seen seen = {0};
    ck_assert_int_eq(walk(&fixture, &seen), SNAPSHOT_READ_DONE);
    ck_assert_uint_eq(seen.frames, 3);
    ck_assert_uint_eq(seen.pairs, 1);
    seen = (struct seen){.refuses_frames = true};
    ck_assert_int_eq(walk(&fixture, &seen), SNAPSHOT_READ_DAMAGED);
    ck_assert_uint_eq(seen.frames, 1);
    fixture_close(&fixture);
}
END_TEST

START_TEST(sections_that_are_not_whole_are_refused) {
    static const enum snapshot_kind kinds[] = {SNAPSHOT_IMAGE, SNAPSHOT_TAIL, SNAPSHOT_NODE};
    for (size_t i = 0; i < UNIT_COUNT(kinds); i++) {
        struct fixture fixture;
        fixture_open(&fixture);
        add_section(&fixture, kinds[i], span_of_string("nothing"));
        fixture_finish(&fixture);
        struct seen seen = {0};
        ck_assert_int_eq(walk(&fixture, &seen), SNAPSHOT_READ_DAMAGED);
        fixture_close(&fixture);
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        the_keys_of_a_cut_store_are_seen_once_each,      an_index_of_other_keys_is_refused,
        records_outside_their_chunk_or_slot_are_refused, frames_and_pairs_are_seen_in_their_order,
        sections_that_are_not_whole_are_refused,
    };
    return unit_run(unit_suite("snapshot_walk", tests, UNIT_COUNT(tests)));
}
