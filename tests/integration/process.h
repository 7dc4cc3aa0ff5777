/* A process of the server whose end is the test's business: what it writes to standard error, and
 * its exit code. For servers that are to serve, see server.h.
 */
#ifndef TARN_TESTS_INTEGRATION_PROCESS_H
#define TARN_TESTS_INTEGRATION_PROCESS_H

#include "tests/integration/server.h"

#include <stdarg.h>

struct process_end {
    int code;
    char output[16384]; /* standard output and error */
};

/* Runs the program with these arguments, which end with NULL, until it ends. */
static inline struct process_end process_run(const char *first, ...) {
    struct process_end end = {.code = -1};
    const char *program = getenv("TARN_SERVER");
    ck_assert_msg(program != NULL, "TARN_SERVER does not name a server");
    char *arguments[SERVER_ARGUMENTS_MAX] = {strdup(program)};
    size_t count = 1;
    va_list more;
    va_start(more, first);
    for (const char *next = first; next != NULL; next = va_arg(more, const char *)) {
        arguments[count++] = strdup(next);
    }
    va_end(more);
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        execv(program, arguments);
        _exit(127);
    }
    close(pipes[1]);
    size_t length = 0;
    ssize_t got = 0;
    while ((got = read(pipes[0], end.output + length, sizeof(end.output) - 1 - length)) > 0) {
        length += (size_t)got;
    }
    end.output[length] = '\0';
    close(pipes[0]);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    end.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    for (size_t i = 0; i < count; i++) {
        free(arguments[i]);
    }
    return end;
}

static inline void process_expect(const struct process_end *end, int code, const char *part) {
    ck_assert_msg(end->code == code, "exit code %d, not %d:\n%s", end->code, code, end->output);
    ck_assert_msg(strstr(end->output, part) != NULL, "it does not say '%s':\n%s", part,
                  end->output);
}

/* Writes a file in a folder. */
static inline void file_write(const char *folder, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static inline void file_remove(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    unlink(path);
}

static inline bool file_exists(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* The file's text, up to the size of text. */
static inline void file_read(const char *folder, const char *name, char *text, size_t size) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

#endif
