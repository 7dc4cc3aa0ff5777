"""Proves that the runner can fail: what differs must be reported. Part of --self-test."""

import os

from . import compare, random_run, script
from .differences import Differences
from .resp import frame_parse
from .runner import CaseRun, Variant
from .server import Pair

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Comparison, argument, reference, subject, whether they agree.
EXAMPLES = (
    ("exact", None, b"+OK\r\n", b"+OK\r\n", True),
    ("exact", None, b"+OK\r\n", b"+ok\r\n", False),
    ("exact", None, b"$-1\r\n", b"_\r\n", False),
    ("unordered", None, b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:2\r\n:1\r\n", True),
    ("unordered", None, b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:2\r\n:2\r\n", False),
    ("unordered", None, b"*2\r\n:1\r\n:2\r\n", b"~2\r\n:2\r\n:1\r\n", False),
    ("unordered", None, b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n", False),
    ("pairs", None, b"*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", b"*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n", True),
    ("pairs", None, b"*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", b"*4\r\n:3\r\n:2\r\n:1\r\n:4\r\n", False),
    ("pairs", None, b"%1\r\n:1\r\n:2\r\n", b"*2\r\n:1\r\n:2\r\n", False),
    ("deep", None, b"*1\r\n*2\r\n:1\r\n:2\r\n", b"*1\r\n*2\r\n:2\r\n:1\r\n", True),
    ("deep", None, b"*1\r\n*2\r\n:1\r\n:2\r\n", b"*1\r\n~2\r\n:2\r\n:1\r\n", False),
    ("type", None, b"$1\r\na\r\n", b"$1\r\nb\r\n", True),
    ("type", None, b"$1\r\na\r\n", b"$-1\r\n", False),
    ("shape", None, b"*1\r\n:1\r\n", b"*1\r\n:7\r\n", True),
    ("shape", None, b"*1\r\n:1\r\n", b"*2\r\n:1\r\n:1\r\n", False),
    ("near", "5", b":100\r\n", b":104\r\n", True),
    ("near", "5", b":100\r\n", b":106\r\n", False),
    ("near", "5", b":-1\r\n", b"$1\r\n0\r\n", False),
    ("error", None, b"-ERR a\r\n", b"-ERR b\r\n", True),
    ("error", None, b"-ERR a\r\n", b"-WRONGTYPE b\r\n", False),
    ("error", None, b"-ERR a\r\n", b"+ERR a\r\n", False),
    ("regex", r":\d\r\n", b":1\r\n", b":2\r\n", True),
    ("regex", r":\d\r\n", b":1\r\n", b":22\r\n", False),
    ("regex", r":\d\r\n", b":11\r\n", b":1\r\n", False),
    ("keys", None, b"*2\r\n+a\r\n:1\r\n", b"*2\r\n+a\r\n:2\r\n", True),
    ("keys", None, b"*2\r\n+a\r\n:1\r\n", b"*2\r\n+b\r\n:1\r\n", False),
    ("info", (), b"$8\r\n# A\r\nb:1\r\n", b"$8\r\n# A\r\nb:2\r\n", True),
    ("info", (), b"$8\r\n# A\r\nb:1\r\n", b"$8\r\n# A\r\nc:1\r\n", False),
    ("info", ("b",), b"$8\r\n# A\r\nb:1\r\n", b"$8\r\n# A\r\nc:1\r\n", True),
    ("client", "db", b"$9\r\nid=1 db=0\r\n", b"$9\r\nid=2 db=0\r\n", True),
    ("client", "db", b"$9\r\nid=1 db=0\r\n", b"$9\r\nid=1 db=1\r\n", False),
    ("client", "db", b"$9\r\nid=1 db=0\r\n", b"$4\r\nid=1\r\n", False),
)


def examples_check():
    """Returns None or the examples that came out wrong."""
    wrong = []
    for name, argument, reference, subject, agree in EXAMPLES:
        frames = [frame_parse(raw, 0)[0] for raw in (reference, subject)]
        if compare.replies_agree((name, argument), *frames) != agree:
            wrong.append("  %s %s: %r and %r" % (name, argument, reference, subject))
    return "\n".join(wrong) or None


def failure_check():
    """A subject with another setting must fail scripts and random runs."""
    pair = Pair(None, 1)
    try:
        pair.subject.configure("hash-max-listpack-entries", "5")
        differences = Differences(os.path.join(TOP, "allowed-differences.txt"))
        case = next(c for c in script.file_read(os.path.join(TOP, "scripts", "hashes.txt"))
                    if c.title == "encodings at the thresholds")
        if not CaseRun(case, pair, Variant(2, 1), differences, True).run():
            return "  a script does not notice another encoding"
        pair.reference.configure("hash-max-listpack-entries", "8")
        problem = random_run.seed_run(pair, Variant(2, 1), 1, 4000, None)
        if not problem or "shrunk to" not in problem:
            return "  a random run does not notice another encoding: %s" % problem
    finally:
        for server in pair.sides:
            server.kill()
    return None
