"""The rows of the CPU table: which load each runs, and what it is measured against."""

from dataclasses import dataclass

KEYS = 1_000_000
LARGE_KEYS = 256
FIELDS = 4
KEY_SIZE = 16
SIZES = {"": 64, "-1k": 1024, "-1m": 1024 * 1024}


def request_size(*lengths):
    """Bytes of a request whose arguments have these lengths."""
    return len(f"*{len(lengths)}\r\n") + sum(len(f"${n}\r\n") + n + 2 for n in lengths)


@dataclass(frozen=True)
class Row:
    name: str
    command: str
    pipeline: int
    size: int

    @property
    def large(self):
        return self.size >= 1024 * 1024

    @property
    def beyond_bare(self):
        """With one command per packet the kernel takes most of the time; it is taken off."""
        return self.pipeline == 1 and not self.large

    def key_words(self):
        prefix = {"hset": "hsh:", "hget": "hsh:", "incr": "cnt:"}.get(self.command, "key:")
        words = ["--prefix", prefix, "--keys", LARGE_KEYS if self.large else KEYS,
                 "--size", self.size]
        return words + (["--fields", FIELDS] if prefix == "hsh:" else [])

    def load_words(self):
        return self.key_words() + ["--command", self.command, "--pipeline", self.pipeline]

    def fill_words(self):
        """What makes the keys: every row of these words finds them all."""
        command = {"hget": "hset", "hset": "hset", "incr": "incr"}.get(self.command, "set")
        return self.key_words() + ["--command", command]

    def bare_words(self):
        get = f"2:{request_size(3, KEY_SIZE)}"
        put = f"3:{request_size(3, KEY_SIZE, self.size)}"
        bulk = ["--bulk", str(self.size)]
        return {
            "get": ["--request", get] + bulk,
            "set": ["--request", put, "--ok"],
            "mixed": ["--request", get, "--request", put] + bulk,
            "hset": ["--request", f"4:{request_size(4, KEY_SIZE, 6, self.size)}", "--number"],
            "hget": ["--request", f"3:{request_size(4, KEY_SIZE, 6)}"] + bulk,
            "incr": ["--request", f"2:{request_size(4, KEY_SIZE)}", "--number"],
        }[self.command]


def rows_make():
    rows = [Row(f"{command}{pipeline}", command, pipeline, SIZES[""])
            for pipeline in (1, 16, 64)
            for command in ("get", "set", "mixed", "hset", "hget", "incr")]
    rows += [Row(f"{command}{pipeline}-1k", command, pipeline, SIZES["-1k"])
             for pipeline in (1, 16, 64) for command in ("get", "set", "mixed")]
    rows += [Row(f"{command}1-1m", command, 1, SIZES["-1m"])
             for command in ("get", "set", "mixed")]
    return {row.name: row for row in rows}


ROWS = rows_make()

# Row -> (the highest ratio that meets the target, what the best peer reaches).
TARGETS = {
    "get1": (0.30, 0.46),
    "set1": (0.25, 0.28),
    "get16": (0.45, 0.59),
    "set16": (0.38, 0.47),
    "get64": (0.30, 0.51),
    "set64": (0.28, 0.42),
    "get16-1k": (0.50, 0.76),
    "set16-1k": (0.45, 0.65),
    "get1-1m": (1.0, 0.94),
    "set1-1m": (0.75, 1.0),
}

# Tarn's CPU per command with two workers against one.
TWO_WORKERS_TARGET = 1.5
