"""Measures Tarn against redis-server and a bare responder; prints ratios. See README.md.

Every figure is a median over rounds, and in each round the servers are measured one right after
the other, so that a machine that slows down slows all of them.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile

import cluster
import memory
import persistence
import replication
import tick
from rows import ROWS, TARGETS, TWO_WORKERS_TARGET
from server import bare_start, store_start

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SERVER_CORE = 0
LOAD_CORE = 1
TWO_WORKERS_CORES = {0, 1}
LOAD_SECONDS_MAX = 600
PARTS = persistence.PARTS | replication.PARTS | cluster.PARTS


class Bench:
    """What every measurement needs: the programs, and how long to measure."""

    def __init__(self, options, directory):
        self.tarn = os.environ.get("TARN_SERVER") or tarn_find()
        self.redis = os.environ.get("REDIS_SERVER", "redis-server")
        self.seconds = options.seconds or (0.5 if options.quick else 1.0)
        self.quick = options.quick
        self.rounds = options.rounds or (3 if options.quick else 5)
        self.keys = options.keys
        self.directory = directory
        self.profile = options.profile
        self.judged = []
        self.load_binary = self.compile("load", "generator", "options", "program", "replies")
        self.bare_binary = self.compile("bare", "program")

    def compile(self, *names):
        """Makes the program that is called as its first source is."""
        binary = os.path.join(self.directory, names[0])
        sources = [os.path.join(HERE, name + ".c") for name in names]
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run(compiler + ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", binary] + sources,
                       check=True)
        return binary

    def repeats(self, row):
        """Runs per round: a row whose ratio is one of differences needs three times as many."""
        return 3 if row.beyond_bare else 1

    def judge(self, name, figure, target, at_least=False):
        """Says whether a figure meets its target, and remembers it for the end. A target is the
        highest figure that meets it, or with at_least the lowest."""
        if target is None:
            return ""
        is_met = figure >= target if at_least else figure <= target
        self.judged.append((name, figure, target, is_met))
        return "met" if is_met else "MISSED"

    def load(self, server, *words, core=LOAD_CORE):
        """Runs the load generator once and returns what it measured."""
        command = [self.load_binary, "--port", str(server.port), "--pid", str(server.pid),
                   "--core", str(core)] + [str(word) for word in words]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True,
                                timeout=LOAD_SECONDS_MAX)
        return json.loads(result.stdout)

    def fill(self, server, *words, core=LOAD_CORE):
        return self.load(server, "--fill", "--connections", 8, "--pipeline", 64, *words, core=core)


def tarn_find():
    for place in ("build/tarn-server", "build/src/tarn-server", "tarn-server", "src/tarn-server"):
        if os.access(os.path.join(TOP, place), os.X_OK):
            return os.path.join(TOP, place)
    sys.exit("no tarn-server found: build it, or name it: TARN_SERVER=/path utils/benchmark")


def progress(text):
    """A line for whoever watches; it is not part of the result."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values)


def spread(values):
    """How far apart the rounds are: (largest - smallest) / median."""
    return (max(values) - min(values)) / median(values)


# ---- CPU per command ----

def row_measure(bench, row, servers, results, number):
    """Adds one round to {server's name: [results]}; the servers take turns in being first."""
    names = list(servers)
    first = number % len(names)
    for name in names[first:] + names[:first]:
        words = row.load_words() + ["--seconds", bench.seconds, "--seed", number + 1]
        results[name].append(bench.load(servers[name], *words))
        if results[name][-1]["misses"] > 0:
            raise RuntimeError(f"{row.name}: {name} has lost keys")


def cpu_ratio(row, results):
    """The figure that counts: a median over rounds of what one round's servers gave."""
    rounds = zip(results["tarn"], results["redis"], results["bare"])
    if row.beyond_bare:
        return median([(t["cpu_us"] - b["cpu_us"]) / (r["cpu_us"] - b["cpu_us"])
                       for t, r, b in rounds])
    return median([t["cpu_us"] / r["cpu_us"] for t, r, _ in rounds])


CPU_HEADING = (
    "\nserver CPU per command, microseconds (pipeline 1: ratio of what each takes beyond bare)\n"
    f"{'load':<12}{'tarn':>9}{'redis':>9}{'bare':>9}{'ratio':>8}{'target':>8} {'':<7}"
    f"{'peer':>6}{'bare/r':>8}{'busy t/r/b %':>15}{'spread t/r %':>14}"
    f"{'kops t':>9}{'kops r':>9}{'p50/p99/p99.9 us tarn':>26}{'redis':>22}")


def cpu_line(bench, row, results):
    def of(name, field):
        return median([result[field] for result in results[name]])

    def percentiles(name):
        return "/".join(f"{of(name, field):.0f}" for field in ("p50_us", "p99_us", "p999_us"))

    ratio = cpu_ratio(row, results)
    target, peer = TARGETS.get(row.name, (None, None))
    cpu = [of(name, "cpu_us") for name in ("tarn", "redis", "bare")]
    busy = "/".join(f"{of(name, 'busy') * 100:.0f}" for name in ("tarn", "redis", "bare"))
    noise = "/".join(f"{spread([r['cpu_us'] for r in results[name]]) * 100:.0f}"
                     for name in ("tarn", "redis"))
    return (f"{row.name:<12}" + "".join(f"{value:>9.3f}" for value in cpu)
            + f"{ratio:>8.2f}{'' if target is None else format(target, '.2f'):>8}"
            + f" {bench.judge(row.name, ratio, target):<7}{'' if peer is None else format(peer, '.2f'):>6}"
            + f"{cpu[2] / cpu[1]:>8.2f}{busy:>15}{noise:>14}"
            + f"{of('tarn', 'per_second') / 1e3:>9.0f}{of('redis', 'per_second') / 1e3:>9.0f}"
            + f"{percentiles('tarn'):>26}{percentiles('redis'):>22}")


def cpu_round(bench, rows, results, part):
    """A part of every row's rounds, with servers of their own: where a process's memory happens to
    lie moves its figures by several percent, so that one process is not enough."""
    stores = {"tarn": bench.tarn, "redis": bench.redis}
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(store_start(binary, {SERVER_CORE}))
                   for name, binary in stores.items()}
        for words in dict.fromkeys(tuple(row.fill_words()) for row in rows):
            for server in servers.values():
                bench.fill(server, *words)
        for row in rows:
            with bare_start(bench.bare_binary, {SERVER_CORE}, row.bare_words()) as bare:
                for number in range(bench.repeats(row)):
                    row_measure(bench, row, servers | {"bare": bare}, results[row.name],
                                part * bench.repeats(row) + number)


def cpu_run(bench, rows):
    """Rows of one value size share their servers."""
    print(CPU_HEADING, flush=True)
    for size in dict.fromkeys(row.size for row in rows):
        group = [row for row in rows if row.size == size]
        results = {row.name: {"tarn": [], "redis": [], "bare": []} for row in group}
        for part in range(bench.rounds):
            progress(f"values of {size} bytes: round {part + 1} of {bench.rounds}")
            cpu_round(bench, group, results, part)
        progress("")
        for row in group:
            print(cpu_line(bench, row, results[row.name]), flush=True)


# ---- two workers ----

def workers_run(bench, rows):
    """One worker runs pinned as in every other row; two run on both cores beside the load."""
    print("\ntwo workers against one, Tarn's CPU per command, microseconds\n"
          f"{'load':<16}{'one':>9}{'two':>9}{'ratio':>8}{'target':>8}", flush=True)
    with store_start(bench.tarn, {SERVER_CORE}) as one, \
            store_start(bench.tarn, TWO_WORKERS_CORES, workers=2) as two:
        servers = {"one": one, "two": two}
        for server in servers.values():
            bench.fill(server, *rows[0].fill_words())
        for row in rows:
            ratios, cpu = [], {"one": [], "two": []}
            for number in range(bench.rounds):
                for name, server in servers.items():
                    words = row.load_words() + ["--seconds", bench.seconds, "--seed", number + 1]
                    core = LOAD_CORE if name == "one" else -1
                    cpu[name].append(bench.load(server, *words, core=core)["cpu_us"])
                ratios.append(cpu["two"][-1] / cpu["one"][-1])
            ratio = median(ratios)
            name = "workers-" + row.name
            print(f"{name:<16}{median(cpu['one']):>9.3f}"
                  f"{median(cpu['two']):>9.3f}{ratio:>8.2f}{TWO_WORKERS_TARGET:>8.2f}"
                  f" {bench.judge(name, ratio, TWO_WORKERS_TARGET)}",
                  flush=True)


# ---- the command ----

def profile(bench, row):
    """Records where Tarn spends its time in one row: perf report -i FILE shows it."""
    with store_start(bench.tarn, {SERVER_CORE}) as tarn:
        bench.fill(tarn, *row.fill_words())
        recorder = subprocess.Popen(["perf", "record", "-q", "-g", "-o", bench.profile,
                                     "-p", str(tarn.pid)])
        try:
            bench.load(tarn, *row.load_words(), "--seconds", bench.seconds)
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()


def summary(bench):
    missed = [(name, figure, target) for name, figure, target, is_met in bench.judged if not is_met]
    print(f"\ntargets met: {len(bench.judged) - len(missed)} of {len(bench.judged)}")
    for name, figure, target in missed:
        print(f"  missed: {name} {figure:.2f}, target {target:.2f}")


def rows_find(names):
    """`cpu` is all rows, `targets` those that have one, else a row's name or a pattern of names."""
    found = []
    for name in names:
        if name in ("cpu", "all"):
            chosen = list(ROWS.values())
        elif name == "targets":
            chosen = [row for row in ROWS.values() if row.name in TARGETS]
        else:
            chosen = [row for row in ROWS.values() if re.fullmatch(name, row.name)]
        found += [row for row in chosen if row not in found]
    return found


def main():
    parser = argparse.ArgumentParser(
        prog="utils/benchmark", description=__doc__.splitlines()[0],
        epilog="CPU rows: " + " ".join(ROWS) + ". TARN_SERVER and REDIS_SERVER name the two "
        "programs; REDIS_SERVER may also be another tarn-server to compare with. The figures of "
        "persistence, with 2 million keys on a machine that does nothing else: utils/benchmark "
        "log snapshot restart.")
    parser.add_argument("what", nargs="*", default=["all"],
                        help=f"all, cpu, targets, workers, memory, tick, {', '.join(PARTS)}, or names of CPU rows")
    parser.add_argument("--quick", action="store_true",
                        help="only what has a target, with shorter and fewer rounds")
    parser.add_argument("--rounds", type=int, help="rounds of every row")
    parser.add_argument("--seconds", type=float, help="measured time of one run")
    parser.add_argument("--keys", type=int, help=f"how many keys {', '.join(PARTS)} fill servers with")
    parser.add_argument("--profile", metavar="FILE",
                        help="record Tarn with perf during the first run of the first row, and end")
    options = parser.parse_args()
    what = options.what
    if options.quick and what == ["all"]:
        what = ["targets", "workers", "memory", "tick", *PARTS]

    special = ("workers", "memory", "tick", *PARTS)
    rows = rows_find([name for name in what if name not in special])
    for name in what:
        if name not in special and not rows_find([name]):
            parser.error(f"no such row: {name}")

    with tempfile.TemporaryDirectory(prefix="tarn-benchmark-") as directory:
        bench = Bench(options, directory)
        print(f"tarn: {bench.tarn}\nredis: {bench.redis}", flush=True)
        if options.profile:
            profile(bench, rows[0])
            return
        if rows:
            cpu_run(bench, rows)
        if "workers" in what or "all" in what:
            workers_run(bench, [ROWS["get16"], ROWS["set16"]])
        if "memory" in what or "all" in what:
            memory.run(bench)
        if "tick" in what or "all" in what:
            tick.run(bench)
        for name, run in PARTS.items():
            if name in what or "all" in what:
                run(bench)
        summary(bench)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"benchmark: {error}")
