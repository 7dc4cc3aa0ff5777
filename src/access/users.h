/* Users: who may come in. Pure checks: a user is a value, the caller says where it comes from.
 *
 * There is the user "default" so far, with the password of requirepass; the functions take a set of
 * users so that others can join them.
 */
#ifndef TARN_ACCESS_USERS_H
#define TARN_ACCESS_USERS_H

#include "base/span.h"

#include <stddef.h>

#define USER_DEFAULT_NAME "default"

struct user {
    const char *name;
    const char *password; /* "" is none: any password will do */
};

struct users {
    const struct user *items;
    size_t count;
};

/* NULL: there is no such user. */
const struct user *users_find(const struct users *users, struct span name);
static inline bool user_needs_password(const struct user *user) {
    return user->password[0] != '\0';
}
/* Takes a time that does not tell how much of the password is right. */
bool user_password_fits(const struct user *user, struct span password);
/* The user who comes in with this name and password, or NULL. */
const struct user *users_authenticate(const struct users *users, struct span name,
                                      struct span password);

#endif
