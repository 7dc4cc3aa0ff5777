#include "server/config.h"

#include "tests/unit/unit.h"

#include "base/memory.h"
#include "commands/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test runs in a directory of its own, with one configuration. */
#define DIRECTORY_TEMPLATE "/tmp/tarn-config-test-XXXXXX"
static char directory[] = DIRECTORY_TEMPLATE;
static struct options options;
static struct config *config;
static struct buffer notes;
static struct buffer error;

static void setup(void) {
    memcpy(directory, DIRECTORY_TEMPLATE, sizeof(directory));
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
    config = config_new(&options);
    notes = BUFFER_EMPTY;
    error = BUFFER_EMPTY;
}

static void teardown(void) {
    config_free(config);
    buffer_free(&notes);
    buffer_free(&error);
    ck_assert_int_eq(chdir("/"), 0);
    char command[sizeof(directory) + 16];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    ck_assert_int_eq(system(command), 0);
}

static const char *text(struct buffer *buffer) {
    *buffer_reserve(buffer, 1) = '\0';
    return buffer->bytes;
}

static void file_write(const char *name, const char *content) {
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    fputs(content, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void file_is(const char *name, const char *expected) {
    static char content[65536];
    FILE *file = fopen(name, "r");
    ck_assert_ptr_nonnull(file);
    size_t length = fread(content, 1, sizeof(content) - 1, file);
    content[length] = '\0';
    fclose(file);
    ck_assert_str_eq(content, expected);
}

static bool loads(const char *content) {
    buffer_clear(&error);
    buffer_clear(&notes);
    return config_load_text(config, "test.conf", span_of_string(content), &notes, &error);
}

/* The file is refused, and the error says so: its last lines are these. */
static void refuses(const char *content, const char *expected) {
    ck_assert_msg(!loads(content), "%s", content);
    const char *place = strstr(text(&error), "***\n");
    ck_assert_ptr_nonnull(place);
    ck_assert_str_eq(place + 4, expected);
}

#define ARGUMENTS_MAX 16

static enum config_request starts(const char *const *arguments) {
    char *argv[ARGUMENTS_MAX + 1];
    int argc = 0;
    argv[argc++] = memory_copy_string("tarn-server");
    for (; *arguments != NULL; arguments++) {
        argv[argc++] = memory_copy_string(*arguments);
    }
    enum config_request request = config_load_arguments(config, argc, argv, &notes, &error);
    while (argc > 0) {
        memory_free(argv[--argc]);
    }
    return request;
}

#define STARTS(...) starts((const char *const[]){__VA_ARGS__, NULL})

static void collect(void *context, struct span name, struct span value) {
    struct buffer *found = context;
    buffer_append_span(found, name);
    buffer_append_byte(found, '=');
    buffer_append_span(found, value);
    buffer_append_byte(found, ';');
}

static void gets_all(const char *const *patterns, const char *expected) {
    struct span spans[ARGUMENTS_MAX];
    size_t count = 0;
    for (; patterns[count] != NULL; count++) {
        spans[count] = span_of_string(patterns[count]);
    }
    struct buffer found = BUFFER_EMPTY;
    config_get(config, spans, count, collect, &found);
    ck_assert_str_eq(text(&found), expected);
    buffer_free(&found);
}

#define GETS(expected, ...) gets_all((const char *const[]){__VA_ARGS__, NULL}, (expected))

static bool sets_all(const char *const *pairs, bool local) {
    struct span spans[ARGUMENTS_MAX];
    size_t count = 0;
    for (; pairs[count] != NULL; count++) {
        spans[count] = span_of_string(pairs[count]);
    }
    buffer_clear(&error);
    return config_set(config, spans, count / 2, local, &error);
}

#define SETS(...) sets_all((const char *const[]){__VA_ARGS__, NULL}, true)

#define FAILS(expected, ...)                                                                       \
    do {                                                                                           \
        ck_assert(!SETS(__VA_ARGS__));                                                             \
        ck_assert_str_eq(text(&error), (expected));                                                \
    } while (0)

#define SET_FAILED(name) "ERR CONFIG SET failed (possibly related to argument '" name "')"

/* Loading */

START_TEST(every_default_reads_back_as_itself) {
    struct buffer all = BUFFER_EMPTY;
    struct buffer again = BUFFER_EMPTY;
    struct span star = SPAN_LITERAL("*");
    config_get(config, &star, 1, collect, &all);
    struct buffer file = BUFFER_EMPTY;
    config_print_file(&file);
    ck_assert_msg(loads(text(&file)), "%s", text(&error));
    config_get(config, &star, 1, collect, &again);
    ck_assert_str_eq(text(&all), text(&again));
    ck_assert_uint_eq(notes.length, 0);
    buffer_free(&file);
    buffer_free(&all);
    buffer_free(&again);
}
END_TEST

START_TEST(values_with_quotes_comments_and_any_case_reach_their_fields) {
    ck_assert(
        loads("# comment\n\n  PORT 7000\r\nrequirepass \"a b\\x41\"\n"
              "maxmemory-policy AllKeys-LRU\nhash-max-ziplist-entries 7\n"
              "client-output-buffer-limit replica 3mb 2mb 5\nbind 127.0.0.1 -::1\nhz 9999\n"));
    ck_assert_int_eq(options.server.port, 7000);
    ck_assert_str_eq(options.server.requirepass, "a bA");
    ck_assert_int_eq(options.store.maxmemory_policy, MAXMEMORY_ALLKEYS_LRU);
    ck_assert_int_eq(options.store.hash_max_listpack_entries, 7);
    ck_assert_int_eq(options.worker.client_output_buffer_limit[CLIENT_CLASS_REPLICA].hard_bytes,
                     3 << 20);
    ck_assert_int_eq(options.worker.client_output_buffer_limit[CLIENT_CLASS_PUBSUB].soft_seconds,
                     60);
    ck_assert_uint_eq(options.server.bind.count, 2);
    ck_assert_str_eq(options.server.bind.items[1], "-::1");
    ck_assert_int_eq(options.worker.hz, 500);
}
END_TEST

START_TEST(a_bad_line_is_refused_with_file_line_and_reason) {
    refuses("port 1\n\nfoo bar\n",
            "Reading the configuration file 'test.conf', at line 3\n>>> 'foo bar'\n"
            "Bad directive or wrong number of arguments\n");
    refuses("hz abc", "Reading the configuration file 'test.conf', at line 1\n>>> 'hz abc'\n"
                      "argument couldn't be parsed into an integer\n");
    refuses("hz 1 2", "Reading the configuration file 'test.conf', at line 1\n>>> 'hz 1 2'\n"
                      "wrong number of arguments\n");
    refuses("hz \"1", "Reading the configuration file 'test.conf', at line 1\n>>> 'hz \"1'\n"
                      "Unbalanced quotes in configuration line\n");
}
END_TEST

START_TEST(an_error_does_not_show_a_password) {
    refuses("requirepass secret word",
            "Reading the configuration file 'test.conf', at line 1\n>>> 'requirepass (hidden)'\n"
            "wrong number of arguments\n");
}
END_TEST

START_TEST(what_cannot_be_honoured_and_protects_the_server_is_refused) {
    const char *const lines[] = {
        "user default off",
        "loadmodule /x.so",
        "aclfile /etc/users.acl",
        "tls-port 6380",
    };
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        ck_assert_msg(!loads(lines[i]), "%s", lines[i]);
        ck_assert_ptr_nonnull(strstr(text(&error), lines[i]));
        ck_assert_ptr_nonnull(strstr(text(&error), "this server"));
    }
    ck_assert(loads("replicaof no one\ncluster-enabled no\ntls-port 0\naclfile \"\"\n"));
}
END_TEST

static const char *called(const char *name) {
    const struct command_slot *slot =
        command_table_find(config_command_table(config), span_of_string(name));
    return slot == NULL ? "nothing" : slot->full_name;
}

START_TEST(a_command_is_called_by_the_name_that_the_file_gives_it) {
    ck_assert(loads("rename-command Get A-Longer-Name\nrename-command FLUSHALL \"\"\n"
                    "rename-command config Get\nrename-command SET sEt\n"));
    ck_assert_str_eq(called("a-longer-name"), "get");
    ck_assert_str_eq(called("A-LONGER-NAME"), "get");
    ck_assert_str_eq(called("flushall"), "nothing");
    ck_assert_str_eq(called(""), "nothing");
    ck_assert_str_eq(called("GET"), "config");
    ck_assert_str_eq(called("config"), "nothing");
    ck_assert_str_eq(called("set"), "set");
    ck_assert_str_eq(called("getset"), "getset");
    ck_assert_str_eq(command_table_row(config_command_table(config), "flushall")->name, "flushall");
    ck_assert_str_eq(text(&notes), "");
    refuses(
        "rename-command flushall x",
        "Reading the configuration file 'test.conf', at line 1\n>>> 'rename-command flushall x'\n"
        "No such command in rename-command\n");
    refuses("rename-command hget set",
            "Reading the configuration file 'test.conf', at line 1\n>>> 'rename-command hget set'\n"
            "Target command name already exists\n");
    refuses("rename-command hget",
            "Reading the configuration file 'test.conf', at line 1\n>>> 'rename-command hget'\n"
            "Bad directive or wrong number of arguments\n");
}
END_TEST

START_TEST(an_option_without_meaning_is_noted_once_and_kept_as_it_was_set) {
    ck_assert(
        loads("rdb-del-sync-files no\nrdb-del-sync-files no\nactive-defrag-ignore-bytes 5mb\n"));
    ck_assert_str_eq(
        text(&notes),
        "The option 'rdb-del-sync-files' has no meaning here: it is accepted, without effect\n"
        "The option 'active-defrag-ignore-bytes' has no meaning here: it is accepted, without "
        "effect\n");
    GETS("active-defrag-ignore-bytes=5242880;rdb-del-sync-files=no;", "rdb-del-sync-files",
         "active-defrag-ignore-bytes");
    refuses("repl-timeout 0", "Reading the configuration file 'test.conf', at line 1\n"
                              ">>> 'repl-timeout 0'\n"
                              "argument must be between 1 and 2147483647 inclusive\n");
}
END_TEST

START_TEST(save_lines_add_up_and_replace_the_default) {
    ck_assert(loads("save 900 1\nsave 300 10 60 10000\n"));
    GETS("save=900 1 300 10 60 10000;", "save");
    ck_assert(loads("save \"\"\nsave 5 5\n"));
    GETS("save=5 5;", "save");
    ck_assert(loads("save 1 1\nsave \"\"\n"));
    ck_assert_uint_eq(options.server.save.count, 0);
}
END_TEST

START_TEST(more_save_points_than_fit_are_refused) {
    struct buffer line = BUFFER_EMPTY;
    buffer_append_string(&line, "save");
    for (int i = 0; i < OPTIONS_SAVE_POINTS_MAX; i++) {
        buffer_append_string(&line, " 1 1");
    }
    ck_assert(loads(text(&line)));
    ck_assert_uint_eq(options.server.save.count, OPTIONS_SAVE_POINTS_MAX);
    buffer_append_string(&line, " 1 1");
    ck_assert(!loads(text(&line)));
    buffer_free(&line);
}
END_TEST

START_TEST(included_files_are_read_in_place_and_named_in_errors) {
    file_write("a.conf", "port 1\ninclude conf.d/*.conf\nhz 30\n");
    ck_assert_int_eq(mkdir("conf.d", 0700), 0);
    file_write("conf.d/1.conf", "port 2\nhz 20\n");
    file_write("conf.d/2.conf", "port 3\n");
    file_write("conf.d/3.other", "nonsense\n");
    ck_assert_int_eq(STARTS("a.conf"), CONFIG_REQUEST_RUN);
    ck_assert_int_eq(options.server.port, 3);
    ck_assert_int_eq(options.worker.hz, 30);

    file_write("conf.d/2.conf", "\nbroken line\n");
    ck_assert(!loads("include a.conf\n"));
    ck_assert_ptr_nonnull(strstr(text(&error), "conf.d/2.conf', at line 2\n>>> 'broken line'\n"));
    ck_assert(loads("include none-*.conf\n"));
    ck_assert(!loads("include none.conf\n"));
    ck_assert_ptr_nonnull(strstr(text(&error), "none.conf': No such file or directory\n"));
}
END_TEST

START_TEST(files_include_each_other_up_to_the_limit) {
    for (int i = 1; i < CONFIG_INCLUDE_DEPTH_MAX; i++) {
        char name[32];
        char line[64];
        snprintf(name, sizeof(name), "%d.conf", i);
        snprintf(line, sizeof(line), "include %d.conf\n", i + 1);
        file_write(name, line);
    }
    char last[32];
    snprintf(last, sizeof(last), "%d.conf", CONFIG_INCLUDE_DEPTH_MAX);
    file_write(last, "port 7\n");
    ck_assert(loads("include 1.conf\n"));
    ck_assert_int_eq(options.server.port, 7);
    file_write(last, "include none-*.conf\n");
    ck_assert(!loads("include 1.conf\n"));
    ck_assert_ptr_nonnull(strstr(text(&error), "files include each other more than"));
}
END_TEST

START_TEST(more_included_files_than_allowed_are_refused) {
    file_write("empty.conf", "");
    struct buffer many = BUFFER_EMPTY;
    for (int i = 0; i < CONFIG_INCLUDE_FILES_MAX; i++) {
        buffer_append_string(&many, "include empty.conf\n");
    }
    ck_assert(loads(text(&many)));
    buffer_append_string(&many, "include empty.conf\n");
    ck_assert(!loads(text(&many)));
    ck_assert_ptr_nonnull(strstr(text(&error), "too many included files"));
    buffer_free(&many);
}
END_TEST

START_TEST(a_line_of_too_many_words_is_refused) {
    struct buffer line = BUFFER_EMPTY;
    buffer_append_string(&line, "bind");
    for (int i = 0; i < CONFIG_LINE_WORDS_MAX; i++) {
        buffer_append_string(&line, " x");
    }
    ck_assert(!loads(text(&line)));
    ck_assert_ptr_nonnull(strstr(text(&error), "Too many words in configuration line"));
    buffer_free(&line);
}
END_TEST

START_TEST(a_file_larger_than_the_limit_is_refused) {
    int fd = open("large.conf", O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(ftruncate(fd, (off_t)CONFIG_FILE_BYTES_MAX + 1), 0);
    close(fd);
    ck_assert_int_eq(STARTS("large.conf"), CONFIG_REQUEST_FAIL);
    ck_assert_ptr_nonnull(strstr(text(&error), "it is too large"));
}
END_TEST

START_TEST(dir_is_absolute_and_must_exist) {
    ck_assert_int_eq(mkdir("data", 0700), 0);
    ck_assert(loads("dir data\n"));
    ck_assert_int_eq(options.server.dir[0], '/');
    ck_assert_ptr_nonnull(strstr(options.server.dir, "/data"));
    refuses("dir missing", "Reading the configuration file 'test.conf', at line 1\n"
                           ">>> 'dir missing'\nNo such file or directory\n");
}
END_TEST

/* The command line */

START_TEST(the_command_line_comes_after_the_file) {
    file_write("a.conf", "port 1\nhz 20\nsave 1 1\n");
    ck_assert_int_eq(STARTS("a.conf", "--port", "2", "--bind", "10.0.0.1", "10.0.0.2", "--save",
                            "3", "4", "--save", "5 6", "--maxmemory 1mb"),
                     CONFIG_REQUEST_RUN);
    GETS("port=2;bind=10.0.0.1 10.0.0.2;save=3 4 5 6;hz=20;maxmemory=1048576;", "port", "hz",
         "save", "bind", "maxmemory");
    ck_assert_ptr_nonnull(strstr(config_file(config), "/a.conf"));
    ck_assert_int_eq(config_file(config)[0], '/');
}
END_TEST

START_TEST(a_value_may_begin_with_dashes) {
    ck_assert_int_eq(STARTS("--requirepass", "--x", "--port", "5"), CONFIG_REQUEST_RUN);
    ck_assert_str_eq(options.server.requirepass, "--x");
    ck_assert_int_eq(options.server.port, 5);
}
END_TEST

START_TEST(save_without_a_value_saves_nothing) {
    ck_assert_int_eq(STARTS("--save", "--port", "5"), CONFIG_REQUEST_RUN);
    ck_assert_uint_eq(options.server.save.count, 0);
    ck_assert_int_eq(options.server.port, 5);
    ck_assert_str_eq(config_file(config), "");
}
END_TEST

START_TEST(a_bad_command_line_is_refused_with_what_was_written) {
    ck_assert_int_eq(STARTS("--hz", "abc"), CONFIG_REQUEST_FAIL);
    ck_assert_ptr_nonnull(strstr(text(&error), "Reading the command line\n>>> 'hz abc'\n"));
}
END_TEST

START_TEST(requests_are_recognised) {
    ck_assert_int_eq(STARTS("--port", "1", "--check-config"), CONFIG_REQUEST_CHECK);
    ck_assert_int_eq(options.server.port, 1);
}
END_TEST

START_TEST(help_needs_no_valid_file) {
    ck_assert_int_eq(STARTS("missing.conf", "--help"), CONFIG_REQUEST_HELP);
}
END_TEST

START_TEST(a_check_of_a_bad_file_fails) {
    file_write("a.conf", "port x\n");
    ck_assert_int_eq(STARTS("a.conf", "--check-config"), CONFIG_REQUEST_FAIL);
}
END_TEST

START_TEST(a_dash_reads_standard_input) {
    file_write("input", "hz 33\nport 1\n");
    int fd = open("input", O_RDONLY);
    ck_assert_int_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    ck_assert_int_eq(STARTS("--port", "2", "-"), CONFIG_REQUEST_RUN);
    ck_assert_int_eq(options.worker.hz, 33);
    ck_assert_int_eq(options.server.port, 2);
    ck_assert(SETS("hz", "44"));
    ck_assert(config_reload(config, &notes, &error));
    ck_assert_int_eq(options.worker.hz, 33);
}
END_TEST

/* CONFIG GET */

START_TEST(patterns_find_each_option_once_in_the_tables_order) {
    GETS("maxmemory=0;maxmemory-policy=noeviction;maxmemory-samples=5;"
         "maxmemory-eviction-tenacity=10;",
         "maxmemory", "MAXMEMORY*y", "maxmemory-s*", "maxmemory");
    GETS("", "nope", "[", "port?");
    GETS("", NULL);
}
END_TEST

START_TEST(both_names_of_an_option_are_answered) {
    GETS("busy-reply-threshold=5000;lua-time-limit=5000;", "lua-time-limit", "busy-reply-*");
    GETS("replica-priority=100;slave-priority=100;", "*-priority");
}
END_TEST

START_TEST(a_full_name_is_answered_as_it_was_written) {
    GETS("HZ=10;", "HZ", "hz");
}
END_TEST

START_TEST(hidden_options_are_shown_only_by_their_full_name) {
    GETS("", "key-load-d*");
    GETS("key-load-delay=0;", "key-load-delay");
}
END_TEST

START_TEST(no_two_options_share_a_name) {
    struct buffer found = BUFFER_EMPTY;
    struct span star = SPAN_LITERAL("*");
    config_get(config, &star, 1, collect, &found);
    char *list = memory_copy_string(text(&found));
    char *rest = list;
    size_t count = 0;
    for (char *item = strsep(&rest, ";"); item != NULL && *item != '\0';
         item = strsep(&rest, ";")) {
        char needle[128];
        snprintf(needle, sizeof(needle), ";%.*s=", (int)(strchr(item, '=') - item), item);
        const char *first = strstr(found.bytes, needle);
        ck_assert_msg(first == NULL || strstr(first + 1, needle) == NULL, "%s", needle);
        count++;
    }
    ck_assert_uint_gt(count, 190);
    memory_free(list);
    buffer_free(&found);
}
END_TEST

/* CONFIG SET */

START_TEST(all_pairs_are_set) {
    ck_assert(SETS("maxmemory", "1mb", "HZ", "20", "slave-priority", "3", "save", "9 9"));
    GETS("save=9 9;hz=20;maxmemory=1048576;replica-priority=3;", "maxmemory", "hz",
         "replica-priority", "save");
}
END_TEST

START_TEST(one_bad_pair_leaves_all_unchanged) {
    FAILS(SET_FAILED("maxmemory") " - argument must be a memory value", "hz", "20", "requirepass",
          "x", "maxmemory", "x", "port", "1");
    FAILS("ERR Unknown option or number of arguments for CONFIG SET - 'n\xc3\xa4 '", "hz", "20",
          "n\xc3\xa4\n", "1");
    FAILS(SET_FAILED("databases") " - can't set immutable config", "hz", "20", "databases", "3");
    FAILS(SET_FAILED("HZ") " - duplicate parameter", "hz", "20", "HZ", "30");
    FAILS(SET_FAILED("dir") " - can't set protected config", "hz", "20", "dir", "/");
    GETS("port=6379;requirepass=;hz=10;", "hz", "requirepass", "port");
}
END_TEST

START_TEST(the_errors_of_special_options_are_those_of_redis) {
    FAILS(SET_FAILED("save") " - Invalid save parameters", "save", "900");
    FAILS(SET_FAILED("save") " - Invalid save parameters", "save", "0 1");
    FAILS(SET_FAILED("client-output-buffer-limit") " - Wrong number of arguments in buffer limit "
                                                   "configuration.",
          "client-output-buffer-limit", "normal 0 0");
    FAILS(SET_FAILED("client-output-buffer-limit") " - Invalid client class specified in buffer "
                                                   "limit configuration.",
          "client-output-buffer-limit", "normal 1 1 1 master 0 0 0");
    FAILS(SET_FAILED("client-output-buffer-limit") " - Error in hard, soft or soft_seconds setting "
                                                   "in buffer limit configuration.",
          "client-output-buffer-limit", "normal 0 0 -1");
    FAILS(SET_FAILED(
              "notify-keyspace-events") " - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
          "notify-keyspace-events", "q");
    FAILS(
        SET_FAILED("latency-tracking-info-percentiles") " - latency-tracking-info-percentiles "
                                                        "parameters should sit between [0.0,100.0]",
        "latency-tracking-info-percentiles", "50 101");
    FAILS(SET_FAILED(
              "latency-tracking-info-percentiles") " - Invalid latency-tracking-info-percentiles "
                                                   "parameters",
          "latency-tracking-info-percentiles", "x");
    FAILS(SET_FAILED("shutdown-on-sigint") " - shutdown options SAVE and NOSAVE can't be used "
                                           "simultaneously",
          "shutdown-on-sigint", "save nosave");
    FAILS(SET_FAILED(
              "proc-title-template") " - template format is invalid or contains unknown variables",
          "proc-title-template", "{x}");
    FAILS(SET_FAILED("bind") " - Too many bind addresses specified.", "bind",
          "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17");
    FAILS(SET_FAILED("oom-score-adj-values") " - Invalid oom-score-adj-values, elements must be "
                                             "between -2000 and 2000.",
          "oom-score-adj-values", "0 1 2001");
    GETS("client-output-buffer-limit=normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 "
         "8388608 60;",
         "client-output-buffer-limit");
}
END_TEST

START_TEST(special_options_are_shown_as_redis_shows_them) {
    ck_assert(SETS("client-output-buffer-limit", "replica 1mb 2 3"));
    GETS("client-output-buffer-limit=normal 0 0 0 slave 1048576 2 3 pubsub 33554432 8388608 60;",
         "client-output-buffer-limit");
    ck_assert(SETS("notify-keyspace-events", "KEg$lshzxetd"));
    GETS("notify-keyspace-events=AKE;", "notify-keyspace-events");
    ck_assert_int_eq(options.worker.notify_keyspace_events,
                     EVENT_ALL | EVENT_KEYSPACE | EVENT_KEYEVENT);
    ck_assert(SETS("notify-keyspace-events", "mtx"));
    GETS("notify-keyspace-events=xtm;", "notify-keyspace-events");
    ck_assert(SETS("latency-tracking-info-percentiles", "99.99 1e1 0"));
    GETS("latency-tracking-info-percentiles=99.99 10 0;", "latency-tracking-info-percentiles");
    ck_assert(SETS("latency-tracking-info-percentiles", ""));
    ck_assert_uint_eq(options.worker.latency_tracking_info_percentiles.count, 0);
    ck_assert(SETS("maxmemory-clients", "5%"));
    ck_assert_int_eq(options.worker.maxmemory_clients, -5);
}
END_TEST

START_TEST(protected_options_are_set_as_enable_protected_configs_allows) {
    const char *const pair[] = {"dbfilename", "x.rdb", NULL};
    ck_assert(loads("enable-protected-configs local\n"));
    ck_assert(!sets_all(pair, false));
    ck_assert(sets_all(pair, true));
    ck_assert(loads("enable-protected-configs yes\n"));
    ck_assert(sets_all(pair, false));
    FAILS(SET_FAILED("dbfilename") " - dbfilename can't be a path, just a filename", "dbfilename",
          "a/b");
}
END_TEST

struct watcher {
    const char *refuses; /* the value of requirepass that it fails for, or NULL */
    int calls;
    int64_t port_seen;
};

static bool take_effect(void *context, struct buffer *reason) {
    struct watcher *effect = context;
    effect->calls++;
    effect->port_seen = options.server.port;
    if (effect->refuses != NULL && strcmp(options.server.requirepass, effect->refuses) == 0) {
        buffer_append_string(reason, "no such luck");
        return false;
    }
    return true;
}

START_TEST(a_change_takes_effect_once_for_a_function_and_not_without_change) {
    struct watcher network = {0};
    struct watcher other = {0};
    config_on_change(config, "port", take_effect, &network);
    config_on_change(config, "bind", take_effect, &network);
    config_on_change(config, "hz", take_effect, &other);
    ck_assert(SETS("port", "7", "bind", "127.0.0.1", "hz", "10"));
    ck_assert_int_eq(network.calls, 1);
    ck_assert_int_eq(network.port_seen, 7);
    ck_assert_int_eq(other.calls, 0);
}
END_TEST

START_TEST(a_change_that_cannot_take_effect_undoes_them_all) {
    struct watcher network = {0};
    struct watcher password = {.refuses = "bad"};
    config_on_change(config, "port", take_effect, &network);
    config_on_change(config, "requirepass", take_effect, &password);
    FAILS(SET_FAILED("requirepass") " - no such luck", "hz", "20", "port", "7", "requirepass",
          "bad", "slave-priority", "1", "replica-priority", "2");
    GETS("port=6379;requirepass=;hz=10;replica-priority=100;", "port", "hz", "requirepass",
         "replica-priority");
    ck_assert_int_eq(network.calls, 2);
    ck_assert_int_eq(network.port_seen, 6379);
    ck_assert_int_eq(password.calls, 2);
}
END_TEST

START_TEST(only_secrets_are_sensitive) {
    ck_assert(config_is_sensitive(config, span_of_string("RequirePass")));
    ck_assert(config_is_sensitive(config, span_of_string("masterauth")));
    ck_assert(!config_is_sensitive(config, span_of_string("port")));
    ck_assert(!config_is_sensitive(config, span_of_string("nope")));
}
END_TEST

/* CONFIG REWRITE */

START_TEST(without_a_file_there_is_nothing_to_rewrite) {
    ck_assert(!config_rewrite(config, &error));
    ck_assert_str_eq(text(&error), "ERR The server is running without a config file");
}
END_TEST

START_TEST(rewriting_keeps_lines_and_comments_and_appends_what_differs) {
    file_write("a.conf", "# first\nport 7\n\nsave 1 1\n# second\nsave 2 2\nhz 20\nHZ 30\n"
                         "include none-*.conf\nslave-priority 5\nmaxmemory 100mb\n"
                         "client-output-buffer-limit normal 1 2 3");
    ck_assert_int_eq(chmod("a.conf", 0640), 0);
    ck_assert_int_eq(STARTS("a.conf", "--timeout", "9"), CONFIG_REQUEST_RUN);
    ck_assert(SETS("save", "3 3", "requirepass", "a \"b\"", "notify-keyspace-events", "Kx",
                   "client-output-buffer-limit", "pubsub 1mb 2 3"));
    ck_assert_msg(config_rewrite(config, &error), "%s", text(&error));
    struct buffer expected = BUFFER_EMPTY;
    buffer_format(&expected,
                  "# first\nport 7\n\nsave 3 3\n# second\nhz 30\n"
                  "include none-*.conf\nreplica-priority 5\nmaxmemory 100mb\n"
                  "client-output-buffer-limit normal 1 2 3\n"
                  "\n# Generated by CONFIG REWRITE\n"
                  "requirepass \"a \\\"b\\\"\"\n"
                  "dir \"%s\"\n"
                  "timeout 9\n"
                  "client-output-buffer-limit slave 268435456 67108864 60\n"
                  "client-output-buffer-limit pubsub 1048576 2 3\n"
                  "notify-keyspace-events xK\n",
                  options.server.dir);
    file_is("a.conf", text(&expected));
    struct stat properties;
    ck_assert_int_eq(stat("a.conf", &properties), 0);
    ck_assert_uint_eq(properties.st_mode & 07777, 0640);

    ck_assert(config_rewrite(config, &error));
    file_is("a.conf", text(&expected));
    buffer_free(&expected);
}
END_TEST

START_TEST(a_second_rewrite_appends_behind_the_first) {
    file_write("a.conf", "port 7\n");
    ck_assert_int_eq(STARTS("a.conf"), CONFIG_REQUEST_RUN);
    ck_assert(config_rewrite(config, &error));
    ck_assert(SETS("hz", "20"));
    ck_assert(config_rewrite(config, &error));
    struct buffer expected = BUFFER_EMPTY;
    buffer_format(&expected, "port 7\n\n# Generated by CONFIG REWRITE\ndir \"%s\"\nhz 20\n",
                  options.server.dir);
    file_is("a.conf", text(&expected));
    buffer_free(&expected);
}
END_TEST

START_TEST(a_default_of_several_lines_is_written_whole_where_the_file_has_one) {
    file_write("a.conf", "save 9 9\n");
    ck_assert_int_eq(STARTS("a.conf"), CONFIG_REQUEST_RUN);
    ck_assert(SETS("save", "3600 1 300 100 60 10000"));
    ck_assert(config_rewrite(config, &error));
    struct buffer expected = BUFFER_EMPTY;
    buffer_format(&expected,
                  "save 3600 1\n\n# Generated by CONFIG REWRITE\n"
                  "dir \"%s\"\nsave 300 100\nsave 60 10000\n",
                  options.server.dir);
    file_is("a.conf", text(&expected));
    buffer_free(&expected);
}
END_TEST

START_TEST(a_rewritten_file_gives_the_same_values_again) {
    file_write("a.conf", "");
    ck_assert_int_eq(STARTS("a.conf"), CONFIG_REQUEST_RUN);
    ck_assert(SETS("save", "", "bind", "", "masterauth", "x\n'\x01", "maxmemory-clients", "7%",
                   "shutdown-on-sigterm", "now force", "proto-max-bulk-len", "3000000"));
    ck_assert(config_rewrite(config, &error));
    struct buffer before = BUFFER_EMPTY;
    struct buffer after = BUFFER_EMPTY;
    struct span star = SPAN_LITERAL("*");
    config_get(config, &star, 1, collect, &before);
    struct options fresh_options;
    struct config *fresh = config_new(&fresh_options);
    char *const argv[] = {(char[]){"tarn-server"}, (char[]){"a.conf"}};
    ck_assert_int_eq(config_load_arguments(fresh, 2, argv, &notes, &error), CONFIG_REQUEST_RUN);
    config_get(fresh, &star, 1, collect, &after);
    ck_assert_str_eq(text(&before), text(&after));
    config_free(fresh);
    buffer_free(&before);
    buffer_free(&after);
}
END_TEST

START_TEST(rewriting_makes_the_file_anew_when_it_is_gone) {
    file_write("a.conf", "port 7\n");
    ck_assert_int_eq(STARTS("a.conf"), CONFIG_REQUEST_RUN);
    ck_assert_int_eq(unlink("a.conf"), 0);
    ck_assert(config_rewrite(config, &error));
    struct buffer expected = BUFFER_EMPTY;
    buffer_format(&expected, "# Generated by CONFIG REWRITE\nport 7\ndir \"%s\"\n",
                  options.server.dir);
    file_is("a.conf", text(&expected));
    buffer_free(&expected);
}
END_TEST

START_TEST(a_rewrite_that_fails_says_why_and_leaves_the_file) {
    ck_assert_int_eq(mkdir("gone", 0700), 0);
    file_write("gone/a.conf", "port 7\n");
    ck_assert_int_eq(STARTS("gone/a.conf"), CONFIG_REQUEST_RUN);
    ck_assert_int_eq(rename("gone", "away"), 0);
    ck_assert(!config_rewrite(config, &error));
    ck_assert_str_eq(text(&error), "ERR Rewriting config file: No such file or directory");
    file_is("away/a.conf", "port 7\n");
}
END_TEST

/* Reloading */

START_TEST(reloading_sets_what_the_file_says_now_and_keeps_the_command_line) {
    struct watcher network = {0};
    file_write("a.conf", "port 7\nslowlog-max-len 20\ndatabases 4\n");
    ck_assert_int_eq(STARTS("a.conf", "--timeout", "5"), CONFIG_REQUEST_RUN);
    config_on_change(config, "port", take_effect, &network);
    ck_assert(SETS("slowlog-max-len", "99", "timeout", "6"));
    file_write("a.conf", "port 8\nmaxmemory 1mb\ndatabases 5\n");
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_msg(config_reload(config, &notes, &error), "%s", text(&error));
    GETS("port=8;databases=4;timeout=5;slowlog-max-len=128;maxmemory=1048576;", "port",
         "slowlog-max-len", "timeout", "maxmemory", "databases");
    ck_assert_int_eq(network.port_seen, 8);
    ck_assert_str_eq(text(&notes),
                     "The option 'databases' has a new value, which needs a restart\n");
}
END_TEST

START_TEST(reloading_a_bad_file_changes_nothing) {
    file_write("a.conf", "port 7\n");
    ck_assert_int_eq(STARTS("a.conf"), CONFIG_REQUEST_RUN);
    file_write("a.conf", "port 8\nhz x\n");
    ck_assert(!config_reload(config, &notes, &error));
    ck_assert_ptr_nonnull(strstr(text(&error), "/a.conf', at line 2\n>>> 'hz x'\n"));
    ck_assert_int_eq(options.server.port, 7);
}
END_TEST

/* Texts */

START_TEST(the_manual_names_every_option_that_has_a_meaning) {
    struct buffer help = BUFFER_EMPTY;
    struct buffer man = BUFFER_EMPTY;
    config_print_help("tarn-server", &help);
    config_print_man(&man);
    ck_assert_ptr_nonnull(strstr(text(&help), "--maxmemory-policy "));
    ck_assert_ptr_nonnull(strstr(text(&man), ".B maxmemory\\-policy noeviction\n"));
    ck_assert_ptr_null(strstr(text(&help), "rdb-del-sync-files"));
    ck_assert_ptr_null(strstr(text(&man), "key\\-load\\-delay"));
    /* A line of roff that begins with a dot is a request. */
    for (const char *line = strstr(man.bytes, "\n."); line != NULL;
         line = strstr(line + 1, "\n.")) {
        ck_assert_msg(strncmp(line + 2, "SS ", 3) == 0 || strncmp(line + 2, "TP\n", 3) == 0 ||
                          strncmp(line + 2, "B ", 2) == 0,
                      "%.40s", line);
    }
    buffer_free(&help);
    buffer_free(&man);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        every_default_reads_back_as_itself,
        values_with_quotes_comments_and_any_case_reach_their_fields,
        a_bad_line_is_refused_with_file_line_and_reason,
        an_error_does_not_show_a_password,
        what_cannot_be_honoured_and_protects_the_server_is_refused,
        a_command_is_called_by_the_name_that_the_file_gives_it,
        an_option_without_meaning_is_noted_once_and_kept_as_it_was_set,
        save_lines_add_up_and_replace_the_default,
        more_save_points_than_fit_are_refused,
        included_files_are_read_in_place_and_named_in_errors,
        files_include_each_other_up_to_the_limit,
        more_included_files_than_allowed_are_refused,
        a_line_of_too_many_words_is_refused,
        a_file_larger_than_the_limit_is_refused,
        dir_is_absolute_and_must_exist,
        the_command_line_comes_after_the_file,
        a_value_may_begin_with_dashes,
        save_without_a_value_saves_nothing,
        a_bad_command_line_is_refused_with_what_was_written,
        requests_are_recognised,
        help_needs_no_valid_file,
        a_check_of_a_bad_file_fails,
        a_dash_reads_standard_input,
        patterns_find_each_option_once_in_the_tables_order,
        both_names_of_an_option_are_answered,
        a_full_name_is_answered_as_it_was_written,
        hidden_options_are_shown_only_by_their_full_name,
        no_two_options_share_a_name,
        all_pairs_are_set,
        one_bad_pair_leaves_all_unchanged,
        the_errors_of_special_options_are_those_of_redis,
        special_options_are_shown_as_redis_shows_them,
        protected_options_are_set_as_enable_protected_configs_allows,
        a_change_takes_effect_once_for_a_function_and_not_without_change,
        a_change_that_cannot_take_effect_undoes_them_all,
        only_secrets_are_sensitive,
        without_a_file_there_is_nothing_to_rewrite,
        rewriting_keeps_lines_and_comments_and_appends_what_differs,
        a_second_rewrite_appends_behind_the_first,
        a_default_of_several_lines_is_written_whole_where_the_file_has_one,
        a_rewritten_file_gives_the_same_values_again,
        rewriting_makes_the_file_anew_when_it_is_gone,
        a_rewrite_that_fails_says_why_and_leaves_the_file,
        reloading_sets_what_the_file_says_now_and_keeps_the_command_line,
        reloading_a_bad_file_changes_nothing,
        the_manual_names_every_option_that_has_a_meaning,
    };
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < UNIT_COUNT(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
