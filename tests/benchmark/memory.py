"""Resident memory per key, beyond the bytes of key and value: Tarn and redis-server."""

import time

from server import store_start

KEYS = 2_000_000
HASHES = 200_000
KEY_SIZE = 16
SIZES = (8, 32, 64, 200)
HASH_FIELDS = 10
HASH_VALUE = 10
SETTLE_SECONDS = 1.0
STRING_TARGET = 28    # bytes per key on average
EXPIRY_TARGET = 10    # more bytes per key
HASH_TARGET = 0.85    # of redis-server's


def growth(bench, binary, words):
    """Bytes of RSS that the fill added."""
    with store_start(binary, {0}) as server:
        time.sleep(SETTLE_SECONDS)
        empty = server.rss_bytes()
        bench.fill(server, *words)
        time.sleep(SETTLE_SECONDS)
        return server.rss_bytes() - empty


def string_overhead(bench, binary, size, expiry):
    words = ["--command", "set", "--keys", KEYS, "--size", size] + (["--expiry"] if expiry else [])
    return growth(bench, binary, words) / KEYS - KEY_SIZE - size


def run(bench):
    binaries = {"tarn": bench.tarn, "redis": bench.redis}
    overheads = {}

    print(f"\nmemory: RSS beyond key and value, bytes per key, {KEYS} keys\n"
          f"{'value':<14}{'tarn':>8}{'redis':>8}{'tarn EX':>9}{'redis EX':>9}", flush=True)
    for size in SIZES:
        for name, binary in binaries.items():
            for expiry in (False, True):
                overheads[name, size, expiry] = string_overhead(bench, binary, size, expiry)
        print(f"{size:<14}" + "".join(
            f"{overheads[name, size, expiry]:>{width}.1f}"
            for expiry, width in ((False, 8), (True, 9)) for name in binaries), flush=True)

    def mean(name, expiry):
        return sum(overheads[name, size, expiry] for size in SIZES) / len(SIZES)

    plain = {name: mean(name, False) for name in binaries}
    more = {name: mean(name, True) - plain[name] for name in binaries}
    print(f"{'average':<14}{plain['tarn']:>8.1f}{plain['redis']:>8.1f}   target {STRING_TARGET},"
          f" best peer 45: {bench.judge('memory', plain['tarn'], STRING_TARGET)}")
    print(f"{'expiry, more':<14}{more['tarn']:>8.1f}{more['redis']:>8.1f}   target {EXPIRY_TARGET},"
          f" best peer 0-16: {bench.judge('memory-expiry', more['tarn'], EXPIRY_TARGET)}", flush=True)

    words = ["--command", "hset", "--prefix", "hsh:", "--keys", HASHES, "--fields", HASH_FIELDS,
             "--size", HASH_VALUE]
    each = {name: growth(bench, binary, words) / HASHES for name, binary in binaries.items()}
    ratio = each["tarn"] / each["redis"]
    print(f"{'hash of 10':<14}{each['tarn']:>8.1f}{each['redis']:>8.1f}   ratio {ratio:.2f}, target"
          f" {HASH_TARGET}, best peer 0.91: {bench.judge('memory-hash', ratio, HASH_TARGET)}", flush=True)
