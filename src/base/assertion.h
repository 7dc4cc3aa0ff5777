/* Assertions that are always on: a broken one is a programmer's error, and stops the process
 * with file, line and the sentence that did not hold, before anything wrong is written.
 * Never used on what a client, a file or a peer sent.
 */
#ifndef TARN_BASE_ASSERTION_H
#define TARN_BASE_ASSERTION_H

#define ASSERT(fact)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(fact), 0)) {                                                        \
            assertion_failed(__FILE__, __LINE__, #fact);                                           \
        }                                                                                          \
    } while (0)

#define LIKELY(fact) __builtin_expect(!!(fact), 1)
#define UNLIKELY(fact) __builtin_expect(!!(fact), 0)

_Noreturn void assertion_failed(const char *file, int line, const char *fact);

#endif
