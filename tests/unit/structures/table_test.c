#include "structures/table.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

/* Check makes a note of every ck_assert(): too slow for what runs a million times. */
#define REQUIRE(fact)                                                                              \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            ck_abort_msg("not so: %s", #fact);                                                     \
        }                                                                                          \
    } while (0)

/* ---- a table with a list of all that could be in it ---- */

struct element {
    uint64_t hash;
    uint32_t visits;
    bool is_there;
};

struct fixture {
    struct heap heap;
    struct table table;
    struct element *elements;
    uint32_t size;
    uint32_t count;
    struct random random;
};

static uint64_t element_hash(const void *element, const void *context) {
    REQUIRE(context == NULL);
    return ((const struct element *)element)->hash;
}

static const struct table_elements element_rules = {.hash = element_hash};

static bool is_same(const void *element, const void *sought) {
    return element == sought;
}

static void fixture_open(struct fixture *fixture, uint32_t size, uint64_t seed) {
    *fixture = (struct fixture){.table = TABLE_EMPTY, .size = size};
    heap_init(&fixture->heap);
    random_seed(&fixture->random, seed);
    fixture->elements = memory_alloc_zeroed(size * sizeof(struct element));
    for (uint32_t i = 0; i < size; i++) {
        uint64_t hash = random_next(&fixture->random);
        if (i % 8 == 0) {
            hash |= UINT64_C(0xffff) << 48; /* the tag of children */
        } else if (i % 8 == 1) {
            hash &= ~(UINT64_C(0xffff) << 48);
        }
        fixture->elements[i].hash = hash;
    }
}

/* The table is empty, and no byte stays counted. */
static void fixture_close(struct fixture *fixture) {
    ck_assert_ptr_null(fixture->table.root);
    ck_assert_uint_eq(fixture->table.bucket_count, 0);
    ck_assert_uint_eq(fixture->table.element_count, 0);
    ck_assert_uint_eq(fixture->heap.used_bytes, 0);
    heap_free_all(&fixture->heap);
    memory_free(fixture->elements);
}

static uint64_t *find(const struct fixture *fixture, const struct element *element) {
    return table_find(&fixture->table, element->hash, is_same, element);
}

/* Never more steps than promised, and each adds or takes one bucket. */
static void settle(struct fixture *fixture) {
    int steps = 0;
    while (table_wants_step(&fixture->table)) {
        uint32_t before = fixture->table.bucket_count;
        table_step(&fixture->table, &fixture->heap, &element_rules);
        uint32_t after = fixture->table.bucket_count;
        REQUIRE(after == before + 1 || after + 1 == before);
        REQUIRE(++steps <= TABLE_STEPS_MAX);
    }
}

static void insert(struct fixture *fixture, uint32_t i) {
    struct element *element = &fixture->elements[i];
    uint64_t *cell = table_insert(&fixture->table, &fixture->heap, element->hash, element);
    REQUIRE(table_cell_element(*cell) == element);
    element->is_there = true;
    fixture->count++;
    settle(fixture);
}

static void take(struct fixture *fixture, uint32_t i) {
    struct element *element = &fixture->elements[i];
    uint64_t *cell = find(fixture, element);
    REQUIRE(cell != NULL);
    table_remove(&fixture->table, &fixture->heap, element->hash, cell);
    element->is_there = false;
    fixture->count--;
    settle(fixture);
}

static void take_all(struct fixture *fixture) {
    for (uint32_t i = 0; i < fixture->size; i++) {
        if (fixture->elements[i].is_there) {
            take(fixture, i);
        }
    }
}

static void count_visit(void *element, void *context) {
    (void)context;
    ((struct element *)element)->visits++;
}

static void forget_visits(struct fixture *fixture) {
    for (uint32_t i = 0; i < fixture->size; i++) {
        fixture->elements[i].visits = 0;
    }
}

/* The table holds what the list says, each element once. */
static void compare(struct fixture *fixture) {
    REQUIRE(fixture->table.element_count == fixture->count);
    forget_visits(fixture);
    uint64_t position = 0;
    uint32_t buckets = 0;
    do {
        position = table_scan(&fixture->table, position, count_visit, NULL);
        buckets++;
    } while (position != 0);
    if (fixture->table.bucket_count != 0) {
        REQUIRE(buckets == fixture->table.bucket_count);
    }
    for (uint32_t i = 0; i < fixture->size; i++) {
        const struct element *element = &fixture->elements[i];
        REQUIRE(element->visits == (element->is_there ? 1 : 0));
        REQUIRE((find(fixture, element) != NULL) == element->is_there);
    }
}

/* Waves: eight in ten changes insert, then two in ten, and so on. */
static void exercise(struct fixture *fixture, uint32_t changes) {
    for (uint32_t i = 0; i < changes; i++) {
        bool is_growing = i / (fixture->size * 2) % 2 == 0;
        uint32_t number = (uint32_t)random_below(&fixture->random, fixture->size);
        bool is_insertion = random_below(&fixture->random, 10) < (is_growing ? 8 : 2);
        if (is_insertion && !fixture->elements[number].is_there) {
            insert(fixture, number);
        } else if (!is_insertion && fixture->elements[number].is_there) {
            take(fixture, number);
        }
        if (i % (fixture->size / 2) == 0) {
            compare(fixture);
        }
    }
    compare(fixture);
}

START_TEST(table_agrees_with_a_list_while_it_is_flat) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture fixture;
        fixture_open(&fixture, seed % 2 == 0 ? 30 : 600, seed);
        exercise(&fixture, fixture.size * 8);
        take_all(&fixture);
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(table_agrees_with_a_list_while_it_gets_and_loses_its_directory) {
    struct fixture fixture;
    fixture_open(&fixture, 6000, 1);
    for (uint32_t i = 0; i < fixture.size; i++) {
        insert(&fixture, i);
    }
    ck_assert_uint_gt(fixture.table.bucket_count, 2 * TABLE_FLAT_BUCKETS);
    take_all(&fixture);
    ck_assert_uint_eq(fixture.heap.used_bytes, 0);
    exercise(&fixture, fixture.size * 8);
    take_all(&fixture);
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_grows_over_groups_of_segments_and_back_to_nothing) {
    const uint32_t group_buckets = UINT32_C(1) << (TABLE_SEGMENT_BITS + TABLE_GROUP_BITS);
    struct fixture fixture;
    fixture_open(&fixture, group_buckets * 2 * TABLE_GROW_HALVES / 2 + 10000, 1);
    for (uint32_t i = 0; i < fixture.size; i++) {
        insert(&fixture, i);
    }
    ck_assert_uint_gt(fixture.table.bucket_count, 2 * group_buckets);
    compare(&fixture);
    take_all(&fixture);
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_finds_elements_of_one_hash_and_gives_their_children_back) {
    struct fixture fixture;
    fixture_open(&fixture, 300, 1);
    for (uint32_t i = 0; i < fixture.size; i++) {
        fixture.elements[i].hash = UINT64_C(0xabcd000000000001);
        insert(&fixture, i);
    }
    compare(&fixture);
    struct table_statistics statistics;
    table_statistics_read(&fixture.table, &statistics);
    ck_assert_uint_eq(statistics.chain_max, fixture.size);
    ck_assert_uint_gt(statistics.children, fixture.size / TABLE_BUCKET_CELLS);
    for (uint32_t i = 0; i < fixture.size; i++) {
        /* Inner ones first, then from the end: the holes do not matter. */
        take(&fixture, i < 200 ? i + 50 : i < 250 ? i + 50 : i - 250);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_trims_a_chain_from_its_end_only_as_far_as_it_is_empty) {
    struct fixture fixture;
    fixture_open(&fixture, 30, 1);
    for (uint32_t i = 0; i < fixture.size; i++) {
        fixture.elements[i].hash = 0;
        /* No steps: one bucket with children. */
        table_insert(&fixture.table, &fixture.heap, 0, &fixture.elements[i]);
    }
    struct table_statistics statistics;
    table_statistics_read(&fixture.table, &statistics);
    ck_assert_uint_eq(statistics.buckets, 1);
    ck_assert_uint_eq(statistics.children, 4);
    for (uint32_t i = 0; i < fixture.size; i++) {
        table_remove(&fixture.table, &fixture.heap, 0, find(&fixture, &fixture.elements[i]));
        for (uint32_t k = i + 1; k < fixture.size; k++) {
            ck_assert_ptr_nonnull(find(&fixture, &fixture.elements[k]));
        }
    }
    table_statistics_read(&fixture.table, &statistics);
    ck_assert_uint_eq(statistics.children, 0);
    table_free(&fixture.table, &fixture.heap);
    fixture_close(&fixture);
}
END_TEST

/* ---- growth ---- */

START_TEST(table_keeps_its_load_between_the_limits) {
    struct fixture fixture;
    fixture_open(&fixture, 5000, 1);
    for (uint32_t i = 0; i < 2 * fixture.size; i++) {
        if (i < fixture.size) {
            insert(&fixture, i);
        } else {
            take(&fixture, i - fixture.size);
        }
        uint64_t halves = (uint64_t)fixture.table.element_count * 2;
        REQUIRE(halves <= (uint64_t)fixture.table.bucket_count * TABLE_GROW_HALVES);
        REQUIRE(fixture.table.bucket_count <= 1 ||
                halves >= (uint64_t)fixture.table.bucket_count * TABLE_SHRINK_HALVES);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_step_changes_no_other_buckets_than_it_said) {
    struct fixture fixture;
    fixture_open(&fixture, 3000, 1);
    uint32_t *homes = memory_alloc(fixture.size * sizeof(uint32_t));
    for (uint32_t i = 0; i < 2 * fixture.size; i++) {
        bool is_insertion = i < fixture.size;
        struct element *element = &fixture.elements[is_insertion ? i : i - fixture.size];
        if (is_insertion) {
            table_insert(&fixture.table, &fixture.heap, element->hash, element);
        } else {
            table_remove(&fixture.table, &fixture.heap, element->hash, find(&fixture, element));
        }
        element->is_there = is_insertion;
        while (table_wants_step(&fixture.table)) {
            uint32_t told[2];
            table_step_buckets(&fixture.table, told);
            uint32_t before = fixture.table.bucket_count;
            for (uint32_t k = 0; k < fixture.size; k++) {
                homes[k] = table_bucket_index(&fixture.table, fixture.elements[k].hash);
            }
            table_step(&fixture.table, &fixture.heap, &element_rules);
            if (fixture.table.bucket_count == 0) {
                break;
            }
            for (uint32_t k = 0; k < fixture.size; k++) {
                uint32_t home = table_bucket_index(&fixture.table, fixture.elements[k].hash);
                if (home != homes[k]) {
                    REQUIRE(homes[k] == told[0] || homes[k] == told[1]);
                    REQUIRE(home == told[0] || home == before);
                }
            }
        }
    }
    memory_free(homes);
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_cell_follows_an_element_that_moves) {
    struct fixture fixture;
    fixture_open(&fixture, 2, 1);
    insert(&fixture, 0);
    struct element *moved = &fixture.elements[1];
    moved->hash = fixture.elements[0].hash;
    table_cell_move(find(&fixture, &fixture.elements[0]), moved);
    ck_assert_ptr_null(find(&fixture, &fixture.elements[0]));
    ck_assert_ptr_eq(table_cell_element(*find(&fixture, moved)), moved);
    ck_assert_ptr_eq(table_guess(table_home(&fixture.table, moved->hash), moved->hash), moved);
    ck_assert_ptr_null(
        table_guess(table_home(&fixture.table, moved->hash), moved->hash ^ UINT64_C(1) << 50));
    table_free(&fixture.table, &fixture.heap);
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_that_is_empty_answers_nothing) {
    struct fixture fixture;
    fixture_open(&fixture, 1, 1);
    ck_assert_ptr_null(table_home(&fixture.table, 1));
    ck_assert_ptr_null(find(&fixture, &fixture.elements[0]));
    ck_assert_ptr_null(table_random(&fixture.table, &fixture.random));
    ck_assert_uint_eq(table_scan(&fixture.table, 5, count_visit, NULL), 0);
    ck_assert_uint_eq(table_bytes(&fixture.table), 0);
    ck_assert(table_drain(&fixture.table, &fixture.heap, 0, count_visit, NULL));
    table_free(&fixture.table, &fixture.heap);
    fixture_close(&fixture);
}
END_TEST

/* ---- walking ---- */

START_TEST(table_scan_meets_all_that_stays_while_the_table_grows_and_shrinks) {
    enum { SIZE = 8000, STAYING = 400 };
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct fixture fixture;
        fixture_open(&fixture, SIZE, seed);
        for (uint32_t i = 0; i < STAYING; i++) {
            insert(&fixture, i);
        }
        uint32_t passing = STAYING;
        bool is_growing = seed % 3 != 0;
        if (!is_growing) {
            while (passing < SIZE) {
                insert(&fixture, passing++);
            }
        }
        uint64_t position = 0;
        do {
            position = table_scan(&fixture.table, position, count_visit, NULL);
            for (uint64_t i = random_below(&fixture.random, 1 + 10 * seed); i != 0; i--) {
                if (passing == (is_growing ? SIZE : STAYING)) {
                    is_growing = !is_growing;
                }
                if (is_growing) {
                    insert(&fixture, passing++);
                } else {
                    take(&fixture, --passing);
                }
            }
        } while (position != 0);
        for (uint32_t i = 0; i < STAYING; i++) {
            ck_assert_uint_ge(fixture.elements[i].visits, 1);
        }
        take_all(&fixture);
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(table_scan_from_a_position_out_of_space_is_over) {
    struct fixture fixture;
    fixture_open(&fixture, 100, 1);
    for (uint32_t i = 0; i < fixture.size; i++) {
        insert(&fixture, i);
    }
    static const uint64_t positions[] = {UINT64_C(1) << TABLE_SCAN_BITS, UINT64_MAX};
    for (size_t i = 0; i < UNIT_COUNT(positions); i++) {
        ck_assert_uint_eq(table_scan(&fixture.table, positions[i], count_visit, NULL), 0);
    }
    for (uint32_t i = 0; i < fixture.size; i++) {
        ck_assert_uint_eq(fixture.elements[i].visits, 0);
    }
    ck_assert_uint_eq(
        table_scan(&fixture.table, (UINT64_C(1) << TABLE_SCAN_BITS) - 1, count_visit, NULL), 0);
    take_all(&fixture);
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_random_draws_every_element_about_as_often) {
    enum { DRAWS_PER_ELEMENT = 400 };
    /* The second: right before all buckets are split, when the last ones are at their fullest. */
    static const uint32_t sizes[] = {7, 790, 3000};
    for (size_t k = 0; k < UNIT_COUNT(sizes); k++) {
        struct fixture fixture;
        fixture_open(&fixture, sizes[k], 1);
        for (uint32_t i = 0; i < fixture.size; i++) {
            insert(&fixture, i);
        }
        for (uint32_t i = 0; i < fixture.size * DRAWS_PER_ELEMENT; i++) {
            struct element *element = table_random(&fixture.table, &fixture.random);
            REQUIRE(element->is_there);
            element->visits++;
        }
        for (uint32_t i = 0; i < fixture.size; i++) {
            ck_assert_uint_gt(fixture.elements[i].visits, DRAWS_PER_ELEMENT / 2);
            ck_assert_uint_lt(fixture.elements[i].visits, DRAWS_PER_ELEMENT * 3 / 2);
        }
        take_all(&fixture);
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(table_random_reaches_every_element_of_a_long_chain) {
    struct fixture fixture;
    fixture_open(&fixture, 100, 1);
    for (uint32_t i = 0; i < fixture.size; i++) {
        fixture.elements[i].hash = 5;
        insert(&fixture, i);
    }
    for (int i = 0; i < 10000; i++) {
        ((struct element *)table_random(&fixture.table, &fixture.random))->visits++;
    }
    for (uint32_t i = 0; i < fixture.size; i++) {
        ck_assert_uint_gt(fixture.elements[i].visits, 0);
    }
    take_all(&fixture);
    fixture_close(&fixture);
}
END_TEST

/* How many numbers were drawn between two states of a generator. */
static unsigned draws_between(struct random from, const struct random *to) {
    unsigned draws = 0;
    for (; memcmp(&from, to, sizeof(from)) != 0; draws++) {
        random_next(&from);
    }
    return draws;
}

START_TEST(table_random_tries_a_bounded_number_of_buckets) {
    struct fixture fixture;
    fixture_open(&fixture, 20000, 1);
    for (uint32_t i = 0; i < fixture.size; i++) {
        fixture.elements[i].hash = 5; /* One bucket of thousands has them all. */
        insert(&fixture, i);
    }
    unsigned draws_most = 0;
    for (int i = 0; i < 100; i++) {
        struct random before = fixture.random;
        ck_assert_ptr_nonnull(table_random(&fixture.table, &fixture.random));
        unsigned draws = draws_between(before, &fixture.random);
        draws_most = draws > draws_most ? draws : draws_most;
    }
    /* Two for each try, then a bucket to start from, and a place. */
    ck_assert_uint_eq(draws_most, 2 * TABLE_RANDOM_TRIES_MAX + 2);
    take_all(&fixture);
    fixture_close(&fixture);
}
END_TEST

/* ---- the end ---- */

START_TEST(table_drain_gives_each_element_once_in_pieces_of_the_count) {
    enum { SIZE = 4000, PIECE = 100 };
    struct fixture fixture;
    fixture_open(&fixture, SIZE, 1);
    for (uint32_t i = 0; i < SIZE; i++) {
        insert(&fixture, i);
    }
    uint32_t left = SIZE;
    bool is_empty;
    do {
        is_empty = table_drain(&fixture.table, &fixture.heap, PIECE, count_visit, NULL);
        left -= left < PIECE ? left : PIECE;
        ck_assert_uint_eq(fixture.table.element_count, left);
        ck_assert(!is_empty || left == 0);
    } while (!is_empty);
    for (uint32_t i = 0; i < SIZE; i++) {
        ck_assert_uint_eq(fixture.elements[i].visits, 1);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(table_free_gives_back_buckets_children_and_directory) {
    static const uint32_t sizes[] = {1, 50, 1500, 20000};
    for (size_t k = 0; k < UNIT_COUNT(sizes); k++) {
        struct fixture fixture;
        fixture_open(&fixture, sizes[k], k);
        for (uint32_t i = 0; i < fixture.size; i++) {
            insert(&fixture, i);
        }
        table_free(&fixture.table, &fixture.heap);
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(table_statistics_add_up_to_the_memory_and_the_elements) {
    static const uint32_t sizes[] = {5, 100, 1000, 10000};
    for (size_t k = 0; k < UNIT_COUNT(sizes); k++) {
        struct fixture fixture;
        fixture_open(&fixture, sizes[k], k);
        for (uint32_t i = 0; i < fixture.size; i++) {
            insert(&fixture, i);
        }
        struct table_statistics statistics;
        table_statistics_read(&fixture.table, &statistics);
        ck_assert_uint_eq(statistics.buckets, fixture.table.bucket_count);
        uint32_t buckets = 0;
        uint32_t elements = 0;
        for (uint32_t i = 0; i < UNIT_COUNT(statistics.chains); i++) {
            buckets += statistics.chains[i];
            elements += statistics.chains[i] * i;
        }
        ck_assert_uint_eq(buckets, statistics.buckets);
        ck_assert_uint_eq(elements, fixture.size);
        ck_assert_uint_eq(buckets - statistics.chains[0], statistics.used_buckets);
        ck_assert_uint_ge(fixture.heap.used_bytes, statistics.size_bytes);
        ck_assert_uint_lt(fixture.heap.used_bytes, statistics.size_bytes * 3 / 2);
        ck_assert_uint_gt(table_bytes(&fixture.table), fixture.heap.used_bytes * 2 / 3);
        ck_assert_uint_lt(table_bytes(&fixture.table), fixture.heap.used_bytes * 3 / 2);
        take_all(&fixture);
        fixture_close(&fixture);
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        table_agrees_with_a_list_while_it_is_flat,
        table_agrees_with_a_list_while_it_gets_and_loses_its_directory,
        table_grows_over_groups_of_segments_and_back_to_nothing,
        table_finds_elements_of_one_hash_and_gives_their_children_back,
        table_trims_a_chain_from_its_end_only_as_far_as_it_is_empty,
        table_keeps_its_load_between_the_limits,
        table_step_changes_no_other_buckets_than_it_said,
        table_cell_follows_an_element_that_moves,
        table_that_is_empty_answers_nothing,
        table_scan_meets_all_that_stays_while_the_table_grows_and_shrinks,
        table_scan_from_a_position_out_of_space_is_over,
        table_random_draws_every_element_about_as_often,
        table_random_reaches_every_element_of_a_long_chain,
        table_random_tries_a_bounded_number_of_buckets,
        table_drain_gives_each_element_once_in_pieces_of_the_count,
        table_free_gives_back_buckets_children_and_directory,
        table_statistics_add_up_to_the_memory_and_the_elements,
    };
    return unit_run(unit_suite("table", tests, UNIT_COUNT(tests)));
}
