"""What replicas cost: a full sync beside writes, the stream, and waiting for a quorum.

Tarn runs with the log as it comes (appendonly yes) where nothing else is said, redis-server
without one, as it comes too; its full syncs begin at once instead of after five seconds.
"""

import contextlib
import statistics
import threading
import time

from persistence import (ALL_CORES, MIB, NO_REWRITES, PACED_RATE, PIPELINE, SERVER_CORE, SIZE, Paced,
                         high_water, high_water_reset, is_redis, keys_count, processes_memory, set_words,
                         start)
from server import tick_figures

LOAD_CORES = {1}
SYNC_SECONDS_MAX = 600
CATCH_UP_SECONDS_MAX = 120
LOOK_SECONDS = 0.005
QUORUM_TIMEOUT_MS = "60000"

SYNC_TIME_TARGET = 0.5      # of redis-server's
SYNC_MEMORY_TARGET = 64
SYNC_TICK_TARGET_US = 1000
REPLICA_COST_TARGET = 1.15  # CPU per SET with a replica, of that without
QUORUM_TARGET = 0.6         # throughput with write-quorum 2, of that without

REDIS = ("--appendonly", "no", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
TARN = ("--appendonly", "yes") + NO_REWRITES
TARN_IN_MEMORY = ("--appendonly", "no")


def replication_fields(server):
    """INFO replication as a dictionary."""
    lines = server.ask("INFO", "replication").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def wait_until(what, condition, seconds_max):
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(what)
        time.sleep(LOOK_SECONDS)


def is_synced(replica):
    """Its link is up, and it serves what it has."""
    fields = replication_fields(replica)
    return fields["master_link_status"] == "up" and fields["master_sync_in_progress"] == "0"


def attach(primary, replica):
    """Full sync; the seconds it takes."""
    began = time.monotonic()
    replica.ask("REPLICAOF", "127.0.0.1", str(primary.port))
    wait_until("the replica does not end its sync", lambda: is_synced(replica), SYNC_SECONDS_MAX)
    return time.monotonic() - began


def catch_up(primary, replica):
    """Until the replica holds what the primary held when this began."""
    end = int(replication_fields(primary)["master_repl_offset"])
    wait_until("the replica does not catch up",
               lambda: int(replication_fields(replica)["slave_repl_offset"]) >= end,
               CATCH_UP_SECONDS_MAX)


# ---- full sync ----

class Watch:
    """The most memory that a redis-server and its child hold together, until stop()."""

    def __init__(self, server):
        self.server = server
        self.before = self.peak = processes_memory(server)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.05):
            self.peak = max(self.peak, processes_memory(self.server))

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.peak - self.before


def sync_replica(bench, name, extra, primary):
    """One full sync to a new replica, which then has all keys: the seconds it takes."""
    with start(bench, name, extra, ALL_CORES) as replica:
        seconds = attach(primary, replica)
        keys = int(replica.ask("DBSIZE"))
        if keys != keys_count(bench):
            raise RuntimeError(f"{name}: the replica has {keys} keys after its sync")
        return seconds


def sync_measure(bench, name, extra):
    """Full syncs beside PACED_RATE writes a second."""
    with start(bench, name, extra, ALL_CORES) as primary:
        words = set_words(bench, "random")
        bench.fill(primary, *words)
        load = Paced(bench, primary, words)
        try:
            time.sleep(0.5)
            primary.ask("CONFIG", "RESETSTAT")
            if not is_redis(name):
                high_water_reset(primary)
                before = primary.rss_bytes()
                seconds = sync_replica(bench, name, extra, primary)
                memory = high_water(primary) - before
                tick = max(worker["p999"] for worker in tick_figures(primary).values())
                return {"seconds": seconds, "memory": memory / MIB, "tick": tick}
            # The memory of two processes is slow to read: looked at beside a second sync.
            seconds = sync_replica(bench, name, extra, primary)
            watch = Watch(primary)
            try:
                sync_replica(bench, name, extra, primary)
            finally:
                memory = watch.stop()
            return {"seconds": seconds, "memory": memory / MIB, "tick": None}
        finally:
            load.stop()


def sync_run(bench):
    extras = {"tarn": TARN, "redis": REDIS}
    results = {name: [] for name in extras}
    for number in range(bench.rounds):
        for name in sorted(results, reverse=number % 2 == 0):
            results[name].append(sync_measure(bench, name, extras[name]))

    def of(name, field):
        return statistics.median(result[field] for result in results[name])

    print(f"\nfull sync of a replica: {keys_count(bench)} keys of {SIZE} B, {PACED_RATE} SET a second\n"
          f"{'':<34}{'tarn':>9}{'redis':>9} {'':<6}{'judged':>8}{'target':>8}")

    def line(text, field, unit, figure, target):
        redis = f"{of('redis', field):>9.2f}" if results["redis"][0][field] is not None else " " * 9
        print(f"{text:<34}{of('tarn', field):>9.2f}{redis} {unit:<6}{figure:>8.2f}{target:>8.2f}"
              f" {bench.judge('sync-' + field, figure, target)}", flush=True)

    ratio = statistics.median(t["seconds"] / r["seconds"]
                              for t, r in zip(results["tarn"], results["redis"]))
    line("wall time", "seconds", "s", ratio, SYNC_TIME_TARGET)
    line("primary's memory above before", "memory", "MiB", of("tarn", "memory"), SYNC_MEMORY_TARGET)
    line("primary's tick CPU p99.9", "tick", "us", of("tarn", "tick"), SYNC_TICK_TARGET_US)


# ---- what a replica costs ----

COST_SERVERS = {
    "tarn": TARN,
    "tarn, log in memory": TARN_IN_MEMORY,
    "redis": REDIS,
}


def cost_load(bench, server, words, number):
    return bench.load(server, *words, "--pipeline", PIPELINE, "--seconds", 2 * bench.seconds,
                      "--seed", number + 1)


def cost_measure(bench, name, number):
    """Two servers of one kind take the same SETs, one of them with a replica; in turns."""
    extra = COST_SERVERS[name]
    words = set_words(bench, "random")
    with start(bench, name, extra, SERVER_CORE) as alone, \
            start(bench, name, extra, SERVER_CORE) as primary, \
            start(bench, name, extra, LOAD_CORES) as replica:
        for server in (alone, primary):
            bench.fill(server, *words)
        attach(primary, replica)
        servers = {"without": alone, "with": primary}
        results = {}
        for which in sorted(servers, reverse=number % 2 == 0):
            results[which] = cost_load(bench, servers[which], words, number)
            catch_up(primary, replica)
        return results


def cost_run(bench):
    results = {name: [] for name in COST_SERVERS}
    for number in range(bench.rounds):
        names = list(results)
        first = number % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(cost_measure(bench, name, number))
    print(f"\none replica: SET of {SIZE} B at pipeline {PIPELINE}, the primary's CPU per command, us\n"
          f"{'server':<22}{'without':>9}{'with':>9}{'ratio':>8}{'target':>8} {'':<7}"
          f"{'busy %':>9}{'kops':>11}")
    for name, runs in results.items():
        def both(field, scale, runs=runs):
            return "/".join(f"{statistics.median(run[which][field] for run in runs) * scale:.0f}"
                            for which in ("without", "with"))

        cpu = [statistics.median(run[which]["cpu_us"] for run in runs) for which in ("without", "with")]
        ratio = statistics.median(run["with"]["cpu_us"] / run["without"]["cpu_us"] for run in runs)
        target = REPLICA_COST_TARGET if name == "tarn" else None
        print(f"{name:<22}{cpu[0]:>9.3f}{cpu[1]:>9.3f}{ratio:>8.2f}"
              f"{'' if target is None else format(target, '.2f'):>8}"
              f" {bench.judge('replica-cost', ratio, target):<7}{both('busy', 100):>9}"
              f"{both('per_second', 1e-3):>11}", flush=True)


# ---- a quorum ----

QUORUM_SERVERS = {"tarn": TARN, "tarn, log in memory": TARN_IN_MEMORY}


def quorum_measure(bench, name, number):
    """The same servers, with and without the quorum; in turns."""
    extra = QUORUM_SERVERS[name] + ("--write-quorum-timeout", QUORUM_TIMEOUT_MS)
    words = set_words(bench, "random")
    results = {}
    with contextlib.ExitStack() as stack:
        primary, replica = (stack.enter_context(start(bench, name, extra, ALL_CORES))
                            for _ in range(2))
        bench.fill(primary, *words)
        attach(primary, replica)
        for quorum in sorted(("1", "2"), reverse=number % 2 == 0):
            primary.ask("CONFIG", "SET", "write-quorum", quorum)
            results[quorum] = bench.load(primary, *words, "--seconds", 2 * bench.seconds,
                                         "--seed", number + 1, core=-1)
            catch_up(primary, replica)
    return results


def quorum_run(bench):
    results = {name: [] for name in QUORUM_SERVERS}
    for number in range(bench.rounds):
        for name in sorted(results, reverse=number % 2 == 0):
            results[name].append(quorum_measure(bench, name, number))
    print(f"\nwrite-quorum 2: SET of {SIZE} B, 50 connections, pipeline 1, the same replica attached\n"
          f"{'server':<22}{'kops async':>12}{'quorum':>9}{'ratio':>8}{'target':>8} {'':<7}"
          f"{'p50/p99/p99.9 us async':>26}{'quorum':>22}")
    for name, runs in results.items():
        def of(which, field, runs=runs):
            return statistics.median(run[which][field] for run in runs)

        ratio = statistics.median(run["2"]["per_second"] / run["1"]["per_second"] for run in runs)
        target = QUORUM_TARGET if name == "tarn" else None
        latency = ["/".join(f"{of(which, field):.0f}" for field in ("p50_us", "p99_us", "p999_us"))
                   for which in ("1", "2")]
        print(f"{name:<22}{of('1', 'per_second') / 1e3:>12.1f}{of('2', 'per_second') / 1e3:>9.1f}"
              f"{ratio:>8.2f}{'' if target is None else format(target, '.2f'):>8}"
              f" {bench.judge('write-quorum', ratio, target, at_least=True):<7}"
              f"{latency[0]:>26}{latency[1]:>22}", flush=True)


PARTS = {"sync": sync_run, "replica": cost_run, "quorum": quorum_run}
