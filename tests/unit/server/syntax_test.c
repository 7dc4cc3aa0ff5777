/* Syntax: the texts of command rows as trees. */
#include "server/syntax.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

/* The tree as text: name:type, children in braces, ? optional, + multiple, ++ with its token. */
static void print(const struct syntax *syntax, uint32_t first, char *text, size_t size) {
    for (uint32_t i = first; i != SYNTAX_NONE; i = syntax->nodes[i].next) {
        const struct syntax_node *node = &syntax->nodes[i];
        size_t length = strlen(text);
        snprintf(text + length, size - length, "%s%.*s%s%s:%s%s%s", i == first ? "" : " ",
                 (int)node->token.length, node->token.bytes, node->token.length == 0 ? "" : "/",
                 node->name, syntax_type_name(node->type), node->is_optional ? "?" : "",
                 node->is_multiple_token ? "++"
                 : node->is_multiple     ? "+"
                                         : "");
        length = strlen(text);
        if (node->key_index >= 0) {
            snprintf(text + length, size - length, "#%d", node->key_index);
        }
        if (node->first_child != SYNTAX_NONE) {
            strncat(text, "{", size - strlen(text) - 1);
            print(syntax, node->first_child, text, size);
            strncat(text, "}", size - strlen(text) - 1);
        }
    }
}

static void expect(const char *source, int key_specs, const char *wanted) {
    static struct syntax syntax;
    char text[2048] = "";
    syntax_parse(&syntax, source, key_specs);
    print(&syntax, syntax.first, text, sizeof(text));
    ck_assert_str_eq(text, wanted);
}

START_TEST(no_text_is_no_arguments) {
    expect("", 0, "");
}
END_TEST

START_TEST(names_have_their_usual_types) {
    expect("key seconds value", 1, "key:key#0 seconds:integer value:string");
    expect("key increment(double)", 1, "key:key#0 increment:double");
}
END_TEST

START_TEST(keys_belong_to_the_specs_in_their_order) {
    expect("source destination", 2, "source:key#0 destination:key#1");
    expect("key1 key2", 1, "key1:key#0 key2:key#0");
    expect("key", 0, "key:key");
}
END_TEST

START_TEST(said_again_with_dots_is_multiple) {
    expect("key [key ...]", 1, "key:key+#0");
    expect("key field value [field value ...]", 1,
           "key:key#0 data:block+{field:string value:string}");
    expect("[PREFIX prefix [PREFIX prefix ...]]", 0, "PREFIX/prefix:string?++");
    expect("[section ...]", 0, "section:string?+");
}
END_TEST

START_TEST(choices_and_tokens_make_blocks) {
    expect("key [condition=NX|XX] [GET]", 1,
           "key:key#0 condition:oneof?{NX/nx:pure-token XX/xx:pure-token} GET/get:pure-token?");
    expect("[expiration=EX seconds|KEEPTTL]", 0,
           "expiration:oneof?{EX/seconds:integer KEEPTTL/keepttl:pure-token}");
    expect("<operation=AND|NOT> destkey", 1,
           "operation:oneof{AND/and:pure-token NOT/not:pure-token} destkey:key#0");
    expect("[LIMIT offset count]", 0, "LIMIT/limit:block?{offset:integer count:integer}");
    expect("[range=start end [unit=BYTE|BIT]]", 0,
           "range:block?{start:integer end:integer "
           "unit:oneof?{BYTE/byte:pure-token BIT/bit:pure-token}}");
    expect("[TYPE <client-type=NORMAL|PUBSUB>]", 0,
           "TYPE/client-type:oneof?{NORMAL/normal:pure-token PUBSUB/pubsub:pure-token}");
    expect("<args=host port|NO ONE>", 0,
           "args:oneof{block:block{host:string port:integer} "
           "block:block{NO/no:pure-token ONE/one:pure-token}}");
}
END_TEST

START_TEST(versions_belong_to_what_stands_before) {
    static struct syntax syntax;
    syntax_parse(&syntax, "[EX seconds@2.6.12] [GET]@6.2.0 ip:port~2.8.12", 0);
    const struct syntax_node *node = &syntax.nodes[syntax.first];
    ck_assert(span_is(node->since, "2.6.12"));
    ck_assert(node->is_optional);
    node = &syntax.nodes[node->next];
    ck_assert(span_is(node->since, "6.2.0"));
    node = &syntax.nodes[node->next];
    ck_assert_str_eq(node->name, "ip:port");
    ck_assert(span_is(node->deprecated_since, "2.8.12"));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        no_text_is_no_arguments,
        names_have_their_usual_types,
        keys_belong_to_the_specs_in_their_order,
        said_again_with_dots_is_multiple,
        choices_and_tokens_make_blocks,
        versions_belong_to_what_stands_before,
    };
    return unit_run(unit_suite("syntax", tests, UNIT_COUNT(tests)));
}
