/* The stream of requests that a load consists of: a pure function of the options and their seed.
 *
 * A request is a text and, when its value is large, a body that follows the text. Texts are copies
 * of ready-made ones in which only the digits of key, field and expiry are overwritten, which takes
 * some ten nanoseconds. All bodies are one shared block.
 *
 *   generator_new -> generator_text_size_max, generator_next ... until generator_ended
 *
 * It lives as long as the program.
 */

#ifndef BENCHMARK_GENERATOR_H
#define BENCHMARK_GENERATOR_H

#include "options.h"

#include <stdbool.h>
#include <stddef.h>

struct generator;

struct generator *generator_new(const struct options *options);

/* No text is longer. */
size_t generator_text_size_max(const struct generator *generator);

/* A fill ends when it has been through all keys; any other stream never ends. */
bool generator_ended(const struct generator *generator);

/* The size of a text that was written, and the body that has to follow it (NULL: none). */
struct generator_request {
    size_t text_size;
    char *body;
    size_t body_size;
};

/* Writes the next request's text to `place`. Not after the end. */
struct generator_request generator_next(struct generator *generator, char *place);

#endif
