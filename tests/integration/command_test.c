/* COMMAND: what it says of commands is how they are. */
#include "tests/integration/server.h"

static redisReply *ask(redisContext *client, const char *command) {
    redisReply *reply = redisCommand(client, command);
    ck_assert_ptr_nonnull(reply);
    return reply;
}

START_TEST(count_list_info_and_docs_agree) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisReply *count = ask(client, "COMMAND COUNT");
    redisReply *all = ask(client, "COMMAND");
    redisReply *info = ask(client, "COMMAND INFO");
    redisReply *list = ask(client, "COMMAND LIST");
    ck_assert_int_gt(count->integer, 90);
    ck_assert_int_eq((long long)all->elements, count->integer);
    ck_assert_int_eq((long long)info->elements, count->integer);
    size_t names = 0;
    for (size_t i = 0; i < all->elements; i++) {
        ck_assert_uint_eq(all->element[i]->elements, 10);
        names += 1 + all->element[i]->element[9]->elements;
    }
    ck_assert_uint_eq(list->elements, names);
    /* hiredis' reader takes no tree as deep as this one: its first line says enough. */
    char line[32];
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "*%lld", 2 * count->integer);
    client_send(client, "COMMAND DOCS");
    client_receive_line(client, line, sizeof(line));
    ck_assert_str_eq(line, wanted);
    freeReplyObject(count);
    freeReplyObject(all);
    freeReplyObject(info);
    freeReplyObject(list);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* Off for everybody, shown nowhere; the server itself still has it. */
START_TEST(renamed_and_switched_off_commands_are_what_the_config_says) {
    struct server server =
        server_start(server_worker_options[_i], "--rename-command FLUSHALL \"\"",
                     "--rename-command GET fetch", "--rename-command CONFIG cfg", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET key value");
    EXPECT(client, "value", "FETCH key");
    EXPECT(client, "-ERR unknown command 'GET', with args beginning with: 'key' ", "GET key");
    EXPECT(client, "-ERR unknown command 'FLUSHALL', with args beginning with: ", "FLUSHALL");
    EXPECT(client, "-ERR wrong number of arguments for 'get' command", "fetch");
    EXPECT(client, "-ERR unknown subcommand 'nothing'. Try CFG HELP.", "cfg nothing");
    EXPECT(client, "[]", "COMMAND LIST FILTERBY PATTERN flushall*");
    EXPECT(client, "[config|get]", "COMMAND LIST FILTERBY PATTERN config|ge*");
    EXPECT(client, "[nil]", "COMMAND INFO get");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* With one argument fewer than its arity allows, a command is refused; the arity is what COMMAND
 * said. */
START_TEST(the_arity_that_is_told_is_the_one_that_holds) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisReply *all = ask(client, "COMMAND");
    for (size_t i = 0; i < all->elements; i++) {
        const redisReply *row = all->element[i];
        long long arity = row->element[1]->integer;
        long long least = arity < 0 ? -arity : arity;
        if (least < 2) {
            continue;
        }
        const char *words[64];
        words[0] = row->element[0]->str;
        for (long long j = 1; j < least; j++) {
            words[j] = "1";
        }
        redisReply *reply = redisCommandArgv(client, (int)least - 1, words, NULL);
        ck_assert_ptr_nonnull(reply);
        ck_assert_msg(reply->type == REDIS_REPLY_ERROR &&
                          strstr(reply->str, "wrong number of arguments") != NULL,
                      "%s: %s", words[0], reply->str);
        freeReplyObject(reply);
    }
    freeReplyObject(all);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(keys_are_found_as_the_specs_say) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "[a b]", "COMMAND GETKEYS MSET a 1 b 2");
    EXPECT(client, "[d a b]", "COMMAND GETKEYS BITOP AND d a b");
    EXPECT(client, "[k]", "COMMAND GETKEYS OBJECT ENCODING k");
    EXPECT(client, "[k]", "COMMAND GETKEYS MEMORY USAGE k");
    EXPECT(client, "[[k [+OW +update]]]", "COMMAND GETKEYSANDFLAGS SET k v");
    EXPECT(client, "[[k [+RW +access +update]]]", "COMMAND GETKEYSANDFLAGS SET k v GET");
    EXPECT(client, "[[k [+RO +access]]]", "COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0");
    EXPECT(client, "-ERR The command has no key arguments", "COMMAND GETKEYS PING");
    EXPECT(client, "-ERR Invalid command specified", "COMMAND GETKEYS FOO a");
    EXPECT(client, "-ERR Invalid number of arguments specified for command",
           "COMMAND GETKEYS GET a b");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(debug_needs_leave) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT_PART(client, "-ERR DEBUG command not allowed.", "DEBUG SLEEP 0");
    EXPECT(client, "+OK", "MULTI");
    EXPECT_PART(client, "-ERR DEBUG command not allowed.", "DEBUG SLEEP 0");
    EXPECT_PART(client, "-EXECABORT", "EXEC");
    redisFree(client);
    server_stop(&server);
    server = server_start(server_worker_options[_i], "--enable-debug-command local", NULL);
    client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG SLEEP 0");
    EXPECT(client,
           "-ERR unknown subcommand or wrong number of arguments for 'JMAP'. Try DEBUG HELP.",
           "DEBUG JMAP");
    EXPECT(client, "+OK", "DEBUG POPULATE 100 k 20");
    EXPECT(client, ":100", "DBSIZE");
    EXPECT(client, ":20", "STRLEN k:99");
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        count_list_info_and_docs_agree,
        renamed_and_switched_off_commands_are_what_the_config_says,
        the_arity_that_is_told_is_the_one_that_holds,
        keys_are_found_as_the_specs_say,
        debug_needs_leave,
    };
    return unit_run(server_suite("command", tests, UNIT_COUNT(tests)));
}
