"""Starts and stops a server (redis-server or Tarn) in a directory of its own on a free port."""

import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from .resp import Closed, Connection, FramingError, Timeout

REDIS_SERVER = "/usr/bin/redis-server"
START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class StartError(Exception):
    """The server did not come up; the text holds the end of its log."""


# Below those that the system gives to clients, 32768 and more, as is what a node of a cluster speaks to
# others on, 10000 above: parts that run at once must not take each other's.
PORTS = (11000, 22000)
BUS_OFFSET = 10000


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


# Not the module's own, whose state the processes that run parts have in common.
RANDOM = random.SystemRandom()


def port_pick():
    while True:
        port = RANDOM.randrange(*PORTS)
        if is_free(port) and is_free(port + BUS_OFFSET):
            return port


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """One running server. `options` is what follows the port, directory and log defaults."""

    def __init__(self, program, options=(), label="redis", workers=None, config=None):
        """`config` is the path of a config file that comes before all options."""
        self.program = program
        self.label = label
        self.port = port_pick()
        self.directory = tempfile.mkdtemp(prefix="redis-compat-")
        self.log_path = os.path.join(self.directory, "server.log")
        self.arguments = [program] + ([config] if config else [])
        self.arguments += ["--port", str(self.port), "--dir", self.directory, "--save", "",
                           "--appendonly", "no", "--enable-debug-command", "yes"]
        if workers is not None:
            self.arguments += ["--workers", str(workers)]
        self.arguments += list(options)
        self.process = None
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.directory, preexec_fn=die_with_parent)
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                connection = Connection(self.port, 1.0)
                is_ready = not connection.command("PING").raw.startswith(b"-LOADING")
                # Another part's server may have been quicker on this port.
                pid = re.search(rb"\r\nprocess_id:(\d+)\r\n", connection.command("INFO", "server").raw)
                connection.close()
                if is_ready and (pid is None or int(pid[1]) == self.process.pid):
                    return
                time.sleep(0.005)
            except (OSError, Timeout, Closed, FramingError):
                time.sleep(0.005)
        tail = self.log_tail()
        self.kill()
        raise StartError("%s did not start:\n%s\n%s" % (self.label, " ".join(self.arguments), tail))

    def alive(self):
        return self.process.poll() is None

    def configure(self, name, value):
        connection = Connection(self.port)
        connection.command("CONFIG", "SET", name, value)
        connection.close()

    def log_tail(self, lines=30):
        try:
            with open(self.log_path, "rb") as log:
                return b"\n".join(log.read().splitlines()[-lines:]).decode("utf-8", "replace")
        except OSError:
            return ""

    def stop(self):
        """Ends it as an init system would and returns its exit status."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            status = None
        if status == 0:
            self.remove()
        return status

    def kill(self):
        """Ends it at once; for servers of which nothing is asked any more."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.remove()

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class Pair:
    """The reference and the server under test, side by side."""

    def __init__(self, tarn_program, workers, options=()):
        self.reference = Server(REDIS_SERVER, options, "redis-server")
        try:
            if tarn_program is None:
                self.subject = Server(REDIS_SERVER, options, "redis-server (self-test)")
            else:
                self.subject = Server(tarn_program, options, "tarn-server", workers)
        except StartError:
            self.reference.kill()
            raise

    @property
    def sides(self):
        return (self.reference, self.subject)

    def alive(self):
        return self.reference.alive() and self.subject.alive()

    def stop(self):
        """Returns a text about an unclean end of the subject, or None."""
        self.reference.kill()
        log = self.subject.log_tail()
        status = self.subject.stop()
        if status == 0:
            return None
        log = self.subject.log_tail() or log
        self.subject.kill()
        return "%s ended with status %s on SIGTERM\n%s" % (self.subject.label, status, log)
