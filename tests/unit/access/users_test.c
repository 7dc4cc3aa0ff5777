#include "access/users.h"

#include "tests/unit/unit.h"

static const struct user items[] = {
    {.name = USER_DEFAULT_NAME, .password = "secret"},
    {.name = "guest", .password = ""},
};
static const struct users users = {.items = items, .count = 2};

static const struct user *enter(const char *name, const char *password) {
    return users_authenticate(&users, span_of_string(name), span_of_string(password));
}

START_TEST(a_user_comes_in_with_the_right_password_only) {
    ck_assert_ptr_eq(enter("default", "secret"), &items[0]);
    ck_assert_ptr_null(enter("default", ""));
    ck_assert_ptr_null(enter("default", "secreT"));
    ck_assert_ptr_null(enter("default", "secre"));
    ck_assert_ptr_null(enter("default", "secretsecret"));
    ck_assert_ptr_null(enter("default", "secrets"));
    ck_assert(!user_password_fits(&items[0], span_of("secret\0", 7)));
}
END_TEST

START_TEST(any_password_will_do_for_a_user_without_one) {
    ck_assert_ptr_eq(enter("guest", ""), &items[1]);
    ck_assert_ptr_eq(enter("guest", "anything"), &items[1]);
    ck_assert(user_needs_password(&items[0]));
    ck_assert(!user_needs_password(&items[1]));
}
END_TEST

START_TEST(nobody_comes_in_under_another_name) {
    ck_assert_ptr_null(enter("nobody", "secret"));
    ck_assert_ptr_null(enter("Default", "secret"));
    ck_assert_ptr_null(enter("", "secret"));
    ck_assert_ptr_null(enter("default2", "secret"));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_user_comes_in_with_the_right_password_only,
        any_password_will_do_for_a_user_without_one,
        nobody_comes_in_under_another_name,
    };
    return unit_run(unit_suite("users", tests, UNIT_COUNT(tests)));
}
