#include "base/logger.h"

#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 1 << 20 };

/* A folder of its own for each test, with the file of the log in it. */
static char folder[64];
static char path[96];
static char other_path[96];
static char text[TEXT_BYTES_MAX];

static void folder_make(void) {
    snprintf(folder, sizeof(folder), "logger_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(other_path, sizeof(other_path), "%s/other", folder);
}

static void folder_remove(void) {
    unlink(path);
    unlink(other_path);
    rmdir(folder);
}

static const char *file_text(const char *name) {
    FILE *file = fopen(name, "r");
    ck_assert_ptr_nonnull(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static bool log_to(const char *name, enum log_level level) {
    struct logger_options options = {.level = level, .file = name};
    return logger_configure(&options);
}

START_TEST(logger_line_has_the_shape_of_redis) {
    ck_assert(log_to(path, LOG_DEBUG));
    logger_set_role('M');
    log_notice("Ready to accept connections %s", "tcp");
    char expression[200];
    snprintf(expression, sizeof(expression),
             "^%d:M [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} \\* "
             "Ready to accept connections tcp\n$",
             (int)getpid());
    regex_t compiled;
    ck_assert_int_eq(regcomp(&compiled, expression, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&compiled, file_text(path), 0, NULL, 0) == 0, "line: %s", text);
    regfree(&compiled);
}
END_TEST

START_TEST(logger_marks_each_level) {
    ck_assert(log_to(path, LOG_DEBUG));
    log_debug("one");
    log_verbose("two");
    log_notice("three");
    log_warning("four");
    file_text(path);
    ck_assert_ptr_nonnull(strstr(text, " . one\n"));
    ck_assert_ptr_nonnull(strstr(text, " - two\n"));
    ck_assert_ptr_nonnull(strstr(text, " * three\n"));
    ck_assert_ptr_nonnull(strstr(text, " # four\n"));
}
END_TEST

START_TEST(logger_writes_nothing_below_its_level) {
    ck_assert(log_to(path, LOG_WARNING));
    ck_assert_int_eq(logger_level(), LOG_WARNING);
    log_notice("hidden");
    log_warning("shown");
    file_text(path);
    ck_assert_ptr_null(strstr(text, "hidden"));
    ck_assert_ptr_nonnull(strstr(text, "shown"));
    ck_assert(log_to(path, LOG_NOTHING));
    log_warning("silence");
    ck_assert_ptr_null(strstr(file_text(path), "silence"));
}
END_TEST

START_TEST(logger_message_of_a_thousand_bytes_is_whole_and_a_huge_one_is_cut) {
    static char message[3 * LOGGER_LINE_BYTES_MAX];
    ck_assert(log_to(path, LOG_NOTICE));
    memset(message, 'm', sizeof(message) - 1);
    log_notice("%.*s|", 1024, message);
    file_text(path);
    ck_assert_str_eq(text + strlen(text) - 3, "m|\n");
    ck_assert_uint_gt(strlen(text), 1024);
    ck_assert_int_eq(truncate(path, 0), 0);
    log_notice("%s", message);
    file_text(path);
    ck_assert_uint_eq(strlen(text), LOGGER_LINE_BYTES_MAX);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(logger_configured_again_goes_on_in_a_new_file) {
    ck_assert(log_to(path, LOG_NOTICE));
    log_notice("first");
    ck_assert_int_eq(rename(path, other_path), 0);
    log_notice("second");
    ck_assert(log_to(path, LOG_NOTICE));
    log_notice("third");
    file_text(other_path);
    ck_assert_ptr_nonnull(strstr(text, "second"));
    ck_assert_ptr_null(strstr(text, "third"));
    file_text(path);
    ck_assert_ptr_null(strstr(text, "second"));
    ck_assert_ptr_nonnull(strstr(text, "third"));
}
END_TEST

START_TEST(logger_stays_as_it_was_when_the_file_cannot_be_opened) {
    ck_assert(log_to(path, LOG_NOTICE));
    ck_assert(!log_to("no such folder/log", LOG_WARNING));
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(logger_level(), LOG_NOTICE);
    log_notice("still here");
    ck_assert_ptr_nonnull(strstr(file_text(path), "still here"));
}
END_TEST

START_TEST(logger_without_a_file_writes_to_standard_error) {
    ck_assert(log_to(path, LOG_NOTICE));
    FILE *file = fopen(other_path, "w");
    ck_assert_ptr_nonnull(file);
    dup2(fileno(file), STDERR_FILENO);
    ck_assert(log_to("", LOG_NOTICE));
    log_notice("to standard error");
    logger_write_raw("as it is");
    fclose(file);
    ck_assert_ptr_null(strstr(file_text(path), "error"));
    file_text(other_path);
    ck_assert_ptr_nonnull(strstr(text, " * to standard error\nas it is"));
}
END_TEST

START_TEST(logger_leaves_errno_alone) {
    ck_assert(log_to("", LOG_NOTICE));
    close(STDERR_FILENO);
    errno = ENOSPC;
    log_notice("to nowhere");
    logger_write_raw("to nowhere");
    ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

enum { THREADS = 3, LINES = 1000 };

static void *lines_write(void *context) {
    for (int i = 0; i < LINES; i++) {
        log_notice("thread %d line %d end", *(int *)context, i);
    }
    return NULL;
}

START_TEST(logger_lines_of_several_threads_do_not_mix_while_files_change) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    ck_assert(log_to(path, LOG_NOTICE));
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, lines_write, &numbers[i]);
    }
    for (int i = 0; i < 100; i++) {
        ck_assert(log_to(i % 2 == 0 ? other_path : path, LOG_NOTICE));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    int lines = 0;
    const char *paths[] = {path, other_path};
    for (int i = 0; i < 2; i++) {
        char *rest = NULL;
        file_text(paths[i]);
        for (char *line = strtok_r(text, "\n", &rest); line != NULL;
             line = strtok_r(NULL, "\n", &rest)) {
            ck_assert_str_eq(line + strlen(line) - 4, " end");
            lines++;
        }
    }
    ck_assert_int_eq(lines, THREADS * LINES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("logger");
    TCase *tcase = tcase_create("logger");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_checked_fixture(tcase, folder_make, folder_remove);
    tcase_add_test(tcase, logger_line_has_the_shape_of_redis);
    tcase_add_test(tcase, logger_marks_each_level);
    tcase_add_test(tcase, logger_writes_nothing_below_its_level);
    tcase_add_test(tcase, logger_message_of_a_thousand_bytes_is_whole_and_a_huge_one_is_cut);
    tcase_add_test(tcase, logger_configured_again_goes_on_in_a_new_file);
    tcase_add_test(tcase, logger_stays_as_it_was_when_the_file_cannot_be_opened);
    tcase_add_test(tcase, logger_without_a_file_writes_to_standard_error);
    tcase_add_test(tcase, logger_leaves_errno_alone);
    tcase_add_test(tcase, logger_lines_of_several_threads_do_not_mix_while_files_change);
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
