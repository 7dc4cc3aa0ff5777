#include "base/list.h"

#include "tests/unit/unit.h"

struct member {
    int number;
    struct list link;
};

/* The members' numbers as one decimal number, to compare an order at a glance. */
static int digits_of(const struct list *list) {
    int digits = 0;
    LIST_FOR_EACH(link, list) {
        ck_assert_ptr_eq(link->next->previous, link);
        digits = digits * 10 + LIST_ENTRY(link, struct member, link)->number;
    }
    return digits;
}

START_TEST(list_keeps_the_order_of_pushes) {
    struct list list;
    struct member members[] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}};
    list_init(&list);
    ck_assert(list_is_empty(&list));
    list_push_back(&list, &members[1].link);
    list_push_back(&list, &members[2].link);
    list_push_front(&list, &members[0].link);
    list_insert_before(&members[2].link, &members[3].link);
    ck_assert_int_eq(digits_of(&list), 1243);
}
END_TEST

START_TEST(list_remove_takes_out_one_and_forgives_the_second_time) {
    struct list list;
    struct member members[] = {{1, {0}}, {2, {0}}, {3, {0}}};
    list_init(&list);
    for (int i = 0; i < 3; i++) {
        list_push_back(&list, &members[i].link);
    }
    list_remove(&members[1].link);
    ck_assert(!list_is_linked(&members[1].link));
    list_remove(&members[1].link);
    ck_assert_int_eq(digits_of(&list), 13);
    ck_assert(list_is_linked(&members[0].link));
}
END_TEST

START_TEST(list_pop_front_empties_the_list_in_order) {
    struct list list;
    struct member members[] = {{1, {0}}, {2, {0}}};
    list_init(&list);
    list_push_back(&list, &members[0].link);
    list_push_back(&list, &members[1].link);
    ck_assert_ptr_eq(list_pop_front(&list), &members[0].link);
    ck_assert_ptr_eq(list_pop_front(&list), &members[1].link);
    ck_assert_ptr_null(list_pop_front(&list));
    ck_assert(list_is_empty(&list));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        list_keeps_the_order_of_pushes,
        list_remove_takes_out_one_and_forgives_the_second_time,
        list_pop_front_empties_the_list_in_order,
    };
    return unit_run(unit_suite("list", tests, UNIT_COUNT(tests)));
}
