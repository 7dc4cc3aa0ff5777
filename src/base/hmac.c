#include "base/hmac.h"

#include "base/assertion.h"
#include "base/memory.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

struct hmac {
    EVP_MAC_CTX *context; /* has the key; each code begins with a new message */
};

/* What can fail is memory of fixed size, and a library that lacks what every one has. */
struct hmac *hmac_new(struct span key) {
    struct hmac *hmac = memory_alloc(sizeof(*hmac));
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    ASSERT(key.length > 0);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ASSERT(mac != NULL);
    hmac->context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    ASSERT(hmac->context != NULL);
    int is_done =
        EVP_MAC_init(hmac->context, (const unsigned char *)key.bytes, key.length, parameters);
    ASSERT(is_done == 1);
    return hmac;
}

void hmac_free(struct hmac *hmac) {
    if (hmac != NULL) {
        EVP_MAC_CTX_free(hmac->context);
        memory_free(hmac);
    }
}

void hmac_code(struct hmac *hmac, const struct span *parts, size_t count,
               unsigned char code[HMAC_BYTES]) {
    int is_done = EVP_MAC_init(hmac->context, NULL, 0, NULL);
    for (size_t i = 0; i < count; i++) {
        is_done &=
            EVP_MAC_update(hmac->context, (const unsigned char *)parts[i].bytes, parts[i].length);
    }
    size_t length = 0;
    is_done &= EVP_MAC_final(hmac->context, code, &length, HMAC_BYTES);
    ASSERT(is_done == 1 && length == HMAC_BYTES);
}

bool hmac_equal(const void *a, const void *b, size_t length) {
    return CRYPTO_memcmp(a, b, length) == 0;
}
