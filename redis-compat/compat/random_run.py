"""Runs generated operations on both sides, compares every reply and then the whole content."""

import time

from . import compare
from .generator import CONNECTIONS, DATABASES, KEYS, Generator
from .resp import Connection, command_encode
from .runner import bytes_show, outcome_read
from .scan import scan_collect

BATCH_MAX = 40
BATCH_BYTES_MAX = 100000
NEAR_MS = 5000
NEAR_SECONDS = 5
SHRINK_RUNS_MAX = 120
SERVER_OPTIONS = ("--hash-max-listpack-entries", "8", "--hash-max-listpack-value", "30")

COMPARISONS = {
    b"TTL": ("near", NEAR_SECONDS), b"EXPIRETIME": ("near", NEAR_SECONDS),
    b"PTTL": ("near", NEAR_MS), b"PEXPIRETIME": ("near", NEAR_MS),
    b"KEYS": ("unordered", None), b"RANDOMKEY": ("type", None), b"HRANDFIELD": ("shape", None),
    b"SCAN": ("type", None), b"HSCAN": ("type", None),
}


class Divergence(Exception):
    """The two sides part at an operation."""

    def __init__(self, index, command, expected, got, note="", in_content=False):
        super().__init__(note)
        self.in_content = in_content
        self.index = index
        self.command = command
        self.expected = expected
        self.got = got
        self.note = note


class RandomRun:
    """One list of operations on one pair of servers."""

    def __init__(self, pair, protocol, differences):
        self.pair = pair
        self.protocol = protocol
        self.differences = differences
        self.connections = None
        self.queued = None

    def run(self, operations):
        """Raises Divergence at the first operation whose replies differ."""
        for server in self.pair.sides:
            connection = Connection(server.port)
            connection.command("FLUSHALL")
            connection.close()
        self.queued = [[] for _ in range(CONNECTIONS)]
        self.connections = [[Connection(server.port) for _ in range(CONNECTIONS)]
                            for server in self.pair.sides]
        try:
            if self.protocol == 3:
                for connection in self.connections[0] + self.connections[1]:
                    connection.command("HELLO", "3")
            position = 0
            while position < len(operations):
                position = self.batch_run(operations, position)
            self.content_compare(len(operations))
        finally:
            for connection in self.connections[0] + self.connections[1]:
                connection.close()

    def batch_run(self, operations, start):
        """Runs the operations from `start` that may go out together; returns the index after them."""
        first = operations[start]
        if first.kind == "pause":
            time.sleep(int(first.args[0]) / 1000)
            self.expired_meet()
            return start + 1
        if first.kind == "scan":
            self.scan_compare(start, first)
            return start + 1
        end = start
        data = bytearray()
        while (end < len(operations) and end - start < BATCH_MAX and len(data) < BATCH_BYTES_MAX and
               operations[end].kind == "command" and operations[end].connection == first.connection):
            data += command_encode(operations[end].args)
            end += 1
        pair = [side[first.connection] for side in self.connections]
        for connection in pair:
            connection.send(data)
        replies = [[outcome_read(connection) for _ in range(start, end)] for connection in pair]
        for i in range(start, end):
            following = operations[i + 1].args if i + 1 < end else None
            following_reply = replies[0][i + 1 - start].frame if i + 1 < end else None
            self.reply_compare(i, operations[i], replies[0][i - start], replies[1][i - start],
                               following, following_reply)
        return end

    def expired_meet(self):
        """Looks at every key, so that no expired one is left to the moment of active expiry."""
        for server in self.pair.sides:
            connection = Connection(server.port)
            for database in range(DATABASES):
                connection.command("SELECT", database)
                connection.command("EXISTS", *KEYS)
            connection.close()

    def reply_compare(self, index, operation, reference, subject, following, following_reply):
        if reference.frame is None or subject.frame is None:
            raise Divergence(index, operation.args, reference.raw, subject.raw)
        queue = self.queued[operation.connection]
        name = operation.args[0].upper()
        if name == b"EXEC" and reference.frame.kind == b"*" and reference.frame.children:
            self.transaction_compare(index, operation, queue, reference.frame, subject.frame)
        elif not self.frames_agree(operation.args, reference.frame, subject.frame, following,
                                   following_reply):
            raise Divergence(index, operation.args, reference.raw, subject.raw)
        if reference.raw == b"+QUEUED\r\n":
            queue.append(operation.args)
        elif name in (b"EXEC", b"DISCARD") and not (
                reference.frame.is_error and not reference.raw.startswith(b"-EXECABORT")):
            queue.clear()
        elif name == b"MULTI" and reference.raw == b"+OK\r\n":
            queue.clear()

    def transaction_compare(self, index, operation, queue, reference, subject):
        if subject.kind != b"*" or len(subject.children) != len(reference.children):
            raise Divergence(index, operation.args, reference.raw, subject.raw)
        if len(queue) != len(reference.children):
            raise Divergence(index, operation.args, reference.raw, subject.raw, "the runner lost count")
        for i, (args, one, other) in enumerate(zip(queue, reference.children, subject.children)):
            following = queue[i + 1] if i + 1 < len(queue) else None
            following_reply = reference.children[i + 1] if i + 1 < len(queue) else None
            if not self.frames_agree(args, one, other, following, following_reply):
                raise Divergence(index, args, one.raw, other.raw, "in EXEC, reply %d" % (i + 1))

    def frames_agree(self, args, reference, subject, following, following_reply):
        if reference.raw == subject.raw:
            return True
        name = args[0].upper()
        if name in (b"HGETALL", b"HKEYS", b"HVALS"):
            comparison = ("pairs" if name == b"HGETALL" else "unordered", None)
            if not compare.replies_agree(comparison, reference, subject):
                return self.allowed(args, reference, subject)
            # The order of a small hash is Redis' own interface; that of a hashtable is open.
            asked = following is not None and following[0] == b"OBJECT" and following[2:] == args[1:2]
            return not asked or following_reply.payload == b"hashtable"
        if name == b"OBJECT" and args[1:2] and args[1].upper() == b"IDLETIME":
            # Redis shares the objects of small integers, and with them their age.
            comparison = ("type", None)
        else:
            comparison = COMPARISONS.get(name, ("exact", None))
        return (compare.replies_agree(comparison, reference, subject) or
                self.allowed(args, reference, subject))

    def allowed(self, args, reference, subject):
        return self.differences is not None and self.differences.allowed(
            args, reference.raw, subject.raw)

    # --- scans and the whole content ----------------------------------------------------------------

    def scan_compare(self, index, operation):
        found = [scan_collect(side[operation.connection], operation.args)
                 for side in self.connections]
        if found[0] == b"+QUEUED\r\n" and found[1] == found[0]:
            self.queued[operation.connection].append(operation.args)
        elif found[0] != found[1]:
            raise Divergence(index, operation.args, found[0], found[1], "collected to the end")

    def content_compare(self, index):
        sides = [Connection(server.port) for server in self.pair.sides]
        try:
            for database in range(DATABASES):
                self.database_compare(index, sides, database)
        finally:
            for side in sides:
                side.close()

    def database_compare(self, index, sides, database):
        def both(*args):
            return [side.command(*args) for side in sides]

        def same(comparison, *args):
            reference, subject = both(*args)
            if not compare.replies_agree(comparison, reference, subject):
                raise Divergence(index, list(args), reference.raw, subject.raw,
                                 "in the content of database %d at the end" % database, True)
            return reference

        same(("exact", None), b"SELECT", b"%d" % database)
        keys = same(("unordered", None), b"KEYS", b"*")
        same(("exact", None), b"DBSIZE")
        for child in keys.children:
            key = child.payload
            kind = same(("exact", None), b"TYPE", key).payload
            encoding = same(("exact", None), b"OBJECT", b"ENCODING", key).payload
            same(("near", NEAR_MS), b"PTTL", key)
            if kind == b"string":
                same(("exact", None), b"GET", key)
            elif kind == b"hash":
                order = "pairs" if encoding == b"hashtable" else "exact"
                same((order, None), b"HGETALL", key)


def shrink(run, operations, limit=SHRINK_RUNS_MAX):
    """Leaves out what is not needed for a divergence; returns (operations, divergence)."""
    runs = 0
    last = None
    first = None

    def diverges(candidate):
        nonlocal runs, last, first
        runs += 1
        try:
            run.run(candidate)
        except Divergence as divergence:
            # Another command's divergence is another story.
            if first and divergence.command[0].upper() != first and not divergence.in_content:
                return False
            first = first or divergence.command[0].upper()
            last = divergence
            return True
        except OSError:
            return False
        return False

    if not diverges(operations):
        return None, None
    operations = operations[:last.index + 1]
    kept = last
    size = max(len(operations) // 2, 1)
    while size and runs < limit:
        position = 0
        removed = False
        while position < len(operations) and runs < limit:
            candidate = operations[:position] + operations[position + size:]
            if candidate and diverges(candidate):
                kept = last
                operations = candidate[:last.index + 1]
                removed = True
            else:
                position += size
        if size == 1 and not removed:
            break
        size = max(size // 2, 1)
    return operations, kept


def failure_text(seed, steps, variant, divergence, run, operations):
    """Everything that a reader needs to repeat and understand it."""
    lines = ["  seed %d, operation %d of %d [%s] %s" % (
        seed, divergence.index, len(operations), variant, divergence.note)]
    lines += divergence_lines(divergence)
    lines.append("    repeat    redis-compat/run --only random --seed %d --steps %d --protocol %d "
                 "--workers %d" % (seed, steps, variant.protocol, variant.workers))
    if run.pair.alive():
        small, kept = shrink(run, operations)
        if small is None:
            lines.append("    a second run of the same operations did not diverge")
        else:
            lines.append("    shrunk to %d operations:" % len(small))
            lines += ["      @%d %s" % (o.connection + 1, operation_show(o)) for o in small[-25:]]
            lines.append("    which ends with")
            lines += divergence_lines(kept)
    return "\n".join(lines)


def operation_show(operation):
    words = " ".join(bytes_show(a, width=60) for a in operation.args)
    return words if operation.kind == "command" else ">%s %s" % (operation.kind, words)


def divergence_lines(divergence):
    around = next((i for i, (a, b) in enumerate(zip(divergence.expected, divergence.got)) if a != b),
                  min(len(divergence.expected), len(divergence.got)))
    return ["    command   %s %s" % (" ".join(bytes_show(a, width=60) for a in divergence.command),
                                     divergence.note),
            "    redis     %s" % bytes_show(divergence.expected, around),
            "    tarn      %s" % bytes_show(divergence.got, around)]


def seed_run(pair, variant, seed, steps, differences):
    """Returns None or the text of the failure."""
    operations = Generator(seed, int(time.time() * 1000)).operations(steps)
    run = RandomRun(pair, variant.protocol, differences)
    try:
        run.run(operations)
    except Divergence as divergence:
        return failure_text(seed, steps, variant, divergence, run, operations)
    except OSError as error:
        return "  seed %d [%s]: connection failed: %s" % (seed, variant, error)
    return None
