"""Random commands from a seed: a list of operations that depends on nothing but the seed.

Keys, fields and values come from small pools, so that commands meet. Times are far in the future or
in the past, and no two relative ones are equal; an expiry that shall be seen is followed by a pause.
"""

import random

KEYS = [b"a", b"b", b"c", b"d", b"e", b"f", b"{tag}x", b"{tag}y", b"", b"bin\x00\r\n\xff",
        b"a-rather-long-key-that-fills-more-than-a-cache-line-of-sixty-four-bytes"]
# Hash commands prefer these, string commands the others, so that values live for a while.
HASH_KEYS = KEYS[6:]
STRING_KEYS = KEYS[:6]
FIELDS = [b"f%d" % i for i in range(12)] + [b"", b"7", b"-12", b"9223372036854775807", b"bin\x00\xff",
                                             b"a-long-field-of-more-than-twenty-bytes"]
VALUES = [b"", b"x", b"hello", b"hello world", b"0", b"1", b"-1", b"10", b"007", b" 1", b"1.5", b"-0",
          b"3.14159", b"1e3", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
          b"bin\x00\r\n\xff", b"v" * 30, b"w" * 31, b"y" * 44, b"z" * 45, b"abcdefghij" * 10]
BIG_VALUES = [b"m" * 16383, b"n" * 16384, b"o" * 20480, b"p" * 70000]
INTEGERS = [b"0", b"1", b"-1", b"2", b"5", b"10", b"-10", b"100", b"12345", b"-7",
            b"9223372036854775807", b"-9223372036854775808"]
FLOATS = [b"0", b"1", b"-1", b"0.1", b"1.5", b"-2.25", b"1e3", b"3.0e-5", b"5.0", b"100", b"1e17"]
GARBAGE = [b"abc", b"", b"-1", b"0", b"9223372036854775808", b"1.5", b"NX", b"XX", b"GET", b"*", b"a b",
           b"\x00", b"nan", b"1 ", b"+1"]
BIT_TYPES = [b"u1", b"u4", b"u8", b"u16", b"u31", b"u63", b"i1", b"i5", b"i8", b"i16", b"i33", b"i64"]
PATTERNS = [b"*", b"a*", b"?", b"{tag}*", b"[a-c]", b"[^a]", b"f1*", b"*x", b"\\*", b""]
DATABASES = 3
CONNECTIONS = 2
BATCH_MAX = 30
SHORT_MS = 15
PAUSE_MS = 35


class Operation:
    """One step: a command, a collected scan, or a pause."""

    __slots__ = ("kind", "connection", "args")

    def __init__(self, kind, connection, args):
        self.kind = kind
        self.connection = connection
        self.args = args


class Generator:
    """Makes the operations of one seed. `now_ms` is the moment that absolute times start from."""

    def __init__(self, seed, now_ms):
        self.random = random.Random(seed)
        self.now_ms = now_ms
        self.times_used = 0
        self.queueing = [False] * CONNECTIONS
        self.short = False
        self.short_allowed = True
        self.makers = [(getattr(self, name), weight) for name, weight in WEIGHTS.items()]

    def operations(self, count):
        """Returns `count` operations or a few more."""
        makers, weights = zip(*self.makers)
        out = []
        while len(out) < count:
            connection = self.random.randrange(CONNECTIONS)
            for _ in range(self.random.randint(1, BATCH_MAX)):
                maker = self.random.choices(makers, weights)[0]
                self.emit(out, connection, maker)
        return out

    def emit(self, out, connection, maker):
        self.short = False
        # Inside a transaction nobody knows when a short life begins.
        self.short_allowed = not self.queueing[connection]
        args = maker()
        if args is None:
            return
        if args[0] in (b"SCAN", b"HSCAN"):
            if not self.queueing[connection]:
                out.append(Operation("scan", connection, args))
            return
        if not self.short and self.random.random() < 0.03:
            args = self.malformed(args)
        if args[0] == b"MULTI":
            self.queueing[connection] = True
        elif args in ([b"EXEC"], [b"DISCARD"]):
            self.queueing[connection] = False
        out.append(Operation("command", connection, args))
        if args[0] in (b"HGETALL", b"HKEYS", b"HVALS") and len(args) > 1:
            # Tells the comparison whether Redis defines the order.
            out.append(Operation("command", connection, [b"OBJECT", b"ENCODING", args[1]]))
        if self.short:
            out.append(Operation("pause", connection, [b"%d" % PAUSE_MS]))

    def malformed(self, args):
        args = list(args)
        if args[0] == b"COMMAND":
            return args
        choice = self.random.randrange(4)
        if choice == 0 and len(args) > 1:
            args.pop(self.random.randrange(1, len(args)))
        elif choice == 1:
            args.insert(self.random.randint(1, len(args)), self.pick(GARBAGE))
        elif choice == 2:
            args = args[:1]
        elif len(args) > 2:
            args[self.random.randrange(2, len(args))] = self.pick(GARBAGE)
        return args

    # --- pieces -------------------------------------------------------------------------------------

    def pick(self, pool):
        return self.random.choice(pool)

    def chance(self, probability):
        return self.random.random() < probability

    def key(self):
        return self.pick(KEYS)

    def string_key(self):
        return self.pick(STRING_KEYS if self.chance(0.85) else KEYS)

    def hash_key(self):
        return self.pick(HASH_KEYS if self.chance(0.9) else KEYS)

    def hash_value(self):
        return self.pick(VALUES[:20]) if self.chance(0.93) else self.value()

    def keys(self, most=4):
        return [self.key() for _ in range(self.random.randint(1, most))]

    def string_keys(self, most=4):
        return [self.string_key() for _ in range(self.random.randint(1, most))]

    def value(self):
        return self.pick(BIG_VALUES) if self.chance(0.03) else self.pick(VALUES)

    def case(self, word):
        return word.lower() if self.chance(0.1) else word

    def seconds(self):
        """A relative time, never twice the same, so that GT and LT do not depend on the clock."""
        self.times_used += 1
        return 100000 + 1000 * self.times_used

    def expiry_value(self, unit):
        """A time for EX, PX, EXAT or PXAT."""
        if self.chance(0.04):
            if not unit.endswith(b"AT"):
                return self.pick([b"0", b"-1", b"abc"])
            if self.short_allowed:
                self.short = True
                return b"1"
        if unit == b"PX" and self.short_allowed and self.chance(0.05):
            self.short = True
            return b"%d" % SHORT_MS
        seconds = self.seconds()
        if unit.endswith(b"AT"):
            seconds += self.now_ms // 1000 + 500
        return b"%d" % (seconds * 1000 if unit.startswith(b"P") else seconds)

    def index(self):
        return b"%d" % self.random.choice([0, 1, 2, 3, 5, 10, 44, 100, -1, -2, -5, -100])

    def bit(self):
        return b"%d" % (self.random.randrange(200) if self.chance(0.9)
                        else self.random.randrange(200000))

    # --- strings ------------------------------------------------------------------------------------

    def set(self):
        args = [self.case(b"SET"), self.string_key(), self.value()]
        options = []
        if self.chance(0.3):
            options.append([self.pick([b"NX", b"XX"])])
        if self.chance(0.2):
            options.append([b"GET"])
        if self.chance(0.25):
            unit = self.pick([b"EX", b"PX", b"EXAT", b"PXAT"])
            options.append([unit, self.expiry_value(unit)])
        elif self.chance(0.1):
            options.append([b"KEEPTTL"])
        self.random.shuffle(options)
        return args + [self.case(word) if word.isalpha() else word
                       for option in options for word in option]

    def get_like(self):
        return [self.pick([b"GET", b"GET", b"STRLEN", b"GETDEL"]), self.string_key()]

    def getex(self):
        args = [b"GETEX", self.string_key()]
        if self.chance(0.5):
            unit = self.pick([b"EX", b"PX", b"EXAT", b"PXAT", b"PERSIST"])
            args.append(unit)
            if unit != b"PERSIST":
                args.append(self.expiry_value(unit))
        return args

    def set_like(self):
        return [self.pick([b"SETNX", b"GETSET", b"APPEND"]), self.string_key(), self.value()]

    def setex(self):
        name = self.pick([b"SETEX", b"PSETEX"])
        unit = b"EX" if name == b"SETEX" else b"PX"
        return [name, self.string_key(), self.expiry_value(unit), self.value()]

    def increment(self):
        name = self.pick([b"INCR", b"DECR", b"INCRBY", b"DECRBY", b"INCRBYFLOAT"])
        if name in (b"INCR", b"DECR"):
            return [name, self.string_key()]
        return [name, self.string_key(), self.pick(FLOATS if name == b"INCRBYFLOAT" else INTEGERS)]

    def mset(self):
        args = [self.pick([b"MSET", b"MSETNX"])]
        for key in self.string_keys(5):
            args += [key, self.value()]
        return args

    def mget(self):
        return [b"MGET"] + self.string_keys(6)

    def range(self):
        return [self.pick([b"GETRANGE", b"SUBSTR"]), self.string_key(), self.index(), self.index()]

    def setrange(self):
        offset = self.random.randrange(60) if self.chance(0.95) else self.random.randrange(30000)
        return [b"SETRANGE", self.string_key(), b"%d" % offset, self.value()]

    def lcs(self):
        args = [b"LCS", self.string_key(), self.string_key()]
        if self.chance(0.7):
            # Reply sizes and run times stay small, since values do on the whole.
            args += self.pick([[b"LEN"], [b"IDX"], [b"IDX", b"MINMATCHLEN", b"2"],
                               [b"IDX", b"WITHMATCHLEN"]])
        return args if self.chance(0.3) else None

    # --- bitmaps ------------------------------------------------------------------------------------

    def setbit(self):
        return [b"SETBIT", self.string_key(), self.bit(), self.pick([b"0", b"1"])]

    def getbit(self):
        return [b"GETBIT", self.string_key(), self.bit()]

    def bitcount(self):
        args = [b"BITCOUNT", self.string_key()]
        if self.chance(0.6):
            args += [self.index(), self.index()]
            if self.chance(0.5):
                args.append(self.pick([b"BIT", b"BYTE"]))
        return args

    def bitpos(self):
        args = [b"BITPOS", self.string_key(), self.pick([b"0", b"1"])]
        if self.chance(0.6):
            args.append(self.index())
            if self.chance(0.6):
                args.append(self.index())
                if self.chance(0.5):
                    args.append(self.pick([b"BIT", b"BYTE"]))
        return args

    def bitop(self):
        name = self.pick([b"AND", b"OR", b"XOR", b"NOT"])
        return [b"BITOP", name, self.string_key()] + self.string_keys(1 if name == b"NOT" else 4)

    def bitfield(self):
        readonly = self.chance(0.2)
        args = [b"BITFIELD_RO" if readonly else b"BITFIELD", self.string_key()]
        for _ in range(self.random.randint(1, 4)):
            offset = self.bit() if self.chance(0.5) else b"#%d" % self.random.randrange(20)
            place = [self.pick(BIT_TYPES), offset]
            choice = 0 if readonly else self.random.randrange(4)
            if choice == 0:
                args += [b"GET"] + place
            elif choice == 1:
                args += [b"SET"] + place + [self.pick(INTEGERS)]
            elif choice == 2:
                args += [b"INCRBY"] + place + [self.pick(INTEGERS)]
            else:
                args += [b"OVERFLOW", self.pick([b"WRAP", b"SAT", b"FAIL"])]
        return args

    # --- hashes -------------------------------------------------------------------------------------

    def hset(self):
        args = [self.pick([b"HSET", b"HSET", b"HMSET"]), self.hash_key()]
        for _ in range(self.random.randint(1, 4)):
            args += [self.pick(FIELDS), self.hash_value()]
        return args

    def hsetnx(self):
        return [b"HSETNX", self.hash_key(), self.pick(FIELDS), self.hash_value()]

    def hfield(self):
        return [self.pick([b"HGET", b"HSTRLEN", b"HEXISTS"]), self.hash_key(), self.pick(FIELDS)]

    def hfields(self):
        return [self.pick([b"HMGET", b"HDEL"]), self.hash_key()] + [
            self.pick(FIELDS) for _ in range(self.random.randint(1, 5))]

    def hall(self):
        return [self.pick([b"HLEN", b"HGETALL", b"HKEYS", b"HVALS"]), self.hash_key()]

    def hincrement(self):
        name = self.pick([b"HINCRBY", b"HINCRBYFLOAT"])
        return [name, self.hash_key(), self.pick(FIELDS),
                self.pick(FLOATS if name == b"HINCRBYFLOAT" else INTEGERS)]

    def hrandfield(self):
        args = [b"HRANDFIELD", self.hash_key()]
        if self.chance(0.7):
            args.append(self.pick([b"0", b"1", b"3", b"100", b"-1", b"-5"]))
            if self.chance(0.5):
                args.append(b"WITHVALUES")
        return args

    def hscan(self):
        args = [b"HSCAN", self.hash_key(), b"0"]
        if self.chance(0.5):
            args += [b"COUNT", b"%d" % self.random.randint(1, 20)]
        if self.chance(0.4):
            args += [b"MATCH", self.pick(PATTERNS)]
        return args

    # --- keys ---------------------------------------------------------------------------------------

    def delete(self):
        return [self.pick([b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"])] + self.keys()

    def look(self):
        name = self.pick([b"TYPE", b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME", b"PERSIST"])
        return [name, self.key()]

    def object(self):
        return [b"OBJECT", self.pick([b"ENCODING", b"ENCODING", b"IDLETIME"]), self.key()]

    def expire(self):
        name = self.pick([b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"])
        unit = {b"EXPIRE": b"EX", b"PEXPIRE": b"PX", b"EXPIREAT": b"EXAT", b"PEXPIREAT": b"PXAT"}[name]
        args = [name, self.key(), self.expiry_value(unit)]
        if self.chance(0.4):
            args.append(self.pick([b"NX", b"XX", b"GT", b"LT"]))
            if self.chance(0.2):
                args.append(self.pick([b"NX", b"XX", b"GT", b"LT"]))
        return args

    def rename(self):
        return [self.pick([b"RENAME", b"RENAMENX"]), self.key(), self.key()]

    def copy(self):
        args = [b"COPY", self.key(), self.key()]
        if self.chance(0.4):
            args += [b"DB", b"%d" % self.random.randrange(DATABASES)]
        if self.chance(0.5):
            args.append(b"REPLACE")
        return args

    def move(self):
        return [b"MOVE", self.key(), b"%d" % self.random.randrange(DATABASES)]

    def space(self):
        return self.pick([[b"DBSIZE"], [b"RANDOMKEY"], [b"KEYS", self.pick(PATTERNS)]])

    def scan(self):
        args = [b"SCAN", b"0"]
        if self.chance(0.5):
            args += [b"COUNT", b"%d" % self.random.randint(1, 30)]
        if self.chance(0.4):
            args += [b"MATCH", self.pick(PATTERNS)]
        if self.chance(0.3):
            args += [b"TYPE", self.pick([b"string", b"hash", b"list"])]
        return args

    def select(self):
        return [b"SELECT", b"%d" % self.random.randrange(DATABASES)]

    def swapdb(self):
        return [b"SWAPDB", b"%d" % self.random.randrange(DATABASES),
                b"%d" % self.random.randrange(DATABASES)]

    def flush(self):
        return self.pick([[b"FLUSHDB"], [b"FLUSHALL"], [b"FLUSHDB", b"ASYNC"]])

    # --- transactions and the rest ------------------------------------------------------------------

    def multi(self):
        return [b"MULTI"]

    def exec(self):
        return [b"EXEC"]

    def discard(self):
        return [self.pick([b"DISCARD", b"UNWATCH"])]

    def watch(self):
        return [b"WATCH"] + self.keys(3)

    def other(self):
        return self.pick([[b"PING"], [b"ECHO", self.value()], [b"NOSUCH", self.key()],
                          [b"CLIENT", b"GETNAME"], [b"COMMAND", b"GETKEYS", b"MSET", b"a", b"b", b"c", b"d"],
                          [b"PUBLISH", b"ch", self.value()]])


WEIGHTS = {
    "set": 12, "get_like": 8, "getex": 3, "set_like": 6, "setex": 2, "increment": 8, "mset": 4, "mget": 4,
    "range": 4, "setrange": 3, "lcs": 1, "setbit": 4, "getbit": 3, "bitcount": 3, "bitpos": 3, "bitop": 3,
    "bitfield": 4, "hset": 16, "hsetnx": 3, "hfield": 6, "hfields": 6, "hall": 8, "hincrement": 4,
    "hrandfield": 3, "hscan": 2, "delete": 6, "look": 8, "object": 5, "expire": 6, "rename": 3, "copy": 4,
    "move": 2, "space": 3, "scan": 2, "select": 2, "swapdb": 0.5, "flush": 0.15, "multi": 3, "exec": 4,
    "discard": 1, "watch": 2, "other": 2,
}
