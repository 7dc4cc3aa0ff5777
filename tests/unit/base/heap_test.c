#include "base/heap.h"

#include "base/memory.h"
#include "base/random.h"

#include "tests/unit/unit.h"

#include <string.h>

/* Check makes a note of every ck_assert(): too slow for what runs a million times. */
#define REQUIRE(fact)                                                                              \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            ck_abort_msg("not so: %s", #fact);                                                     \
        }                                                                                          \
    } while (0)

/* In sanitizer builds there are no slabs: every object is an allocation of its own. */
#ifdef TARN_SANITIZED
#define HAS_SLABS false
#else
#define HAS_SLABS true
#endif

/* ---- objects, each filled with a byte of its own ---- */

struct object {
    unsigned char *bytes;
    size_t size;
    unsigned char content;
};

static void object_check(const struct object *object) {
    for (size_t i = 0; i < object->size; i++) {
        REQUIRE(object->bytes[i] == object->content);
    }
}

static void object_fill(struct object *object, struct random *random) {
    object->content = (unsigned char)random_next(random);
    memset(object->bytes, object->content, object->size);
}

static void object_new(struct object *object, struct heap *heap, size_t size,
                       struct random *random) {
    object->size = size;
    object->bytes = heap_alloc(heap, size);
    REQUIRE((uintptr_t)object->bytes % 8 == 0);
    object_fill(object, random);
}

static void object_free(struct object *object, struct heap *heap) {
    object_check(object);
    heap_free(heap, object->bytes, object->size);
    object->bytes = NULL;
}

static size_t used_by(size_t size) {
    return HAS_SLABS ? heap_class_bytes(size) : memory_class_bytes(size);
}

/* Mostly small sizes, some beyond the classes. */
static size_t size_draw(struct random *random) {
    switch (random_below(random, 10)) {
    case 0:
        return 1 + random_below(random, 20000);
    case 1:
    case 2:
        return 1 + random_below(random, HEAP_SMALL_BYTES_MAX + 100);
    default:
        return 1 + random_below(random, 200);
    }
}

START_TEST(heap_objects_keep_their_content_and_are_counted_whatever_the_order) {
    enum { OBJECTS = 3000, CHANGES = 200000 };
    static struct object objects[OBJECTS];
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct heap heap;
        heap_init(&heap);
        struct random random;
        random_seed(&random, seed);
        size_t used = 0;
        for (int i = 0; i < CHANGES; i++) {
            struct object *object = &objects[random_below(&random, OBJECTS)];
            size_t size = size_draw(&random);
            if (object->bytes == NULL) {
                object_new(object, &heap, size, &random);
                used += used_by(size);
            } else if (random_below(&random, 2) == 0) {
                used -= used_by(object->size);
                object_free(object, &heap);
            } else {
                used += used_by(size) - used_by(object->size);
                object->bytes = heap_realloc(&heap, object->bytes, object->size, size);
                object->size = object->size < size ? object->size : size;
                object_check(object);
                object->size = size;
                object_fill(object, &random);
            }
            REQUIRE(heap.used_bytes == used);
            REQUIRE(heap.held_bytes >= heap.used_bytes);
        }
        for (int i = 0; i < OBJECTS; i++) {
            if (objects[i].bytes != NULL) {
                object_free(&objects[i], &heap);
            }
        }
        ck_assert_uint_eq(heap.used_bytes, 0);
        heap_free_all(&heap);
        ck_assert_uint_eq(heap.held_bytes, 0);
    }
}
END_TEST

START_TEST(heap_classes_hold_their_sizes_and_waste_less_than_their_step) {
    for (size_t size = 1; size <= HEAP_SMALL_BYTES_MAX; size++) {
        size_t held = heap_class_bytes(size);
        size_t step = size <= HEAP_FINE_BYTES_MAX ? HEAP_FINE_STEP_BYTES : HEAP_COARSE_STEP_BYTES;
        ck_assert_uint_ge(held, size);
        ck_assert_uint_lt(held, size + step);
        ck_assert_uint_eq(heap_class_bytes(held), held);
    }
}
END_TEST

START_TEST(heap_slabs_are_packed_and_go_back_when_they_are_empty) {
    enum { OBJECTS = 20000, SIZE = 100 };
    static struct object objects[OBJECTS];
    struct heap heap;
    heap_init(&heap);
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < OBJECTS; i++) {
        object_new(&objects[i], &heap, SIZE, &random);
    }
    if (HAS_SLABS) {
        ck_assert_uint_lt(heap.held_bytes, heap.used_bytes * 102 / 100 + HEAP_SLAB_BYTES);
    }
    /* Every second one: no slab is empty. */
    for (int i = 0; i < OBJECTS; i += 2) {
        object_free(&objects[i], &heap);
    }
    if (HAS_SLABS) {
        ck_assert_uint_gt(heap.held_bytes, heap.used_bytes * 19 / 10);
    }
    for (int i = 1; i < OBJECTS; i += 2) {
        object_free(&objects[i], &heap);
    }
    ck_assert_uint_eq(heap.used_bytes, 0);
    ck_assert_uint_eq(heap.held_bytes, HAS_SLABS ? HEAP_SLAB_BYTES : 0);
    heap_free_all(&heap);
}
END_TEST

START_TEST(heap_gives_room_that_was_freed_before_it_asks_for_more) {
    enum { OBJECTS = 5000, SIZE = 40 };
    static struct object objects[OBJECTS];
    struct heap heap;
    heap_init(&heap);
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < OBJECTS; i++) {
        object_new(&objects[i], &heap, SIZE, &random);
    }
    size_t held = heap.held_bytes;
    for (int i = 0; i < OBJECTS; i += 3) {
        object_free(&objects[i], &heap);
    }
    for (int i = 0; i < OBJECTS; i += 3) {
        object_new(&objects[i], &heap, SIZE, &random);
    }
    ck_assert_uint_eq(heap.held_bytes, held);
    for (int i = 0; i < OBJECTS; i++) {
        object_free(&objects[i], &heap);
    }
    heap_free_all(&heap);
}
END_TEST

START_TEST(heap_realloc_stays_in_its_place_within_a_size_class) {
    struct heap heap;
    heap_init(&heap);
    for (size_t size = 1; size < 3000; size++) {
        void *object = heap_alloc(&heap, size);
        void *same = heap_realloc(&heap, object, size, heap_class_bytes(size));
        ck_assert_ptr_eq(same, object);
        heap_free(&heap, same, heap_class_bytes(size));
    }
    void *object = heap_realloc(&heap, NULL, 0, 10);
    ck_assert_uint_eq(heap.used_bytes, used_by(10));
    heap_free(&heap, object, 10);
    heap_free_all(&heap);
}
END_TEST

START_TEST(heap_try_alloc_answers_null_for_what_no_machine_has_and_counts_nothing) {
    struct heap heap;
    heap_init(&heap);
    ck_assert_ptr_null(heap_try_alloc(&heap, SIZE_MAX / 2));
    ck_assert_uint_eq(heap.used_bytes, 0);
    void *object = heap_try_alloc(&heap, 10);
    ck_assert_ptr_nonnull(object);
    ck_assert_uint_eq(heap.used_bytes, used_by(10));
    heap_free(&heap, object, 10);
    void *large = heap_try_alloc(&heap, 100000);
    ck_assert_ptr_nonnull(large);
    ck_assert_uint_eq(heap.used_bytes, memory_class_bytes(100000));
    heap_free(&heap, large, 100000);
    heap_free_all(&heap);
}
END_TEST

START_TEST(heap_counts_memory_that_came_from_elsewhere) {
    struct heap heap;
    heap_init(&heap);
    heap_account(&heap, 5000);
    ck_assert_uint_eq(heap.used_bytes, 5000);
    ck_assert_uint_eq(heap.held_bytes, 5000);
    heap_unaccount(&heap, 5000);
    ck_assert_uint_eq(heap.used_bytes, 0);
    heap_free_all(&heap);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        heap_objects_keep_their_content_and_are_counted_whatever_the_order,
        heap_classes_hold_their_sizes_and_waste_less_than_their_step,
        heap_slabs_are_packed_and_go_back_when_they_are_empty,
        heap_gives_room_that_was_freed_before_it_asks_for_more,
        heap_realloc_stays_in_its_place_within_a_size_class,
        heap_try_alloc_answers_null_for_what_no_machine_has_and_counts_nothing,
        heap_counts_memory_that_came_from_elsewhere,
    };
    return unit_run(unit_suite("heap", tests, UNIT_COUNT(tests)));
}
