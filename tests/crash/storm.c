#include "tests/crash/storm.h"

#include "tests/crash/model.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WRITERS 3
#define BANKERS 2
#define BANK_KEYS 8
#define BALLAST_DATABASE 10
#define PIPELINE_MAX 200
#define PATIENCE_SECONDS 60
#define ARGUMENTS_MAX 40

struct writer {
    struct storm *storm;
    pthread_t thread;
    uint32_t base; /* first of its databases */
    uint64_t random;
    struct model *model; /* after all that was acknowledged */
    struct request requests[PIPELINE_MAX];
    struct answer answers[PIPELINE_MAX][REQUEST_STEPS_MAX];
    uint32_t sent;     /* of requests */
    uint32_t answered; /* of these; they are in the model */
    uint32_t pipeline;
    uint64_t acknowledged;
};

struct banker {
    struct storm *storm;
    pthread_t thread;
    uint64_t random;
    uint64_t sent;
    uint64_t acknowledged;
};

struct storm {
    const struct storm_plan *plan;
    struct storm_result *result;
    uint64_t random;
    char folder[64];
    pid_t pid;
    pthread_mutex_t mutex; /* of the report */
    atomic_bool has_failed;
    struct writer writers[WRITERS];
    struct banker bankers[BANKERS];
    pthread_t reader;
    uint64_t bank;      /* counters as found at the last start */
    uint64_t bank_seen; /* by the reader */
    char options[512];
};

static uint32_t random_below(uint64_t *state, uint32_t bound) {
    return (uint32_t)(model_random(state) % bound);
}

static void sleep_us(uint32_t us) {
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
    nanosleep(&time, NULL);
}

/* The first failure counts. */
__attribute__((format(printf, 2, 3))) static void fail(struct storm *storm, const char *format,
                                                       ...) {
    va_list more;
    va_start(more, format);
    pthread_mutex_lock(&storm->mutex);
    if (!atomic_load(&storm->has_failed)) {
        char text[STORM_REPORT_BYTES / 2];
        vsnprintf(text, sizeof(text), format, more);
        snprintf(storm->result->report, sizeof(storm->result->report),
                 "seed %llu, round %u, %s: %s (folder %s)", (unsigned long long)storm->plan->seed,
                 storm->result->rounds, storm->options, text, storm->folder);
        atomic_store(&storm->has_failed, true);
    }
    pthread_mutex_unlock(&storm->mutex);
    va_end(more);
}

/* ---- the server ---- */

static redisContext *client_open(const struct storm *storm) {
    char path[128];
    snprintf(path, sizeof(path), "%s/socket", storm->folder);
    redisContext *client = redisConnectUnix(path);
    if (client != NULL && client->err != 0) {
        redisFree(client);
        return NULL;
    }
    if (client != NULL) {
        redisSetTimeout(client, (struct timeval){.tv_sec = PATIENCE_SECONDS});
    }
    return client;
}

static void server_run(const struct storm *storm, char *const *arguments) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char path[128];
    snprintf(path, sizeof(path), "%s/output", storm->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(storm->plan->program, arguments);
    _exit(127);
}

/* Options of this round, one word each; part of each failure's report. */
static void options_choose(struct storm *storm) {
    static const char *const syncs[] = {"everysec", "always", "no"};
    uint64_t *random = &storm->random;
    const struct storm_plan *plan = storm->plan;
    uint32_t workers = plan->workers != 0 ? plan->workers : 1 + random_below(random, 3);
    const char *sync = plan->sync != NULL ? plan->sync : syncs[random_below(random, 3)];
    snprintf(storm->options, sizeof(storm->options),
             "--workers %u --appendfsync %s --log-segment-size %u "
             "--auto-aof-rewrite-min-size %u --rdbcompression %s",
             workers, sync, 4096U << random_below(random, 10), 1048576U << random_below(random, 5),
             random_below(random, 4) == 0 ? "no" : "yes");
}

static void server_start(struct storm *storm) {
    char text[1024];
    snprintf(text, sizeof(text),
             "%s --port 0 --unixsocket %s/socket --dir %s --appendonly yes "
             "--auto-aof-rewrite-percentage 100 --enable-debug-command yes %s",
             storm->plan->program, storm->folder, storm->folder, storm->options);
    char *arguments[ARGUMENTS_MAX] = {0};
    char *save = NULL;
    int count = 0;
    for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        arguments[count++] = word;
    }
    char name[] = "--save";
    char none[] = "";
    arguments[count++] = name;
    arguments[count++] = none;
    storm->pid = fork();
    if (storm->pid == 0) {
        server_run(storm, arguments);
    }
}

static void server_kill(struct storm *storm, int signal) {
    kill(storm->pid, signal);
    int status = 0;
    waitpid(storm->pid, &status, 0);
    bool is_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    storm->result->kills += is_killed;
    bool is_ended = signal == SIGTERM && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!is_killed && !is_ended) {
        fail(storm, "the server had ended with status %x; see the file output", (unsigned)status);
    }
}

static bool server_is_ready(const struct storm *storm) {
    redisContext *client = client_open(storm);
    if (client == NULL) {
        return false;
    }
    redisReply *reply = redisCommand(client, "PING");
    bool is_ready = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    redisFree(client);
    return is_ready;
}

static bool server_wait_ready(struct storm *storm) {
    for (uint32_t i = 0; i < PATIENCE_SECONDS * 500; i++) {
        int status = 0;
        if (waitpid(storm->pid, &status, WNOHANG) != 0) {
            fail(storm, "the server ended at its start with status %x; see the file output",
                 (unsigned)status);
            storm->pid = 0;
            return false;
        }
        if (server_is_ready(storm)) {
            return true;
        }
        sleep_us(2000);
    }
    fail(storm, "the server is not ready in time");
    return false;
}

/* ---- writers ---- */

static void append_words(redisContext *client, const char *first, uint32_t number) {
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    redisAppendCommand(client, "%s %s", first, text);
}

static void request_send(const struct writer *writer, redisContext *client,
                         const struct request *request) {
    append_words(client, "SELECT", writer->base + request->steps[0].database);
    if (request->count > 1) {
        redisAppendCommand(client, "MULTI");
    }
    for (uint32_t i = 0; i < request->count; i++) {
        struct step_command command;
        step_command_make(&command, &request->steps[i], writer->base);
        redisAppendCommandArgv(client, command.count, command.arguments, command.lengths);
        step_command_free(&command);
    }
    if (request->count > 1) {
        redisAppendCommand(client, "EXEC");
    }
}

static bool answer_fits(const redisReply *reply, const struct answer *answer) {
    if (answer->is_error) {
        return reply->type == REDIS_REPLY_ERROR;
    }
    if (answer->is_integer) {
        return reply->type == REDIS_REPLY_INTEGER && reply->integer == answer->integer;
    }
    return reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0;
}

static redisReply *next_reply(redisContext *client) {
    void *reply = NULL;
    return redisGetReply(client, &reply) == REDIS_OK ? reply : NULL;
}

/* False: the connection ended. */
static bool skip_replies(redisContext *client, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        redisReply *reply = next_reply(client);
        if (reply == NULL) {
            return false;
        }
        freeReplyObject(reply);
    }
    return true;
}

static void check_answer(struct writer *writer, const redisReply *reply, const struct step *step,
                         const struct answer *answer) {
    if (!answer_fits(reply, answer)) {
        fail(writer->storm,
             "writer at %u: step of kind %d, key %u, other %u: got '%s' %lld, expected %s %lld",
             writer->base, (int)step->kind, step->key, step->other,
             reply->str == NULL ? "" : reply->str, reply->integer,
             answer->is_error     ? "an error"
             : answer->is_integer ? "number"
                                  : "OK",
             (long long)answer->integer);
    }
}

/* The answer of a request, the last in its group of replies. */
static bool request_receive(struct writer *writer, redisContext *client,
                            const struct request *request) {
    if (!skip_replies(client, 1 + (request->count > 1 ? 1 + request->count : 0))) {
        return false;
    }
    redisReply *reply = next_reply(client);
    if (reply == NULL) {
        return false;
    }
    struct answer answers[REQUEST_STEPS_MAX];
    model_apply(writer->model, request, answers);
    writer->answered++;
    writer->acknowledged++;
    if (request->count == 1) {
        check_answer(writer, reply, &request->steps[0], &answers[0]);
    } else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != request->count) {
        fail(writer->storm, "EXEC answers '%s'", reply->str == NULL ? "" : reply->str);
    } else {
        for (uint32_t i = 0; i < request->count; i++) {
            check_answer(writer, reply->element[i], &request->steps[i], &answers[i]);
        }
    }
    freeReplyObject(reply);
    return true;
}

static bool flush_commands(redisContext *client) {
    int is_done = 0;
    while (is_done == 0) {
        if (redisBufferWrite(client, &is_done) != REDIS_OK) {
            return false;
        }
    }
    return true;
}

static bool pipeline_run(struct writer *writer, redisContext *client) {
    writer->sent = 0;
    writer->answered = 0;
    while (writer->sent < writer->pipeline) {
        struct request *request = &writer->requests[writer->sent++];
        request_make(request, &writer->random);
        request_send(writer, client, request);
    }
    if (!flush_commands(client)) {
        return false;
    }
    while (writer->answered < writer->sent) {
        if (!request_receive(writer, client, &writer->requests[writer->answered])) {
            return false;
        }
    }
    return true;
}

static void client_check_end(struct storm *storm, const redisContext *client) {
    if (client->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        fail(storm, "no answer for %d s", PATIENCE_SECONDS);
    }
}

static void *writer_main(void *context) {
    struct writer *writer = context;
    redisContext *client = client_open(writer->storm);
    if (client == NULL) {
        return NULL;
    }
    while (!atomic_load(&writer->storm->has_failed) && pipeline_run(writer, client)) {
    }
    client_check_end(writer->storm, client);
    redisFree(client);
    return NULL;
}

/* ---- bankers, and who reads what they do ---- */

static void bank_send(redisContext *client) {
    redisAppendCommand(client, "MULTI");
    for (uint32_t i = 0; i < BANK_KEYS; i++) {
        char name[MODEL_NAME_BYTES];
        snprintf(name, sizeof(name), "bank:%u", i);
        redisAppendCommand(client, "INCR %s", name);
    }
    redisAppendCommand(client, "EXEC");
}

/* All the numbers of an array, as one; false: they differ. */
static bool array_number(const redisReply *reply, uint64_t *number) {
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != BANK_KEYS) {
        return false;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *element = reply->element[i];
        uint64_t found = 0;
        if (element->type == REDIS_REPLY_INTEGER) {
            found = (uint64_t)element->integer;
        } else if (element->type == REDIS_REPLY_STRING) {
            found = strtoull(element->str, NULL, 10);
        } else if (element->type != REDIS_REPLY_NIL) {
            return false;
        }
        if (i > 0 && found != *number) {
            return false;
        }
        *number = found;
    }
    return true;
}

static void *banker_main(void *context) {
    struct banker *banker = context;
    struct storm *storm = banker->storm;
    redisContext *client = client_open(storm);
    bool is_alive = client != NULL;
    while (is_alive && !atomic_load(&storm->has_failed)) {
        uint32_t count = 1 + random_below(&banker->random, 8);
        for (uint32_t i = 0; i < count; i++) {
            bank_send(client);
        }
        banker->sent += count;
        for (uint32_t i = 0; is_alive && i < count; i++) {
            is_alive = skip_replies(client, 1 + BANK_KEYS);
            redisReply *reply = is_alive ? next_reply(client) : NULL;
            is_alive = reply != NULL;
            uint64_t number = 0;
            if (is_alive && !array_number(reply, &number)) {
                fail(storm, "a transaction's counters differ");
            }
            if (is_alive) {
                banker->acknowledged++;
                freeReplyObject(reply);
            }
        }
    }
    if (client != NULL) {
        client_check_end(storm, client);
        redisFree(client);
    }
    return NULL;
}

static redisReply *bank_read(redisContext *client) {
    return redisCommand(client, "MGET bank:0 bank:1 bank:2 bank:3 bank:4 bank:5 bank:6 bank:7");
}

static void *reader_main(void *context) {
    struct storm *storm = context;
    redisContext *client = client_open(storm);
    if (client == NULL) {
        return NULL;
    }
    redisReply *reply = NULL;
    while (!atomic_load(&storm->has_failed) && (reply = bank_read(client)) != NULL) {
        if (!array_number(reply, &storm->bank_seen)) {
            fail(storm, "counters that transactions keep equal were read unequal");
        }
        freeReplyObject(reply);
    }
    client_check_end(storm, client);
    redisFree(client);
    return NULL;
}

/* ---- reading back ---- */

static bool find_value(redisContext *client, struct model_value *value, bool is_hash) {
    redisReply *reply = next_reply(client);
    bool is_found = false;
    if (reply != NULL && !is_hash && reply->type == REDIS_REPLY_STRING) {
        model_put_text(value, reply->str, reply->len);
        is_found = true;
    } else if (reply != NULL && is_hash && reply->type == REDIS_REPLY_ARRAY) {
        is_found = reply->elements > 0;
        for (size_t i = 0; i + 1 < reply->elements; i += 2) {
            uint32_t field = 0;
            is_found = is_found && model_field_number(reply->element[i]->str, &field);
            model_put_field(value, field, reply->element[i + 1]->str, reply->element[i + 1]->len);
        }
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return is_found;
}

struct finding {
    struct storm *storm;
    redisContext *client;
    struct model *model;
    uint32_t base;
    uint32_t database;
};

/* Types and expiries of all keys; answers how many there are. */
static uint32_t find_types(const struct finding *finding, bool is_hash[MODEL_KEYS],
                           bool is_there[MODEL_KEYS]) {
    redisContext *client = finding->client;
    uint32_t count = 0;
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        char name[MODEL_NAME_BYTES];
        model_key_name(name, key);
        redisAppendCommand(client, "TYPE %s", name);
        redisAppendCommand(client, "PEXPIRETIME %s", name);
    }
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        redisReply *type = next_reply(client);
        redisReply *expiry = next_reply(client);
        if (type == NULL || expiry == NULL || type->str == NULL) {
            fail(finding->storm, "no answer when the data is read back");
            return 0;
        }
        is_there[key] = strcmp(type->str, "none") != 0;
        is_hash[key] = strcmp(type->str, "hash") == 0;
        if (is_there[key]) {
            count++;
            finding->model->values[finding->database][key].expiry_ms = expiry->integer;
        }
        freeReplyObject(type);
        freeReplyObject(expiry);
    }
    return count;
}

static void find_database(const struct finding *finding) {
    bool is_hash[MODEL_KEYS];
    bool is_there[MODEL_KEYS];
    redisContext *client = finding->client;
    append_words(client, "SELECT", finding->base + finding->database);
    skip_replies(client, 1);
    uint32_t count = find_types(finding, is_hash, is_there);
    if (atomic_load(&finding->storm->has_failed)) {
        return;
    }
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        char name[MODEL_NAME_BYTES];
        model_key_name(name, key);
        if (is_there[key]) {
            redisAppendCommand(client, "%s %s", is_hash[key] ? "HGETALL" : "GET", name);
        }
    }
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        if (is_there[key] &&
            !find_value(client, &finding->model->values[finding->database][key], is_hash[key])) {
            fail(finding->storm, "key %u of database %u cannot be read back", key,
                 finding->base + finding->database);
            return;
        }
    }
    redisReply *size = redisCommand(client, "DBSIZE");
    if (size == NULL || size->integer != (long long)count) {
        fail(finding->storm, "database %u: DBSIZE answers %lld, and %u keys are known",
             finding->base + finding->database, size == NULL ? -1 : size->integer, count);
    }
    if (size != NULL) {
        freeReplyObject(size);
    }
}

/* Has the model go on by what was sent until it is what was found. */
static void writer_check(struct writer *writer, const struct model *found) {
    struct storm *storm = writer->storm;
    char first[512];
    char difference[512];
    bool is_equal = model_equals(writer->model, found, first, sizeof(first));
    uint32_t kept = 0;
    while (!is_equal && writer->answered + kept < writer->sent) {
        struct answer answers[REQUEST_STEPS_MAX];
        model_apply(writer->model, &writer->requests[writer->answered + kept], answers);
        kept++;
        is_equal = model_equals(writer->model, found, difference, sizeof(difference));
    }
    if (!is_equal) {
        fail(storm,
             "the databases from %u on are not what any number of requests between those "
             "acknowledged (%llu) and those sent (%u more) make; after the acknowledged ones: %s; "
             "after all: %s",
             writer->base, (unsigned long long)writer->acknowledged,
             writer->sent - writer->answered, first, kept == 0 ? "the same" : difference);
    }
    storm->result->unanswered += writer->sent - writer->answered;
    storm->result->kept += kept;
    storm->result->acknowledged += writer->acknowledged;
    writer->sent = 0;
    writer->answered = 0;
    writer->acknowledged = 0;
}

static void bank_check(struct storm *storm, redisContext *client) {
    uint64_t least = storm->bank;
    uint64_t most = storm->bank;
    for (uint32_t i = 0; i < BANKERS; i++) {
        least += storm->bankers[i].acknowledged;
        most += storm->bankers[i].sent;
        storm->bankers[i].acknowledged = 0;
        storm->bankers[i].sent = 0;
    }
    redisReply *reply = bank_read(client);
    uint64_t found = 0;
    if (reply == NULL || !array_number(reply, &found)) {
        fail(storm, "counters that transactions keep equal are unequal: half a transaction");
    } else if (found < least || found > most || found < storm->bank_seen) {
        fail(storm,
             "transactions: %llu found, %llu were acknowledged, %llu sent, and %llu were seen",
             (unsigned long long)found, (unsigned long long)least, (unsigned long long)most,
             (unsigned long long)storm->bank_seen);
    }
    storm->bank = found;
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}

static void ballast_check(struct storm *storm, redisContext *client) {
    append_words(client, "SELECT", BALLAST_DATABASE);
    skip_replies(client, 1);
    redisReply *reply = redisCommand(client, "DBSIZE");
    if (reply == NULL || reply->integer != (long long)storm->plan->ballast) {
        fail(storm, "ballast: %lld keys are left", reply == NULL ? -1 : reply->integer);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}

static void ballast_make(struct storm *storm) {
    redisContext *client = client_open(storm);
    if (client != NULL && storm->plan->ballast > 0) {
        append_words(client, "SELECT", BALLAST_DATABASE);
        char count[16];
        snprintf(count, sizeof(count), "%u", storm->plan->ballast);
        redisAppendCommand(client, "DEBUG POPULATE %s", count);
        skip_replies(client, 2);
        ballast_check(storm, client);
    }
    redisFree(client);
}

static void storm_check(struct storm *storm) {
    redisContext *client = client_open(storm);
    if (client == NULL) {
        fail(storm, "cannot connect to read the data back");
        return;
    }
    bank_check(storm, client);
    ballast_check(storm, client);
    for (uint32_t i = 0; !atomic_load(&storm->has_failed) && i < WRITERS; i++) {
        struct finding finding = {.storm = storm, .client = client, .model = model_new()};
        finding.base = storm->writers[i].base;
        while (finding.database < MODEL_DATABASES && !atomic_load(&storm->has_failed)) {
            find_database(&finding);
            finding.database++;
        }
        if (!atomic_load(&storm->has_failed)) {
            writer_check(&storm->writers[i], finding.model);
        }
        model_free(finding.model);
    }
    redisFree(client);
}

/* ---- rounds ---- */

static void clients_start(struct storm *storm) {
    for (uint32_t i = 0; i < WRITERS; i++) {
        static const uint32_t pipelines[] = {1, 16, PIPELINE_MAX};
        storm->writers[i].pipeline = pipelines[random_below(&storm->random, 3)];
        pthread_create(&storm->writers[i].thread, NULL, writer_main, &storm->writers[i]);
    }
    for (uint32_t i = 0; i < BANKERS; i++) {
        pthread_create(&storm->bankers[i].thread, NULL, banker_main, &storm->bankers[i]);
    }
    pthread_create(&storm->reader, NULL, reader_main, storm);
}

static void clients_join(struct storm *storm) {
    for (uint32_t i = 0; i < WRITERS; i++) {
        pthread_join(storm->writers[i].thread, NULL);
    }
    for (uint32_t i = 0; i < BANKERS; i++) {
        pthread_join(storm->bankers[i].thread, NULL);
    }
    pthread_join(storm->reader, NULL);
}

/* Says something that must be answered with OK. */
static void order(struct storm *storm, redisContext *client, const char *words) {
    redisReply *reply = redisCommand(client, words);
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
        fail(storm, "%s: %s", words, reply == NULL ? "no answer" : reply->str);
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}

static bool log_is_on(const char *info) {
    static const char *const fields[] = {"aof_enabled:1", "aof_rewrite_in_progress:0",
                                         "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strstr(info, fields[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* What is acknowledged while the log is off may be lost, unless it is on again before the kill. */
static void log_off_and_on(struct storm *storm, redisContext *client) {
    order(storm, client, "CONFIG SET appendonly no");
    sleep_us(random_below(&storm->random, 60000));
    order(storm, client, "CONFIG SET appendonly yes");
    bool is_on = false;
    for (uint32_t i = 0; !is_on && !atomic_load(&storm->has_failed); i++) {
        redisReply *reply = redisCommand(client, "INFO persistence");
        is_on = reply != NULL && reply->str != NULL && log_is_on(reply->str);
        if (reply == NULL || i == PATIENCE_SECONDS * 500) {
            fail(storm, "the log does not go on again");
        }
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        sleep_us(2000);
    }
    storm->result->switches++;
}

static void save_somehow(struct storm *storm, redisContext *client) {
    static const char *const asked[] = {"BGSAVE", "BGSAVE SCHEDULE", "BGREWRITEAOF", "PING"};
    uint32_t which = random_below(&storm->random, 16);
    if (which == 0) {
        log_off_and_on(storm, client);
    } else if (which == 1) {
        order(storm, client, "DEBUG RELOAD");
        storm->result->reloads++;
    } else {
        redisReply *reply = redisCommand(client, asked[which % 4]);
        if (reply != NULL) {
            freeReplyObject(reply);
        }
    }
}

/* Lets the clients work, with snapshots and the like now and then, up to the moment of the kill. */
static void storm_blow(struct storm *storm) {
    redisContext *client = client_open(storm);
    uint32_t pieces = 1 + random_below(&storm->random, 3);
    for (uint32_t i = 0; i < pieces && client != NULL; i++) {
        sleep_us(random_below(&storm->random, 150000));
        save_somehow(storm, client);
    }
    sleep_us(random_below(&storm->random, 30000));
    if (client != NULL) {
        redisFree(client);
    }
}

static void round_run(struct storm *storm) {
    clients_start(storm);
    storm_blow(storm);
    server_kill(storm, random_below(&storm->random, 12) == 0 ? SIGTERM : SIGKILL);
    clients_join(storm);
    options_choose(storm);
    while (!atomic_load(&storm->has_failed) && random_below(&storm->random, 4) == 0) {
        server_start(storm);
        sleep_us(random_below(&storm->random, 60000));
        server_kill(storm, SIGKILL);
    }
    if (!atomic_load(&storm->has_failed)) {
        server_start(storm);
        if (server_wait_ready(storm)) {
            storm_check(storm);
        }
    }
}

static void storm_init(struct storm *storm) {
    pthread_mutex_init(&storm->mutex, NULL);
    snprintf(storm->folder, sizeof(storm->folder), "/tmp/tarn-crash-XXXXXX");
    if (mkdtemp(storm->folder) == NULL) {
        fail(storm, "cannot make a folder");
    }
    storm->random = storm->plan->seed;
    for (uint32_t i = 0; i < WRITERS; i++) {
        storm->writers[i].storm = storm;
        storm->writers[i].base = 1 + i * MODEL_DATABASES;
        storm->writers[i].random = model_random(&storm->random);
        storm->writers[i].model = model_new();
    }
    for (uint32_t i = 0; i < BANKERS; i++) {
        storm->bankers[i].storm = storm;
        storm->bankers[i].random = model_random(&storm->random);
    }
}

static void folder_remove(const char *folder) {
    static const char *const patterns[] = {"*/*", "*", ""};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", folder, patterns[i]);
        glob_t found;
        if (glob(path, 0, NULL, &found) == 0) {
            for (size_t j = 0; j < found.gl_pathc; j++) {
                remove(found.gl_pathv[j]);
            }
            globfree(&found);
        }
    }
}

static void storm_free(struct storm *storm) {
    for (uint32_t i = 0; i < WRITERS; i++) {
        model_free(storm->writers[i].model);
    }
    pthread_mutex_destroy(&storm->mutex);
}

static void print_round(const struct storm *storm) {
    if (storm->plan->is_verbose) {
        printf("round %u: %llu acknowledged, %llu of %llu others kept; %s\n", storm->result->rounds,
               (unsigned long long)storm->result->acknowledged,
               (unsigned long long)storm->result->kept,
               (unsigned long long)storm->result->unanswered, storm->options);
        fflush(stdout);
    }
}

static void rounds_run(struct storm *storm) {
    const struct storm_plan *plan = storm->plan;
    time_t begin = time(NULL);
    while (!atomic_load(&storm->has_failed) &&
           (plan->rounds == 0 || storm->result->rounds < plan->rounds) &&
           (plan->seconds == 0 || time(NULL) - begin < (time_t)plan->seconds)) {
        round_run(storm);
        if (!atomic_load(&storm->has_failed)) {
            storm->result->rounds++;
            print_round(storm);
        }
    }
}

bool storm_run(const struct storm_plan *plan, struct storm_result *result) {
    struct storm *storm = calloc(1, sizeof(*storm));
    *result = (struct storm_result){0};
    storm->plan = plan;
    storm->result = result;
    storm_init(storm);
    options_choose(storm);
    server_start(storm);
    if (server_wait_ready(storm)) {
        ballast_make(storm);
        rounds_run(storm);
    }
    if (storm->pid > 0) {
        kill(storm->pid, SIGKILL);
        waitpid(storm->pid, NULL, 0);
    }
    bool is_good = !atomic_load(&storm->has_failed);
    if (is_good) {
        folder_remove(storm->folder);
    }
    storm_free(storm);
    free(storm);
    return is_good;
}
