"""The table of Redis 7.2's commands with Tarn's status: commands.md.

The names come from the real redis-server (7.0) and the few that 7.2 added; the status comes from the
COMMAND output of a running Tarn and from commands-partly.txt.
"""

import os

from .resp import Connection
from .server import REDIS_SERVER, Server

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE_PATH = os.path.join(TOP, "commands.md")
PARTLY_PATH = os.path.join(TOP, "commands-partly.txt")

# Name -> group of what Redis 7.2 has and 7.0 has not.
ADDED_IN_7_2 = {
    "client|no-touch": "connection",
    "client|setinfo": "connection",
    "cluster|myshardid": "cluster",
    "waitaof": "generic",
}
GROUP_TITLES = {"string": "strings", "bitmap": "bitmaps", "hash": "hashes", "generic": "keys",
                "list": "lists", "set": "sets", "sorted-set": "sorted sets", "stream": "streams",
                "geo": "geo", "hyperloglog": "HyperLogLog", "transactions": "transactions",
                "pubsub": "pub/sub", "connection": "connection", "server": "server",
                "scripting": "scripts and functions", "cluster": "cluster", "sentinel": "sentinel"}
GROUP_ORDER = list(GROUP_TITLES)


class TableError(Exception):
    """The list of partly done commands names something that is not so."""


def names_of(port):
    """All command and subcommand names that COMMAND reports, subcommands as a|b."""
    connection = Connection(port)
    names = set()
    for row in connection.command("COMMAND").children:
        names.add(row.children[0].payload.decode().lower())
        if len(row.children) > 9:
            names.update(sub.children[0].payload.decode().lower() for sub in row.children[9].children)
    connection.close()
    return names


def groups_of(port):
    """Command name -> group, from COMMAND DOCS."""
    connection = Connection(port)
    reply = connection.command("COMMAND", "DOCS").children
    connection.close()
    groups = {}
    for name, fields in zip(reply[::2], reply[1::2]):
        items = [f.payload for f in fields.children]
        groups[name.payload.decode().lower()] = items[items.index(b"group") + 1].decode()
    return groups


def partly_read():
    """Command name -> reason."""
    reasons = {}
    with open(PARTLY_PATH, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                name, reason = line.split(":", 1)
                reasons[name.strip()] = reason.strip()
    return reasons


def table_make(subject_port):
    """The text of commands.md for the server on that port."""
    reference = Server(REDIS_SERVER)
    try:
        groups = groups_of(reference.port)
        wanted = names_of(reference.port)
    finally:
        reference.kill()
    wanted.update(ADDED_IN_7_2)
    have = names_of(subject_port)
    partly = partly_read()
    for name in partly:
        if name not in wanted:
            raise TableError("commands-partly.txt: Redis has no command %s" % name)
        if name not in have:
            raise TableError("commands-partly.txt: Tarn has no command %s" % name)
    by_group = {}
    for name in wanted:
        group = groups.get(name.split("|")[0]) or ADDED_IN_7_2[name]
        by_group.setdefault(group, []).append(name)
    return table_text(by_group, have, partly, sorted(have - wanted))


def status_of(name, have, partly):
    if name not in have:
        return "not yet"
    return "partly: " + partly[name] if name in partly else "yes"


def table_text(by_group, have, partly, own):
    total = sum(len(names) for names in by_group.values())
    missing = sum(name not in have for names in by_group.values() for name in names)
    lines = ["# The commands of Redis 7.2, and Tarn's status", "",
             "Written by `redis-compat/commands` from the COMMAND output of both servers; the reasons come "
             "from", "commands-partly.txt.", "",
             "Of %d commands and subcommands, %d are there, %d of these partly." % (
                 total, total - missing, len(partly))]
    for group in sorted(by_group, key=lambda g: (GROUP_ORDER.index(g) if g in GROUP_ORDER else 99, g)):
        lines += ["", "## " + GROUP_TITLES.get(group, group), "", "| command | status |", "| --- | --- |"]
        for name in sorted(by_group[group]):
            lines.append("| %s | %s |" % (name.upper().replace("|", " "),
                                          status_of(name, have, partly)))
    if own:
        lines += ["", "## Tarn's own", "", "| command |", "| --- |"]
        lines += ["| %s |" % name.upper().replace("|", " ") for name in own]
    return "\n".join(lines) + "\n"


def table_check(port):
    """None, or the text that says how the committed table is out of date."""
    try:
        text = table_make(port)
    except TableError as error:
        return "  %s" % error
    committed = ""
    if os.path.exists(TABLE_PATH):
        with open(TABLE_PATH, encoding="utf-8") as table:
            committed = table.read()
    if text == committed:
        return None
    old, new = committed.splitlines(), text.splitlines()
    changed = ["-" + l for l in old if l not in new] + ["+" + l for l in new if l not in old]
    return "  commands.md is not current; redis-compat/commands writes it anew:\n    " + "\n    ".join(
        changed[:12])
