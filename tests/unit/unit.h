/* The main function of a unit test program: one Check suite, each test in a process of its own
 * (CK_FORK=no in the environment runs them in one process, for the debugger).
 *
 *     START_TEST(span_without_bytes_equals_every_empty_span) {
 *         ck_assert(span_equal(...));
 *     }
 *     END_TEST
 *
 *     int main(void) {
 *         const TTest *tests[] = {span_without_bytes_equals_every_empty_span};
 *         return unit_run(unit_suite("span", tests, UNIT_COUNT(tests)));
 *     }
 *
 * A suite that needs fixtures or loops is made with Check's own functions and given to unit_run().
 * The last line printed is Check's "100%: Checks: 1, Failures: 0, Errors: 0", which utils/test adds
 * up; failures are printed with file, line and sentence before or after it.
 */
#ifndef TARN_TESTS_UNIT_UNIT_H
#define TARN_TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

/* Check notes the place of each assertion that holds, by a system call: most of the time of a test
 * that asserts in a loop. What is lost is the last place before a crash, where a debugger or a
 * sanitizer says more. */
#define _mark_point(file, line) ((void)0)

/* Sanitizers and a busy machine slow a test down, never to this. */
#define UNIT_TIMEOUT_SECONDS 240.0

#define UNIT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The suite of these tests, in their order, without fixtures. */
static inline Suite *unit_suite(const char *name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

/* Runs and frees the suite. Answers what main() returns: EXIT_FAILURE when a test failed. */
static inline int unit_run(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
