/* SHA-1 (FIPS 180-4), where Redis' interface shows it. For nothing that must withstand an attacker.
 */
#ifndef TARN_BASE_SHA1_H
#define TARN_BASE_SHA1_H

#include "base/span.h"

#define SHA1_BYTES 20

void sha1_bytes(struct span bytes, unsigned char digest[SHA1_BYTES]);

#endif
