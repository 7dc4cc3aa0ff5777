"""What keeping data costs: the log, snapshots, and starting with what they kept.

Tarn runs with the log as it comes (appendonly yes) where nothing else is said, redis-server
without one, as it comes too. Every directory is under the temporary folder (TMPDIR), so the disk
behind it is the one that is measured.
"""

import contextlib
import os
import shutil
import statistics
import tempfile
import threading
import time

from server import store_start, tick_figures

KEYS = 2_000_000
KEYS_QUICK = 200_000
SIZE = 200
PIPELINE = 16
PACED_RATE = 10_000
SERVER_CORE = {0}
ALL_CORES = {0, 1}
NO_REWRITES = ("--auto-aof-rewrite-percentage", "0")
LOAD_SECONDS_MAX = 600
SNAPSHOT_END_SECONDS_MAX = 10
SYNC_PROBES = 50
SYNC_PROBE_BYTES = 4096
SYNC_FAST_MS = 2.0          # the target with `always` is for disks that sync within this
MIB = 1024 * 1024

LOG_COST_TARGET = 1.2       # CPU per SET with everysec, of that without a log
EVERYSEC_TARGET = 2.0       # throughput, of redis-server's
ALWAYS_TARGET = 1.5
SNAPSHOT_TIME_TARGET = 0.4  # of redis-server's
SNAPSHOT_MEMORY_TARGET = 32
SNAPSHOT_TICK_TARGET_US = 1000
SNAPSHOT_LOAD_TARGET = 0.85
SNAPSHOT_SIZE_TARGET = 1.05
RESTART_TARGET = 0.5


def keys_count(bench):
    return bench.keys or (KEYS_QUICK if bench.quick else KEYS)


def set_words(bench, values):
    return ["--command", "set", "--keys", keys_count(bench), "--size", SIZE, "--values", values]


def is_redis(name):
    return name.startswith("redis")


def start(bench, name, extra, cores, directory=None):
    binary = bench.redis if is_redis(name) else bench.tarn
    return store_start(binary, cores, extra=extra, directory=directory)


# ---- the log ----

LOG_SERVERS = {
    "tarn, no log": ("--appendonly", "no"),
    "tarn, everysec": ("--appendonly", "yes", "--appendfsync", "everysec"),
    "redis, everysec": ("--appendonly", "yes", "--appendfsync", "everysec"),
    "tarn, always": ("--appendonly", "yes", "--appendfsync", "always"),
    "redis, always": ("--appendonly", "yes", "--appendfsync", "always"),
}


def sync_ms():
    """What the disk takes to sync a few KiB at a file's end: the median."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(SYNC_PROBES):
            os.write(file.fileno(), b"x" * SYNC_PROBE_BYTES)
            began = time.monotonic()
            os.fdatasync(file.fileno())
            times.append((time.monotonic() - began) * 1000)
    return statistics.median(times)


def log_round(bench, number, results):
    """One SET run on each server, one after the other, with processes of their own."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(start(bench, name, extra + NO_REWRITES, SERVER_CORE))
                   for name, extra in LOG_SERVERS.items()}
        words = set_words(bench, "random")
        for server in servers.values():
            bench.fill(server, *words)
        names = list(servers)
        first = number % len(names)
        for name in names[first:] + names[:first]:
            os.sync()
            results[name].append(bench.load(servers[name], *words, "--pipeline", PIPELINE,
                                            "--seconds", 2 * bench.seconds, "--seed", number + 1))


def log_run(bench):
    disk_ms = sync_ms()
    results = {name: [] for name in LOG_SERVERS}
    for number in range(bench.rounds):
        log_round(bench, number, results)
    print(f"\nthe log: SET of {SIZE} B at pipeline {PIPELINE}; the disk syncs {SYNC_PROBE_BYTES} B in "
          f"{disk_ms:.2f} ms\n{'server':<18}{'CPU us':>9}{'kops':>8}{'busy %':>8}"
          f"{'p50/p99/p99.9 us':>20}")
    for name, runs in results.items():
        def of(field):
            return statistics.median(run[field] for run in runs)
        latency = "/".join(f"{of(field):.0f}" for field in ("p50_us", "p99_us", "p999_us"))
        print(f"{name:<18}{of('cpu_us'):>9.3f}{of('per_second') / 1e3:>8.0f}"
              f"{of('busy') * 100:>8.0f}{latency:>20}")

    def ratio(field, one, other):
        return statistics.median(a[field] / b[field] for a, b in zip(results[one], results[other]))

    cost = ratio("cpu_us", "tarn, everysec", "tarn, no log")
    print(f"CPU with everysec, of that without: {cost:.2f}, target {LOG_COST_TARGET}:"
          f" {bench.judge('log-cost', cost, LOG_COST_TARGET)}")
    speed = ratio("per_second", "tarn, everysec", "redis, everysec")
    print(f"throughput with everysec, of redis-server's: {speed:.2f}, target {EVERYSEC_TARGET}:"
          f" {bench.judge('log-everysec', speed, EVERYSEC_TARGET, at_least=True)}")
    speed = ratio("per_second", "tarn, always", "redis, always")
    target = ALWAYS_TARGET if disk_ms <= SYNC_FAST_MS else None
    print(f"throughput with always, of redis-server's: {speed:.2f}, target {ALWAYS_TARGET}:"
          f" {bench.judge('log-always', speed, target, at_least=True) or 'the disk is too slow'}",
          flush=True)


# ---- snapshots ----

def snapshot_path(server, name):
    return os.path.join(server.directory, "dump.rdb" if is_redis(name) else "dump.snapshot")


def file_identity(path):
    try:
        status = os.stat(path)
        return status.st_ino, status.st_mtime_ns
    except FileNotFoundError:
        return None


def snapshot_ask(server):
    """BGSAVE; a file may have its place a little before the server says that it is done."""
    until = time.monotonic() + SNAPSHOT_END_SECONDS_MAX
    while True:
        try:
            return server.ask("BGSAVE")
        except RuntimeError as failure:
            if "already in progress" not in str(failure) or time.monotonic() > until:
                raise
        time.sleep(0.002)


def snapshot_take(server, name, watch=lambda: None):
    """BGSAVE; the seconds until its file has its place. `watch` is called meanwhile."""
    path = snapshot_path(server, name)
    before = file_identity(path)
    began = looked = time.monotonic()
    snapshot_ask(server)
    while file_identity(path) == before:
        if time.monotonic() - began > LOAD_SECONDS_MAX:
            raise RuntimeError(f"{name}: BGSAVE does not end")
        if time.monotonic() - looked > 1.0:
            looked = time.monotonic()
            if "rdb_last_bgsave_status:ok" not in server.ask("INFO", "persistence"):
                raise RuntimeError(f"{name}: BGSAVE failed")
        watch()
        time.sleep(0.002)
    return time.monotonic() - began


class Paced:
    """Paced SETs in the background, until stop()."""

    def __init__(self, bench, server, words):
        self.stopping = threading.Event()
        self.bench, self.server, self.words = bench, server, words
        self.failure = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number = 1
        while not self.stopping.is_set() and self.failure is None:
            number += 1
            try:
                self.bench.load(self.server, *self.words, "--rate", PACED_RATE, "--warmup", 0,
                                "--seconds", 0.5, "--seed", number)
            except Exception as error:  # told by stop(), in the caller's thread
                self.failure = error

    def stop(self):
        self.stopping.set()
        self.thread.join()
        if self.failure is not None:
            raise self.failure


def processes_memory(server):
    """Proportional memory of the server and its child: pages that both have count once."""
    total = 0
    children = f"/proc/{server.pid}/task/{server.pid}/children"
    with open(children) as text:
        pids = [server.pid] + [int(pid) for pid in text.read().split()]
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                for line in rollup:
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
    return total


def high_water_reset(server):
    with open(f"/proc/{server.pid}/clear_refs", "w") as clear:
        clear.write("5")


def high_water(server):
    with open(f"/proc/{server.pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def snapshot_paced(bench, server, name, words):
    """One snapshot beside PACED_RATE writes a second: seconds, bytes more at the peak."""
    load = Paced(bench, server, words)
    try:
        time.sleep(0.5)
        server.ask("CONFIG", "RESETSTAT")
        if not is_redis(name):
            high_water_reset(server)
            before = server.rss_bytes()
            seconds = snapshot_take(server, name)
            return seconds, high_water(server) - before
        # smaps_rollup is slow to read: looked at from time to time, beside a second snapshot, so
        # that it does not slow the one whose time counts.
        seconds = snapshot_take(server, name)
        time.sleep(0.5)
        before = processes_memory(server)
        peak = [before]

        def watch():
            peak[0] = max(peak[0], processes_memory(server))
            time.sleep(0.05)
        snapshot_take(server, name, watch)
        return seconds, peak[0] - before
    finally:
        load.stop()


def snapshot_full_load(bench, server, name, words, number):
    """Throughput while one snapshot follows the other, of that without."""
    words = words + ["--pipeline", PIPELINE, "--seconds", 2 * bench.seconds, "--seed", number + 1]
    without = bench.load(server, *words)["per_second"]
    stopping = threading.Event()
    failures = []

    def save():
        try:
            while not stopping.is_set():
                snapshot_take(server, name)
        except Exception as failure:  # of a thread: raised again where the figure is made
            failures.append(failure)

    thread = threading.Thread(target=save)
    thread.start()
    try:
        beside = bench.load(server, *words)["per_second"]
    finally:
        stopping.set()
        thread.join()
    if failures:
        raise RuntimeError(f"{name}: a snapshot failed at full load") from failures[0]
    return beside / without


def snapshot_measure(bench, server, name, words, number):
    seconds, memory = snapshot_paced(bench, server, name, words)
    tick = max((worker["p999"] for worker in tick_figures(server).values()), default=None) \
        if not is_redis(name) else None
    time.sleep(1.0)
    snapshot_take(server, name)
    size = os.path.getsize(snapshot_path(server, name))
    return {"seconds": seconds, "memory": memory / MIB, "tick": tick, "size": size,
            "load": snapshot_full_load(bench, server, name, words, number)}


def snapshot_values(bench, values):
    results = {"tarn": [], "redis": []}
    extras = {"tarn": ("--appendonly", "yes") + NO_REWRITES, "redis": ("--appendonly", "no")}
    words = set_words(bench, values)
    for number in range(bench.rounds):
        for name in sorted(results, reverse=number % 2 == 0):
            with start(bench, name, extras[name], ALL_CORES) as server:
                bench.fill(server, *words)
                results[name].append(snapshot_measure(bench, server, name, words, number))
    return results


def snapshot_report(bench, values, results):
    def of(name, field):
        return statistics.median(result[field] for result in results[name])

    def ratio(field):
        return statistics.median(t[field] / r[field]
                                 for t, r in zip(results["tarn"], results["redis"]))

    def line(text, field, unit, figure, target, at_least=False):
        name = f"snapshot-{values}-{field}"
        redis = f"{of('redis', field):>9.2f}" if results["redis"][0][field] is not None else " " * 9
        print(f"{values:<8}{text:<30}{of('tarn', field):>9.2f}{redis} {unit:<6}{figure:>8.2f}"
              f"{target:>8.2f} {bench.judge(name, figure, target, at_least)}", flush=True)

    line("wall time", "seconds", "s", ratio("seconds"), SNAPSHOT_TIME_TARGET)
    line("peak memory above before", "memory", "MiB", of("tarn", "memory"), SNAPSHOT_MEMORY_TARGET)
    line("tick CPU p99.9 meanwhile", "tick", "us", of("tarn", "tick"), SNAPSHOT_TICK_TARGET_US)
    line("full load, of that without", "load", "", of("tarn", "load"), SNAPSHOT_LOAD_TARGET, True)
    for name in results:
        for result in results[name]:
            result["size"] /= MIB
    line("file", "size", "MiB", ratio("size"), SNAPSHOT_SIZE_TARGET)


def snapshot_run(bench):
    print(f"\nsnapshots: {keys_count(bench)} keys of {SIZE} B, {PACED_RATE} SET a second\n"
          f"{'values':<8}{'':<30}{'tarn':>9}{'redis':>9} {'':<6}{'judged':>8}{'target':>8}", flush=True)
    for values in ("random", "text"):
        snapshot_report(bench, values, snapshot_values(bench, values))


# ---- restart ----

RESTARTS = {
    "snapshot": {"tarn": ("--appendonly", "no"), "redis": ("--appendonly", "no")},
    "log": {"tarn": ("--appendonly", "yes") + NO_REWRITES,
            "redis": ("--appendonly", "yes", "--aof-use-rdb-preamble", "no") + NO_REWRITES},
}


def restart_measure(bench, name, kind, words):
    """Fills a server, starts it again with what it kept: (wall seconds, CPU seconds)."""
    directory = tempfile.mkdtemp(prefix="tarn-benchmark-")
    extra = RESTARTS[kind][name]
    try:
        with start(bench, name, extra, ALL_CORES, directory) as server:
            bench.fill(server, *words)
            if kind == "snapshot":
                server.ask("SAVE")
        began = time.monotonic()
        with start(bench, name, extra, ALL_CORES, directory) as server:
            server.wait_until_loaded()
            wall = time.monotonic() - began
            keys = int(server.ask("DBSIZE").lstrip(":"))
            if keys != keys_count(bench):
                raise RuntimeError(f"{name} has {keys} keys after its restart from a {kind}")
            return wall, server.cpu_seconds()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def restart_run(bench):
    print(f"\nrestart with {keys_count(bench)} keys of {SIZE} B, until the first reply, seconds\n"
          f"{'from':<10}{'values':<8}{'tarn':>8}{'redis':>8}{'ratio':>8}{'target':>8}"
          f"{'CPU tarn':>17}{'redis':>8}{'ratio':>8}", flush=True)
    for kind in RESTARTS:
        for values in ("random", "text"):
            words = set_words(bench, values)
            runs = {"tarn": [], "redis": []}
            for number in range(bench.rounds):
                for name in sorted(runs, reverse=number % 2 == 0):
                    runs[name].append(restart_measure(bench, name, kind, words))
            wall, cpu = ([statistics.median(run[i] for run in runs[name])
                          for name in ("tarn", "redis")]
                         + [statistics.median(t[i] / r[i]
                                              for t, r in zip(runs["tarn"], runs["redis"]))]
                         for i in (0, 1))
            word = bench.judge(f"restart-{kind}-{values}", wall[2], RESTART_TARGET)
            print(f"{kind:<10}{values:<8}{wall[0]:>8.2f}{wall[1]:>8.2f}{wall[2]:>8.2f}"
                  f"{RESTART_TARGET:>8.2f} {word:<8}{cpu[0]:>8.2f}{cpu[1]:>8.2f}{cpu[2]:>8.2f}",
                  flush=True)


PARTS = {"log": log_run, "snapshot": snapshot_run, "restart": restart_run}
