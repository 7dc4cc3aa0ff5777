"""Servers under measurement: start, ask, read from /proc, stop. Nothing outlives stop()."""

import os
import shutil
import socket
import subprocess
import tempfile
import time

START_SECONDS_MAX = 10
STOP_SECONDS_MAX = 20
LOAD_SECONDS_MAX = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One process that listens on a loopback port. `cores` is the set of cores it may run on."""

    def __init__(self, command, port, cores, directory=None, keeps_directory=False):
        self.port = port
        self.directory = directory
        self.keeps_directory = keeps_directory
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self):
        return self.process.pid

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")
        raise RuntimeError(f"{self.process.args[0]} does not answer:\n{text[-2000:]}")

    def wait_until_loaded(self):
        """A server that loads listens before it answers."""
        deadline = time.monotonic() + LOAD_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                if self.ask("PING") == "PONG":
                    return
            except RuntimeError as error:
                if "LOADING" not in str(error):
                    raise
            time.sleep(0.005)
        raise RuntimeError(f"{self.process.args[0]} does not end loading")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()
        if self.directory and not self.keeps_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def ask(self, *words):
        """Sends one command and returns the text of a simple or bulk reply."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(request.encode())
            stream = connection.makefile("rb")
            line = stream.readline()
            if line[:1] == b"$" and line[1:2] != b"-":
                return stream.read(int(line[1:])).decode()
            if line[:1] == b"-":
                raise RuntimeError(f"{' '.join(words)}: {line.decode().strip()}")
            return line[1:].decode().strip()

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        """What all its threads have used so far."""
        with open(f"/proc/{self.pid}/stat") as stat:
            user, system = stat.read().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def store_start(binary, cores, workers=1, extra=(), directory=None):
    """A Tarn or a redis-server (told apart by the file's name); unless `extra` says otherwise, with
    nothing on disk. A directory that is given outlives the server."""
    port = free_port()
    keeps_directory = directory is not None
    directory = directory or tempfile.mkdtemp(prefix="tarn-benchmark-")
    command = [binary, "--port", str(port), "--dir", directory, "--save", "",
               "--appendonly", "no", "--protected-mode", "no"]
    if "redis" in os.path.basename(binary):
        command += ["--io-threads", "1"]
    else:
        command += ["--workers", str(workers)]
    return Server(command + list(extra), port, cores, directory, keeps_directory)


def bare_start(binary, cores, arguments):
    port = free_port()
    return Server([binary, "--port", str(port)] + arguments, port, cores)


def worker_fields(server, prefix, suffix):
    """Per worker the fields of INFO workers between prefix and suffix: {"worker0": {name: number}}.

    The section has lines `worker0:tick_cpu_p50_us=1.5,tick_cpu_p99_us=...`. Returns {} if the
    server has no such fields.
    """
    figures = {}
    for line in server.ask("INFO", "workers").splitlines():
        worker, _, fields = line.partition(":")
        values = {}
        for field in fields.split(","):
            name, _, value = field.partition("=")
            if name.startswith(prefix) and name.endswith(suffix):
                values[name[len(prefix):-len(suffix)]] = float(value)
        if worker.startswith("worker") and values:
            figures[worker] = values
    return figures


def tick_figures(server):
    """The sampled CPU time of each worker's ticks: {"p999": microseconds, ...}."""
    return worker_fields(server, "tick_cpu_", "_us")


def tick_work(server):
    """The most that each worker did in one tick since RESETSTAT: {"requests": 512, ...}."""
    return {worker: {name: int(value) for name, value in values.items()}
            for worker, values in worker_fields(server, "tick_", "_max").items()}
