#include "access/users.h"

const struct user *users_find(const struct users *users, struct span name) {
    for (size_t i = 0; i < users->count; i++) {
        if (span_equal(span_of_string(users->items[i].name), name)) {
            return &users->items[i];
        }
    }
    return NULL;
}

bool user_password_fits(const struct user *user, struct span password) {
    if (!user_needs_password(user)) {
        return true;
    }
    size_t length = strlen(user->password);
    unsigned difference = length == password.length ? 0 : 1;
    for (size_t i = 0; i < password.length; i++) {
        difference |= (unsigned)((unsigned char)password.bytes[i] ^
                                 (unsigned char)user->password[i % length]);
    }
    return difference == 0;
}

const struct user *users_authenticate(const struct users *users, struct span name,
                                      struct span password) {
    const struct user *user = users_find(users, name);
    return user != NULL && user_password_fits(user, password) ? user : NULL;
}
