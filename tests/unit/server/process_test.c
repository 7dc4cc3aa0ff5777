/* The process: its pid file and its title. */
#include "base/memory.h"
#include "server/process.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

START_TEST(a_pid_file_holds_the_pid_while_the_process_runs) {
    char path[] = "/tmp/tarn-pid-XXXXXX";
    ck_assert_int_ge(mkstemp(path), 0);
    struct server_options options = {.pidfile = path};
    process_write_pid_file(&options);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    int pid = 0;
    ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
    fclose(file);
    ck_assert_int_eq(pid, (int)getpid());
    process_remove_pid_file(&options);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(without_a_pid_file_nothing_is_written) {
    struct server_options options = {.pidfile = (char[]){""}};
    process_write_pid_file(&options);
    process_remove_pid_file(&options);
}
END_TEST

static struct server_options title_options(char *template, struct option_list *bind) {
    return (struct server_options){
        .set_proc_title = true,
        .proc_title_template = template,
        .port = 6379,
        .bind = *bind,
        .unixsocket = (char[]){""},
    };
}

START_TEST(a_title_fills_the_variables_in_and_stays_in_its_room) {
    char room[64] = "program";
    char *items[] = {(char[]){"-127.0.0.1"}};
    struct option_list bind = {.items = items, .count = 1};
    char template[] = "{title} {listen-addr} {server-mode}";
    struct server_options options = title_options(template, &bind);
    struct process_title title = {.bytes = room, .length = sizeof(room) - 1, .program = room + 60};
    char name[] = "tarn-server";
    title.program = name;
    process_title_set(&title, &options, "");
    ck_assert_str_eq(room, "tarn-server 127.0.0.1:6379");
    title.length = 8;
    memset(room, 'x', sizeof(room));
    process_title_set(&title, &options, "");
    ck_assert_int_eq(memcmp(room, "tarn-serxxx", 11), 0);
}
END_TEST

START_TEST(the_environment_survives_the_title) {
    char arguments[] = "program\0first\0NAME=value";
    char *argv[] = {arguments, arguments + 8, NULL};
    char *variables[] = {arguments + 14, NULL};
    char **old = environ;
    environ = variables;
    struct process_title title;
    process_title_init(&title, 2, argv);
    ck_assert_uint_eq(title.length, sizeof(arguments) - 1);
    memset(title.bytes, 0, title.length);
    ck_assert_str_eq(getenv("NAME"), "value");
    ck_assert_str_eq(title.program, "program");
    process_title_free(&title);
    memory_free(environ[0]);
    memory_free(environ);
    environ = old;
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_pid_file_holds_the_pid_while_the_process_runs,
        without_a_pid_file_nothing_is_written,
        a_title_fills_the_variables_in_and_stays_in_its_room,
        the_environment_survives_the_title,
    };
    return unit_run(unit_suite("process", tests, UNIT_COUNT(tests)));
}
