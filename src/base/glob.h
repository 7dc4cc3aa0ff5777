/* Glob patterns with Redis' rules: * ? [abc] [^a] [a-z] \x. Bytes, no locale, no recursion, and
 * work bounded by pattern length x text length. Source: the behaviour of redis-server's KEYS. */
#ifndef TARN_BASE_GLOB_H
#define TARN_BASE_GLOB_H

#include "base/span.h"

bool glob_match(struct span pattern, struct span text);
bool glob_match_nocase(struct span pattern, struct span text);

#endif
