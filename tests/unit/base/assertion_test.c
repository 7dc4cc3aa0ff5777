#include "base/assertion.h"

#include "base/logger.h"

#include "tests/unit/unit.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool never(void) {
    return false;
}

/* Runs the function in a child whose standard error is a pipe; answers the child's status. */
static int standard_error_of(void (*function)(void), char *text, size_t text_bytes) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        function();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got;
    while (length < text_bytes - 1 &&
           (got = read(ends[0], text + length, text_bytes - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

static void break_one(void) {
    ASSERT(never());
}

static void break_none(void) {
    ASSERT(!never());
}

START_TEST(assertion_that_breaks_names_the_fact_and_aborts) {
    char text[1000];
    int status = standard_error_of(break_one, text, sizeof(text));
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGABRT);
    ck_assert_ptr_nonnull(strstr(text, "'never()' is not true"));
    ck_assert_ptr_nonnull(strstr(text, "assertion_test.c:"));
}
END_TEST

START_TEST(assertion_that_holds_says_nothing) {
    char text[1000];
    int status = standard_error_of(break_none, text, sizeof(text));
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

static void break_a_long_one(void) {
    char fact[5000];
    memset(fact, 'f', sizeof(fact) - 1);
    fact[sizeof(fact) - 1] = '\0';
    assertion_failed("some.c", 2147483647, fact);
}

START_TEST(assertion_longer_than_its_line_is_cut) {
    char text[6000];
    int status = standard_error_of(break_a_long_one, text, sizeof(text));
    ck_assert(WIFSIGNALED(status));
    ck_assert_ptr_nonnull(strstr(text, "some.c:2147483647 'ffff"));
    ck_assert_uint_lt(strlen(text), 600);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        assertion_that_breaks_names_the_fact_and_aborts,
        assertion_that_holds_says_nothing,
        assertion_longer_than_its_line_is_cut,
    };
    return unit_run(unit_suite("assertion", tests, UNIT_COUNT(tests)));
}
