"""Runs the cases of scripts against a pair of servers and reports where they part."""

import re
import time

from . import compare
from .resp import Closed, Connection, FramingError, Timeout, command_encode
from .scan import scan_collect
from .script import ScriptError, argument_expand

MISMATCHES_SHOWN = 4
UNTIL_SECONDS_MAX = 4
# Long, since only a failure takes it: redis-server needs seconds for half a gigabyte on a busy machine.
READ_SECONDS_MAX = 30.0
QUIET_SECONDS = 0.06
TIMES_BATCH_BYTES_MAX = 60000


class Variant:
    """Under what conditions scripts run: protocol and number of workers."""

    def __init__(self, protocol, workers):
        self.protocol = protocol
        self.workers = workers

    def __str__(self):
        return "resp%d workers=%d" % (self.protocol, self.workers)


class Outcome:
    """What a reply was: a frame, or the way in which there was none."""

    def __init__(self, frame=None, failure=None):
        self.frame = frame
        self.failure = failure

    @property
    def raw(self):
        return self.frame.raw if self.frame is not None else self.failure


def outcome_read(connection, timeout_s=READ_SECONDS_MAX):
    try:
        return Outcome(frame=connection.read(timeout_s))
    except Closed as closed:
        return Outcome(failure=b"<connection closed>" + closed.rest)
    except Timeout as timeout:
        return Outcome(failure=b"<no reply>" + timeout.rest)
    except FramingError as error:
        return Outcome(failure=b"<no RESP: %s>" % error.args[0])


class Side:
    """The connections and variables of a case on one server."""

    def __init__(self, server, plain, variant):
        self.server = server
        self.plain = plain
        self.variant = variant
        self.connections = {}
        self.variables = {}

    def connection(self, name, hello=True):
        if name not in self.connections:
            connection = Connection(self.server.port)
            self.connections[name] = connection
            if hello and self.variant.protocol == 3 and not self.plain:
                connection.command("HELLO", "3")
        return self.connections[name]

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()


class Mismatch:
    """One place where the two sides part."""

    def __init__(self, case, step, command, expected, got, note=""):
        self.case = case
        self.step = step
        self.command = command
        self.expected = expected
        self.got = got
        self.note = note


def bytes_show(data, around=0, width=400):
    """Printable form, cut around the offset of interest."""
    if isinstance(data, str):
        return data
    start = max(0, around - width // 2) if len(data) > width else 0
    text = "".join(byte_show(b) for b in data[start:start + width])
    return '%s"%s"%s' % ("... " if start else "", text,
                         " ... (%d bytes)" % len(data) if len(data) > width else "")


def byte_show(byte):
    special = {13: "\\r", 10: "\\n", 34: '\\"', 92: "\\\\"}
    if byte in special:
        return special[byte]
    return chr(byte) if 32 <= byte < 127 else "\\x%02x" % byte


def mismatch_show(mismatch, variant):
    expected, got = mismatch.expected, mismatch.got
    around = 0
    if isinstance(expected, bytes) and isinstance(got, bytes):
        around = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b),
                      min(len(expected), len(got)))
    lines = ["  %s:%d [%s]%s" % (mismatch.case.path, mismatch.step.line, variant,
                                 " " + mismatch.note if mismatch.note else ""),
             "    command   %s" % bytes_show(mismatch.command, width=200),
             "    redis     %s" % bytes_show(expected, around),
             "    tarn      %s" % bytes_show(got, around)]
    return "\n".join(lines)


class CaseRun:
    """One case in one variant."""

    def __init__(self, case, pair, variant, differences, self_test, show=None):
        self.case = case
        self.variant = variant
        self.differences = differences
        self.self_test = self_test
        self.show = show
        self.sides = [Side(server, "plain" in case.options, variant) for server in pair.sides]
        self.mismatches = []
        self.started_ms = int(time.time() * 1000)

    def run(self):
        """Returns the mismatches."""
        try:
            for step in self.case.steps:
                if step.only in (None, "resp%d" % self.variant.protocol):
                    getattr(self, "step_" + step.action)(step)
                if any(isinstance(m.got, bytes) and m.got.startswith(b"<no ")
                       for m in self.mismatches):
                    break
        finally:
            for side in self.sides:
                side.close()
        return self.mismatches

    def variables(self, side, index):
        now_ms = self.started_ms

        def local(_, words):
            return side.connection(words[0]).local.encode()

        def remote(_, words):
            return side.connection(words[0]).remote.encode()

        names = {
            "now_ms": lambda offset, words: b"%d" % (now_ms + offset),
            "now": lambda offset, words: b"%d" % (now_ms // 1000 + offset),
            "i": lambda offset, words: b"%d" % (index + offset),
            "repeat": lambda offset, words: words[1].encode() * int(words[0]),
            "local": local,
            "remote": remote,
        }
        names.update(side.variables)
        return names

    def expand(self, args, side, index=1):
        try:
            variables = self.variables(side, index)
            return [argument_expand(a, variables) for a in args]
        except ScriptError as error:
            raise ScriptError("%s: %s" % (self.case.path, error)) from error

    def differ(self, step, command, expected, got, note=""):
        self.mismatches.append(Mismatch(self.case, step, command, expected, got, note))

    # --- the actions -------------------------------------------------------------------------------

    def step_command(self, step):
        if step.until is not None:
            self.until_matches(step)
        index = 1
        while index <= step.times:
            # Repeats go out pipelined, a bounded number of bytes at a time.
            batches = [bytearray(), bytearray()]
            first = index
            while index <= step.times and len(batches[0]) < TIMES_BATCH_BYTES_MAX:
                for batch, side in zip(batches, self.sides):
                    batch += command_encode(self.expand(step.args, side, index))
                index += 1
            for batch, side in zip(batches, self.sides):
                side.connection(step.connection).send(batch)
            for i in range(first, index):
                self.replies_compare(step, i)

    def step_send(self, step):
        for side in self.sides:
            side.connection(step.connection).send(command_encode(self.expand(step.args, side)))

    def step_collect(self, step):
        args = self.expand(step.args, self.sides[0])
        found = [scan_collect(side.connection(step.connection), args) for side in self.sides]
        if found[0] != found[1]:
            self.differ(step, b" ".join(args), found[0], found[1], "(collected to the end)")

    def step_raw(self, step):
        for side in self.sides:
            side.connection(step.connection).send(self.expand(step.args, side)[0])

    def step_read(self, step):
        self.replies_compare(step, 1)

    def step_sleep(self, step):
        time.sleep(int(step.args[0].bytes) / 1000)

    def step_open(self, step):
        for side in self.sides:
            side.connection(step.connection, hello=False)

    def step_close(self, step):
        for side in self.sides:
            side.connection(step.connection).close()
            del side.connections[step.connection]

    def step_quiet(self, step):
        seen = [side.connection(step.connection).read_all_for(QUIET_SECONDS) for side in self.sides]
        if seen[0] or seen[1]:
            self.differ(step, step.text.encode(), seen[0], seen[1], "nothing should have come")

    def step_closed(self, step):
        ends = []
        for side in self.sides:
            try:
                ends.append(b"<closed>" + side.connection(step.connection).read_to_end(3))
            except Timeout as timeout:
                ends.append(b"<no close>" + timeout.rest)
            side.connection(step.connection).close()
            del side.connections[step.connection]
        if ends[0] != ends[1] or not ends[0].startswith(b"<closed>"):
            self.differ(step, step.text.encode(), ends[0], ends[1])

    # --- comparing ----------------------------------------------------------------------------------

    def until_matches(self, step):
        """Repeats the command on each side until its reply matches; the last one is not consumed."""
        for side in self.sides:
            connection = side.connection(step.connection)
            args = command_encode(self.expand(step.args, side))
            deadline = time.monotonic() + UNTIL_SECONDS_MAX
            while time.monotonic() < deadline:
                connection.send(args)
                outcome = outcome_read(connection)
                if outcome.frame is None or re.fullmatch(step.until, outcome.raw, re.DOTALL):
                    break
                time.sleep(0.02)

    def replies_compare(self, step, index):
        if step.differs is not None:
            self.difference_check(step)
            return
        for _ in range(step.replies):
            outcomes = [outcome_read(side.connection(step.connection)) for side in self.sides]
            if self.show:
                self.show(self.case, step, outcomes)
            if step.capture is not None:
                self.capture(step, outcomes)
            self.outcomes_compare(step, index, outcomes)

    def capture(self, step, outcomes):
        for side, outcome in zip(self.sides, outcomes):
            payload = outcome.frame.payload if outcome.frame is not None else None
            side.variables[step.capture] = payload if payload is not None else b""

    def outcomes_compare(self, step, index, outcomes):
        reference, subject = outcomes
        command = [step.text.encode()]
        if step.action in ("command", "send"):
            command = self.expand(step.args, self.sides[0], index)
        if reference.frame is None or subject.frame is None:
            # Redis answers every step of a script: otherwise the script itself is wrong.
            self.differ(step, b" ".join(command), reference.raw, subject.raw)
            return
        name, argument = step.comparison
        if name == "info":
            argument = self.differences.names("info-missing")
        if compare.replies_agree((name, argument), reference.frame, subject.frame):
            return
        if not self.self_test and name != "regex" and self.differences.allowed(
                command, reference.raw, subject.raw):
            return
        note = "(compared: %s%s)" % (name, " " + argument if isinstance(argument, str) else "")
        if name == "info" and reference.frame.payload and subject.frame.payload:
            missing = compare.info_missing(reference.frame, subject.frame, argument)
            self.differ(step, b" ".join(command), "fields " + " ".join(missing), "are missing", note)
            return
        self.differ(step, b" ".join(command), reference.raw, subject.raw,
                    note if name != "exact" else "")

    def difference_check(self, step):
        """Tarn's replies are given by the script, since the reference is known to differ."""
        name, expected = step.differs
        self.differences.named(name)
        raws = [b"", b""]
        for _ in range(step.replies):
            for i, side in enumerate(self.sides):
                raws[i] += outcome_read(side.connection(step.connection)).raw
        if not self.self_test and raws[1] != expected:
            self.differ(step, step.text.encode(), expected, raws[1],
                        "(expected by >differs %s, not by redis-server)" % name)
