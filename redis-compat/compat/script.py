"""Reads the script files of scripts/*.txt. README.md describes the format."""

import os
import re


class ScriptError(Exception):
    """A line that is no step; the text names file and line."""


# Annotation -> number of arguments it takes.
COMPARISONS = {
    "unordered": 0,   # elements of the top array in any order
    "pairs": 0,       # field-value pairs in any order (also nested in no more than the top)
    "deep": 0,        # arrays at any depth in any order
    "type": 0,        # only the kind of the reply
    "shape": 0,       # kinds at every depth and lengths of arrays, no payloads
    "error": 0,       # errors with the same first word
    "near": 1,        # integers may differ by this much
    "regex": 1,       # both sides match this pattern
    "info": 0,        # the field names of an INFO text
    "client": 1,      # the field names of a CLIENT INFO line, and the values of those named
    "tips": 0,        # COMMAND INFO, to which Tarn may add tips
    "keys": 0,        # the names (every other element) of a flat map, values not compared
    "ignore": 0,      # a reply must come
}
MODIFIERS = {
    "replies": 1,     # so many replies follow this command
    "times": 1,       # repeat, $(i) counts from 1
    "set": 1,         # keep the payload of the reply under this name, for each side
    "until": 1,       # repeat the command until its reply matches this pattern
    "differs": 2,     # row of allowed-differences.txt, and the reply that Tarn gives
}
# How a command is sent, if not plainly: without reading, or repeated along its cursor.
COMMAND_ACTIONS = ("send", "collect")
CONDITIONS = ("resp2", "resp3")
ACTIONS = {
    "sleep": 1, "raw": 1, "read": 0, "quiet": 0, "closed": 0, "close": 0, "open": 0,
}
OPTIONS = ("fresh", "resp2", "resp3", "plain", "tarn-only")


class Step:
    """One line: what is sent on which connection, and how the replies are compared."""

    def __init__(self, line, text):
        self.line = line
        self.text = text
        self.connection = "1"
        self.action = "command"
        self.args = []
        self.comparison = ("exact", None)
        self.replies = 1
        self.times = 1
        self.capture = None
        self.until = None
        self.differs = None
        self.only = None


class Case:
    """A titled list of steps that start on an empty server."""

    def __init__(self, path, line, title, options, server_options):
        self.path = path
        self.file = os.path.basename(path)
        self.line = line
        self.title = title
        self.options = options
        self.server_options = server_options
        self.steps = []


ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}
TOKEN_END = " \t"


class Argument:
    """Bytes, in which $(...) is replaced when `substitute` holds."""

    __slots__ = ("bytes", "substitute")

    def __init__(self, data, substitute):
        self.bytes = data
        self.substitute = substitute


def arguments_split(text):
    """Splits as redis-cli does; words and "..." keep their $(...) for later, '...' is literal."""
    args = []
    i = 0
    while True:
        while i < len(text) and text[i] in TOKEN_END:
            i += 1
        if i == len(text):
            return args
        if text[i] == '"':
            out, i = double_quoted_read(text, i + 1)
            args.append(Argument(out, True))
        elif text[i] == "'":
            end = text.find("'", i + 1)
            if end < 0:
                raise ValueError("unbalanced quotes")
            args.append(Argument(text[i + 1:end].encode(), False))
            i = end + 1
        else:
            start = i
            depth = 0
            while i < len(text) and (depth or text[i] not in TOKEN_END):
                if text.startswith("$(", i):
                    depth += 1
                elif text[i] == ")" and depth:
                    depth -= 1
                i += 1
            args.append(Argument(text[start:i].encode(), True))


def double_quoted_read(text, i):
    out = bytearray()
    while i < len(text) and text[i] != '"':
        if text[i] == "\\" and i + 1 < len(text):
            if text[i + 1] == "x" and re.fullmatch("[0-9a-fA-F]{2}", text[i + 2:i + 4]):
                out.append(int(text[i + 2:i + 4], 16))
                i += 4
                continue
            out += ESCAPES.get(text[i + 1], text[i + 1]).encode()
            i += 2
            continue
        out += text[i].encode()
        i += 1
    if i >= len(text):
        raise ValueError("unbalanced quotes")
    return bytes(out), i + 1


SUBSTITUTION = re.compile(rb"\$\(([a-z_]+[0-9]*)([+-][0-9]+)?((?: [^)]*)?)\)")


def argument_expand(argument, variables):
    """The bytes of an argument; `variables` maps a name to a function of (offset, words) or to bytes."""
    if not argument.substitute or b"$(" not in argument.bytes:
        return argument.bytes

    def replace(match):
        name = match.group(1).decode()
        offset = int(match.group(2) or 0)
        words = match.group(3).decode().split()
        if name not in variables:
            raise ScriptError("unknown $(%s)" % name)
        value = variables[name]
        if callable(value):
            return value(offset, words)
        if offset:
            return b"%d" % (int(value) + offset)
        return value

    return SUBSTITUTION.sub(replace, argument.bytes)


def step_parse(line, text):
    step = Step(line, text)
    rest = text
    while True:
        rest = rest.lstrip()
        word = rest.split(None, 1)[0] if rest else ""
        if word.startswith("@") and len(word) > 1:
            step.connection = word[1:]
            rest = rest[len(word):]
            continue
        if not word.startswith(">") or len(word) == 1:
            break
        name = word[1:]
        rest = rest[len(word):]
        if name in CONDITIONS:
            step.only = name
            continue
        for table in (COMPARISONS, MODIFIERS, ACTIONS):
            if name in table:
                values, rest = words_take(rest, table[name])
                break
        else:
            if name in COMMAND_ACTIONS:
                step.action = name
                continue
            raise ValueError("unknown annotation >%s" % name)
        if name in COMPARISONS:
            step.comparison = (name, values[0].bytes.decode() if values else None)
        elif name in MODIFIERS:
            modifier_apply(step, name, values)
        else:
            step.action = name
            step.args = values
    if step.action == "command" or step.action in COMMAND_ACTIONS:
        step.args = arguments_split(rest)
        if not step.args:
            raise ValueError("no command")
    elif rest.strip():
        raise ValueError("nothing may follow >%s" % step.action)
    return step


def words_take(text, count):
    """Takes `count` arguments off the front of the text."""
    values = []
    for _ in range(count):
        text = text.lstrip()
        if not text:
            raise ValueError("an annotation lacks its argument")
        end = word_end(text)
        values += arguments_split(text[:end])
        text = text[end:]
    return values, text


def word_end(text):
    if text[0] == "'":
        return text.index("'", 1) + 1
    if text[0] == '"':
        i = 1
        while text[i] != '"':
            i += 2 if text[i] == "\\" else 1
        return i + 1
    match = re.match(r"\S+", text)
    return match.end()


def modifier_apply(step, name, values):
    if name == "replies":
        step.replies = int(values[0].bytes)
    elif name == "times":
        step.times = int(values[0].bytes)
    elif name == "set":
        step.capture = values[0].bytes.decode()
        step.comparison = ("type", None)
    elif name == "until":
        step.until = values[0].bytes
    elif name == "differs":
        step.differs = (values[0].bytes.decode(), values[1].bytes)


def file_read(path):
    """Returns the cases of one script file."""
    cases = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\n").strip()
            if not text or text.startswith("#"):
                continue
            try:
                if text.startswith("== "):
                    cases.append(case_parse(path, number, text[3:]))
                elif not cases:
                    raise ValueError("a step before the first == title")
                else:
                    cases[-1].steps.append(step_parse(number, text))
            except (ValueError, IndexError) as error:
                raise ScriptError("%s:%d: %s: %s" % (path, number, error, text)) from error
    return cases


def case_parse(path, number, text):
    match = re.fullmatch(r"(.*?)\s*(?:\[([^\]]*)\])?", text)
    options = set()
    server_options = []
    for argument in arguments_split(match.group(2) or ""):
        word = argument.bytes.decode()
        if server_options or word.startswith("--"):
            server_options.append(word)
        elif word in OPTIONS:
            options.add(word)
        else:
            raise ValueError("unknown option [%s]" % word)
    if server_options:
        options.add("fresh")
    return Case(path, number, match.group(1), options, server_options)
