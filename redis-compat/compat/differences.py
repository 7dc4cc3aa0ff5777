"""The allowed differences: rows of allowed-differences.txt, each with its reason.

A row that has patterns allows a differing reply wherever all of them match. A row without patterns is
used by name, by `>differs NAME "reply"` in a script. A row may also list names: INFO fields and options
that Tarn lacks, options whose default differs.
"""

import re

NAME_LISTS = ("info-missing", "config-missing", "config-differs")
FIELDS = ("command", "redis", "tarn", "reason") + NAME_LISTS


class DifferencesError(Exception):
    """A row that cannot be read."""


class Row:
    def __init__(self, name, line):
        self.name = name
        self.line = line
        self.fields = {}
        self.used = 0

    @property
    def has_patterns(self):
        return "tarn" in self.fields

    def allows(self, command, reference, subject):
        if not self.has_patterns:
            return False
        texts = {"command": command, "redis": reference, "tarn": subject}
        return all(re.fullmatch(self.fields[field].encode(), text, re.DOTALL | (
            re.IGNORECASE if field == "command" else 0))
            for field, text in texts.items() if field in self.fields)


class Differences:
    """All rows of the file."""

    def __init__(self, path):
        self.rows = {}
        with open(path, encoding="utf-8") as lines:
            self.read(lines)
        for row in self.rows.values():
            if "reason" not in row.fields:
                raise DifferencesError("line %d: %s has no reason" % (row.line, row.name))

    def read(self, lines):
        row = None
        field = None
        for number, line in enumerate(lines, 1):
            text = line.rstrip()
            if not text or text.startswith("#"):
                continue
            if not text.startswith(" "):
                row = Row(text.strip(), number)
                if row.name in self.rows:
                    raise DifferencesError("line %d: %s is there twice" % (number, row.name))
                self.rows[row.name] = row
                continue
            match = re.fullmatch(r"  ([a-z-]+):\s*(.*)", text)
            if match and match.group(1) in FIELDS:
                field = match.group(1)
                row.fields[field] = match.group(2)
            elif field:
                row.fields[field] += " " + text.strip()
            else:
                raise DifferencesError("line %d: %s" % (number, text))

    def allowed(self, args, reference, subject):
        """The row that allows these two raw replies to this command, or None."""
        command = b" ".join(args)[:200]
        for row in self.rows.values():
            if row.allows(command, reference, subject):
                row.used += 1
                return row
        return None

    def named(self, name):
        row = self.rows.get(name)
        if row is None:
            raise DifferencesError("allowed-differences.txt has no row %s" % name)
        row.used += 1
        return row

    def names(self, field):
        """All names in the lists of that field."""
        names = set()
        for row in self.rows.values():
            names.update(row.fields.get(field, "").replace(",", " ").split())
        return names

    def unused(self):
        return [row.name for row in self.rows.values()
                if not row.used and not any(n in row.fields for n in NAME_LISTS)]
