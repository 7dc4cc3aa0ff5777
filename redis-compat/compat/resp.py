"""RESP2 and RESP3 framing that keeps the raw bytes.

A reply is cut out of the stream as a Frame: its exact bytes, its kind (the first byte), and either its
payload or its children. Nothing is decoded, so that two replies can be compared byte for byte.
"""

import socket
import time

AGGREGATES = {b"*": 1, b"~": 1, b">": 1, b"%": 2, b"|": 2}
BULKS = (b"$", b"=", b"!")
LINES = (b"+", b"-", b":", b"_", b"#", b",", b"(")


class Incomplete(Exception):
    """More bytes are needed."""


class FramingError(Exception):
    """The bytes are no RESP."""


class Closed(Exception):
    """The server closed the connection; `rest` holds what came before."""

    def __init__(self, rest=b""):
        super().__init__("connection closed")
        self.rest = rest


class Timeout(Exception):
    """No whole reply within the time; `rest` holds what came."""

    def __init__(self, rest=b""):
        super().__init__("no reply in time")
        self.rest = rest


class Frame:
    """One reply: kind, payload (scalars) or children (aggregates), and the raw bytes."""

    __slots__ = ("kind", "payload", "children", "raw")

    def __init__(self, kind, payload, children, raw):
        self.kind = kind
        self.payload = payload
        self.children = children
        self.raw = raw

    @property
    def is_error(self):
        return self.kind in (b"-", b"!")

    @property
    def is_null(self):
        return self.kind == b"_" or self.raw in (b"$-1\r\n", b"*-1\r\n")


def frame_parse(buffer, position):
    """Returns (frame, position after it); raises Incomplete."""
    end = buffer.find(b"\r\n", position)
    if end < 0:
        raise Incomplete
    kind = bytes(buffer[position:position + 1])
    head = bytes(buffer[position + 1:end])
    after = end + 2
    if kind in LINES:
        return Frame(kind, head, None, bytes(buffer[position:after])), after
    try:
        length = int(head)
    except ValueError as error:
        raise FramingError(bytes(buffer[position:position + 80])) from error
    if kind in BULKS:
        if length < 0:
            return Frame(kind, None, None, bytes(buffer[position:after])), after
        stop = after + length + 2
        if len(buffer) < stop:
            raise Incomplete
        if buffer[stop - 2:stop] != b"\r\n":
            raise FramingError(bytes(buffer[position:position + 80]))
        return Frame(kind, bytes(buffer[after:stop - 2]), None, bytes(buffer[position:stop])), stop
    if kind in AGGREGATES:
        children = []
        for _ in range(max(length, 0) * AGGREGATES[kind]):
            child, after = frame_parse(buffer, after)
            children.append(child)
        if kind == b"|":
            # An attribute belongs to the reply that follows it.
            child, after = frame_parse(buffer, after)
            children.append(child)
        return Frame(kind, None, children, bytes(buffer[position:after])), after
    raise FramingError(bytes(buffer[position:position + 80]))


def command_encode(args):
    """The bytes of one command, as a client library sends them."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


class Connection:
    """A raw socket to one server, with the replies cut into frames."""

    def __init__(self, port, timeout_s=5.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.buffer = bytearray()
        self.local = "%s:%d" % self.socket.getsockname()
        self.remote = "%s:%d" % self.socket.getpeername()

    def send(self, data):
        """Sends all bytes. A peer that is gone shows at the next read."""
        try:
            self.socket.settimeout(self.timeout_s)
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def command(self, *args):
        """Sends one command of str or bytes and returns its reply."""
        self.send(command_encode([a if isinstance(a, bytes) else str(a).encode() for a in args]))
        return self.read()

    def read(self, timeout_s=None):
        """Returns the next frame; raises Closed, Timeout or FramingError."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        while True:
            if self.buffer:
                try:
                    frame, used = frame_parse(self.buffer, 0)
                    del self.buffer[:used]
                    return frame
                except Incomplete:
                    pass
            self.fill(deadline)

    def fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise Timeout(bytes(self.buffer))
        self.socket.settimeout(left)
        try:
            chunk = self.socket.recv(1 << 18)
        except (TimeoutError, socket.timeout):
            raise Timeout(bytes(self.buffer)) from None
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            raise Closed(bytes(self.buffer))
        self.buffer += chunk

    def read_all_for(self, seconds):
        """Everything that arrives within the time, raw."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.fill(deadline)
        except (Timeout, Closed):
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def read_to_end(self, timeout_s=None):
        """All bytes until the server closes; raises Timeout if it does not."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        try:
            while True:
                self.fill(deadline)
        except Closed as closed:
            self.buffer.clear()
            return closed.rest

    def close(self):
        self.socket.close()
