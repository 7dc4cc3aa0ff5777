"""The command line of redis-compat/run."""

import argparse
import concurrent.futures
import fnmatch
import multiprocessing
import os
import sys
import time

from . import cluster, commands_table, config_check, random_run, script, self_check, smoke
from .differences import Differences
from .resp import Closed, Connection, FramingError, Timeout
from .runner import CaseRun, MISMATCHES_SHOWN, Variant, bytes_show, mismatch_show
from .server import REDIS_SERVER, Pair, Server, StartError

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FAILURES_SHOWN_DEFAULT = 40
PAIR_FAILURES_MAX = 5
PARTS = ("scripts", "random", "tables", "smoke", "cluster")
RANDOM_SEEDS = (1, 2, 3)
RANDOM_STEPS = 6000


class Tally:
    """Counts what passed and prints what failed."""

    def __init__(self, shown_max):
        self.passed = 0
        self.failed = 0
        self.shown_max = shown_max
        self.by_group = {}

    def add(self, group, title, problem):
        """`problem` is None or the text that explains the failure."""
        counts = self.by_group.setdefault(group, [0, 0])
        if problem is None:
            self.passed += 1
            counts[0] += 1
            return
        self.failed += 1
        counts[1] += 1
        if self.failed <= self.shown_max:
            print("FAIL %s\n%s" % (title, problem), flush=True)
        elif self.failed == self.shown_max + 1:
            print("(more failures are only counted; see --failures)", flush=True)

    def join(self, other):
        """What another one counted, in another process."""
        self.passed += other.passed
        self.failed += other.failed
        for group, counts in other.by_group.items():
            mine = self.by_group.setdefault(group, [0, 0])
            mine[0] += counts[0]
            mine[1] += counts[1]

    def summary(self):
        for group, (passed, failed) in self.by_group.items():
            print("  %-28s %4d passed %4d failed" % (group, passed, failed))
        print("%d passed, %d failed" % (self.passed, self.failed), flush=True)


def arguments_parse(argv):
    parser = argparse.ArgumentParser(
        prog="redis-compat/run",
        description="Compares Tarn with redis-server, byte for byte. The server under test is the "
                    "program named by --server or the environment's TARN_SERVER.")
    parser.add_argument("--server", default=os.environ.get("TARN_SERVER"), help="path of tarn-server")
    parser.add_argument("--self-test", action="store_true", help="redis-server on both sides")
    parser.add_argument("--scripts", metavar="NAMES", help="only these script files (a,b or globs)")
    parser.add_argument("--case", metavar="TEXT", help="only cases whose title contains TEXT")
    parser.add_argument("--protocol", type=int, choices=(2, 3), help="only this protocol")
    parser.add_argument("--workers", type=int, help="only this number of workers")
    parser.add_argument("--only", metavar="PARTS", help="only these parts (a,b): " + ", ".join(PARTS))
    parser.add_argument("--seed", type=int, help="of the random run; default: some fixed, one new")
    parser.add_argument("--steps", type=int, default=RANDOM_STEPS, help="of a random run")
    parser.add_argument("--jobs", type=int, default=2 * int(os.environ.get("JOBS", "2")),
                        help="how much runs at once; default: twice the environment's JOBS (2)")
    parser.add_argument("--show", action="store_true", help="print every reply of the reference")
    parser.add_argument("--failures", type=int, default=FAILURES_SHOWN_DEFAULT,
                        help="how many failures are printed in full")
    options = parser.parse_args(argv)
    if options.only:
        options.parts = options.only.split(",")
        for part in options.parts:
            if part not in PARTS:
                parser.error("there is no part %s" % part)
    elif options.scripts or options.case:
        options.parts = ["scripts"]
    elif options.seed is not None:
        options.parts = ["random"]
    else:
        options.parts = list(PARTS)
    return options


def variants_of(options):
    protocols = [options.protocol] if options.protocol else [2, 3]
    if options.self_test:
        workers = [options.workers or 1]
    else:
        workers = [options.workers] if options.workers else [1, 3]
    return [Variant(p, w) for w in workers for p in protocols]


def script_files(names):
    folder = os.path.join(TOP, "scripts")
    files = sorted(f for f in os.listdir(folder) if f.endswith(".txt"))
    if names:
        wanted = names.split(",")
        files = [f for f in files if any(fnmatch.fnmatch(f[:-4], w) for w in wanted)]
        if not files:
            sys.exit("redis-compat/run: no script is called %s" % names)
    return [os.path.relpath(os.path.join(folder, f)) for f in files]


class ScriptRun:
    """All chosen cases in one variant, with servers that are started again when a case needs it."""

    def __init__(self, options, variant, differences, tally):
        self.options = options
        self.variant = variant
        self.differences = differences
        self.tally = tally
        self.pair = None
        self.failures = 0

    def program(self):
        return None if self.options.self_test else self.options.server

    def run(self, cases):
        for case in cases:
            if self.skipped(case):
                continue
            title = "%s:%d %s [%s]" % (case.path, case.line, case.title, self.variant)
            try:
                problem = self.case_run(case)
            except StartError as error:
                problem = "  " + str(error)
                self.failures += 1
            self.tally.add(case.file[:-4], title, problem)
            if self.failures >= PAIR_FAILURES_MAX:
                self.tally.add("servers", str(self.variant), "  gave up: the server does not start")
                return
        if self.pair is not None:
            self.tally.add("servers", "clean end [%s]" % self.variant, self.pair.stop())

    def skipped(self, case):
        other = "resp%d" % (5 - self.variant.protocol)
        return other in case.options or (self.options.self_test and "tarn-only" in case.options)

    def case_run(self, case):
        fresh = "fresh" in case.options
        if fresh:
            pair = Pair(self.program(), self.variant.workers, case.server_options)
        else:
            if self.pair is None or not self.pair.alive():
                self.pair = Pair(self.program(), self.variant.workers)
            pair = self.pair
            for server in pair.sides:
                server_empty(server)
        try:
            return self.steps_run(case, pair)
        finally:
            if fresh:
                for server in pair.sides:
                    server.kill()

    def steps_run(self, case, pair):
        show = reply_show if self.options.show else None
        run = CaseRun(case, pair, self.variant, self.differences, self.options.self_test, show)
        try:
            mismatches = run.run()
        except OSError as error:
            mismatches = []
            if pair.alive():
                return "  connection failed: %s" % error
        problem = None
        if mismatches:
            problem = "\n".join(mismatch_show(m, self.variant) for m in mismatches[:MISMATCHES_SHOWN])
            if len(mismatches) > MISMATCHES_SHOWN:
                problem += "\n  and %d more mismatches in this case" % (
                    len(mismatches) - MISMATCHES_SHOWN)
        # A crash takes a moment until the process is gone.
        if mismatches and mismatches[-1].got and b"<connection closed>" in bytes_of(mismatches[-1].got):
            time.sleep(0.1)
        if not pair.subject.alive() and pair.reference.alive() and "fresh" not in case.options:
            problem = (problem or "") + "\n  %s ended with status %s\n%s" % (
                pair.subject.label, pair.subject.process.returncode, pair.subject.log_tail())
            pair.subject.kill()
            pair.reference.kill()
            self.pair = None
        return problem


def bytes_of(value):
    return value if isinstance(value, bytes) else value.encode()


def server_empty(server):
    try:
        connection = Connection(server.port)
        connection.command("FLUSHALL")
        connection.command("QUIT")
        connection.read_to_end(1)
        connection.close()
    except (OSError, Timeout, Closed, FramingError):
        pass


def reply_show(case, step, outcomes):
    print("%s:%d %s\n    %s" % (case.file, step.line, step.text, bytes_show(outcomes[0].raw)))


def scripts_part(variant, options, differences, tally):
    cases = [c for f in script_files(options.scripts) for c in script.file_read(f)
             if not options.case or options.case in c.title]
    ScriptRun(options, variant, differences, tally).run(cases)


def random_part(variant, options, differences, tally):
    """A few fixed seeds, so that a failure is the same for all, and one that is new each time."""
    seeds = list(RANDOM_SEEDS) + [int(time.time() * 1000) % 1000000000]
    if options.seed is not None:
        seeds = [options.seed]
    program = None if options.self_test else options.server
    allowed = None if options.self_test else differences
    pair = None
    for seed in seeds:
        title = "random operations, seed %d [%s]" % (seed, variant)
        try:
            if pair is None or not pair.alive():
                pair = Pair(program, variant.workers, random_run.SERVER_OPTIONS)
        except StartError as error:
            tally.add("random", title, "  " + str(error))
            return
        problem = random_run.seed_run(pair, variant, seed, options.steps, allowed)
        if problem and not pair.subject.alive():
            problem += "\n" + pair.subject.log_tail()
        tally.add("random", title, problem)
    for server in pair.sides:
        server.kill()


def tables_part(options, differences, tally):
    """What is compared as a whole: options and their defaults, the table of commands."""
    pair = Pair(None if options.self_test else options.server, 1)
    connections = [Connection(server.port) for server in pair.sides]
    tally.add("tables", "options and their defaults are Redis'",
              None if options.self_test else config_check.config_check(connections, differences))
    if not options.self_test:
        tally.add("tables", "commands.md is current", commands_table.table_check(pair.subject.port))
    for server in pair.sides:
        server.kill()


def smoke_part(workers, options, _differences, tally):
    """Redis' tools and client libraries, against Tarn alone."""
    program = REDIS_SERVER if options.self_test else options.server
    server = None
    for run in smoke.SMOKES:
        title = "smoke: %s [workers=%d]" % (run.__doc__, workers)
        try:
            if server is None or not server.alive():
                server = Server(program, (), "server", None if options.self_test else workers)
        except StartError as error:
            tally.add("smoke", title, "  " + str(error))
            return
        smoke_tally(run, server.port, title, tally, server)
    server.kill()


def config_part(options, _differences, tally):
    """Config files, once."""
    program = REDIS_SERVER if options.self_test else options.server
    for run in smoke.CONFIG_SMOKES:
        smoke_tally(run, program, "smoke: %s" % run.__doc__, tally)


def cluster_part(options, _differences, tally):
    """Clusters of several nodes."""
    program = REDIS_SERVER if options.self_test else options.server
    for run in cluster.CLUSTER_SMOKES:
        smoke_tally(run, program, "cluster: %s" % run.__doc__.replace("\n    ", " "), tally)


def smoke_tally(run, target, title, tally, server=None):
    problem, skipped = smoke.smoke_run(run, target)
    if skipped:
        print("skipped: %s: %s" % (title, skipped), flush=True)
        return
    if problem and server and not server.alive():
        problem += "\n" + server.log_tail()
    tally.add("smoke", title, problem)


def tasks_of(options):
    """What runs by itself, each with servers of its own: (function, arguments before the options),
    what takes longest first."""
    tasks = []
    if "scripts" in options.parts:
        tasks += [(scripts_part, (variant,)) for variant in variants_of(options)]
    if "cluster" in options.parts:
        tasks.append((cluster_part, ()))
    if "smoke" in options.parts:
        workers = sorted({variant.workers for variant in variants_of(options)})
        tasks += [(smoke_part, (count,)) for count in workers]
        tasks.append((config_part, ()))
    if "random" in options.parts:
        tasks += [(random_part, (variant,)) for variant in variants_of(options)]
    if "tables" in options.parts:
        tasks.append((tables_part, ()))
    return tasks


def task_run(task, options):
    """In a process of its own: what it counted, and how often each row of differences was needed."""
    function, arguments = task
    tally = Tally(options.failures)
    differences = Differences(os.path.join(TOP, "allowed-differences.txt"))
    function(*arguments, options, differences, tally)
    return tally, {name: row.used for name, row in differences.rows.items()}


def tasks_run(tasks, options, differences, tally):
    """So many at once: they mostly wait."""
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(options.jobs, mp_context=fork) as pool:
        for future in [pool.submit(task_run, task, options) for task in tasks]:
            counted, used = future.result()
            tally.join(counted)
            for name, count in used.items():
                differences.rows[name].used += count


def main(argv):
    options = arguments_parse(argv)
    if not options.server and not options.self_test:
        sys.exit("redis-compat/run: name the server by TARN_SERVER or --server, or use --self-test")
    if options.server:
        options.server = os.path.abspath(options.server)
        if not os.access(options.server, os.X_OK):
            sys.exit("redis-compat/run: %s is no program" % options.server)
    differences = Differences(os.path.join(TOP, "allowed-differences.txt"))
    tally = Tally(options.failures)
    if options.self_test:
        tally.add("runner", "comparisons agree and disagree as they should", self_check.examples_check())
        tally.add("runner", "what differs is reported", self_check.failure_check())
    tasks_run(tasks_of(options), options, differences, tally)
    if options.parts == list(PARTS) and not options.self_test and not options.protocol:
        for name in differences.unused():
            print("note: the row %s of allowed-differences.txt was not needed" % name)
    tally.summary()
    return 1 if tally.failed else 0
