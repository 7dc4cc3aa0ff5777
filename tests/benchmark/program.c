#define _GNU_SOURCE

#include "program.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void program_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void *program_allocate(size_t size) {
    void *memory = calloc(1, size);
    if (memory == NULL) {
        program_fail("out of memory");
    }
    return memory;
}
