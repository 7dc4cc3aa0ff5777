#!/usr/bin/env python3
"""How long writes are refused when a primary of a cluster is killed, and when it is handed over.

    tests/benchmark/failover.py build/tarn-server [--rounds 10] [--options "--cluster-node-timeout 2000"]

Six nodes with default settings: three primaries, a replica each. A prober writes to one shard's key
on every node every few milliseconds, over connections that stay open, and makes them anew when they
end. What is printed is the longest time between two writes that were acknowledged. The end is an
error if a target was missed.
"""

import argparse
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from server import free_port

NODES = 6
KEY = "{06S}probe"  # of slot 0, the first node's
PROBE_SECONDS = 0.002
READY_SECONDS_MAX = 30
SETTLE_SECONDS = 1.0
WATCH_SECONDS = 3.0

KILL_TARGETS_MS = {"median": 1000, "max": 1500}
HAND_OVER_TARGETS_MS = {"median": 50, "max": 50}


def encode(*words):
    return (f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)).encode()


class Node:
    def __init__(self, binary, options):
        self.binary = binary
        self.options = options
        self.port = free_port()
        while self.port + 10000 > 65535:
            self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="tarn-failover-")
        self.process = None
        self.start()

    def start(self):
        with open(os.path.join(self.folder, "log.txt"), "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--port", str(self.port), "--dir", self.folder,
                 "--cluster-enabled", "yes", *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("a node does not start", lambda: self.try_ask("PING") == "PONG")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *words):
        """The text of a status, a bulk or an error reply; of an array, all of it as it came."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(encode(*words))
            stream = connection.makefile("rb")
            line = stream.readline()
            if line[:1] == b"$":
                return stream.read(int(line[1:])).decode()
            return line[1:].decode().strip()

    def try_ask(self, *words):
        try:
            return self.ask(*words)
        except OSError:
            return ""

    def fields(self):
        lines = self.try_ask("INFO", "replication").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def is_primary(self):
        return self.fields().get("role") == "master"

    def is_synced(self):
        return self.fields().get("master_link_status") == "up"


def wait_until(what, condition):
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(what)
        time.sleep(0.02)


class Probe:
    """One node, written to without waiting: at most one write is under way."""

    def __init__(self, node):
        self.node = node
        self.socket = None
        self.is_asked = False

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None
        self.is_asked = False

    def send(self):
        if self.is_asked:
            return
        try:
            if self.socket is None:
                self.socket = socket.create_connection(("127.0.0.1", self.node.port), 0.05)
            self.socket.sendall(encode("SET", KEY, "1"))
            self.is_asked = True
        except OSError:
            self.close()

    def receive(self):
        """The first byte of the reply, or None."""
        try:
            reply = self.socket.recv(4096)
        except OSError:
            reply = b""
        if not reply:
            self.close()
            return None
        self.is_asked = False
        return reply


def longest_gap(nodes, event):
    """Runs event() while the nodes are probed. Answers milliseconds, and the errors that were seen."""
    probes = [Probe(node) for node in nodes]
    errors = set()
    gap = 0.0
    last = None
    began = time.monotonic()
    is_done = False
    while time.monotonic() < began + SETTLE_SECONDS + WATCH_SECONDS:
        if not is_done and time.monotonic() > began + SETTLE_SECONDS:
            event()
            is_done = True
        for probe in probes:
            probe.send()
        waiting = [probe.socket for probe in probes if probe.is_asked]
        ready = select.select(waiting, [], [], PROBE_SECONDS)[0] if waiting else []
        for probe in probes:
            reply = probe.receive() if probe.socket in ready else None
            if reply is None:
                continue
            if reply[:1] == b"+":
                now = time.monotonic()
                if last is not None:
                    gap = max(gap, now - last)
                last = now
            else:
                errors.add(reply.split()[0].decode())
        time.sleep(PROBE_SECONDS / 4)
    for probe in probes:
        probe.close()
    if last is None or time.monotonic() - last > WATCH_SECONDS / 2:
        raise RuntimeError("nobody takes writes any more")
    return gap * 1000, errors


def create(nodes):
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run(["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1",
                    "--cluster-yes"], check=True, stdout=subprocess.DEVNULL)


def shard_of(nodes):
    """Its primary and its replica, both well."""
    owner = nodes[0].ask("CLUSTER", "MYSHARDID") if nodes[0].process.poll() is None else ""
    shard = [node for node in nodes if node.try_ask("CLUSTER", "MYSHARDID") == owner]
    primaries = [node for node in shard if node.is_primary()]
    replicas = [node for node in shard if not node.is_primary() and node.is_synced()]
    return (primaries[0], replicas[0]) if len(primaries) == 1 and replicas else None


def settled_shard(nodes):
    wait_until("the shard does not settle", lambda: shard_of(nodes) is not None)
    time.sleep(SETTLE_SECONDS)
    return shard_of(nodes)


def print_row(name, gaps, targets, judge):
    figures = {"median": statistics.median(gaps), "max": max(gaps)}
    parts = [f"{word} {figure:7.1f} (target {targets[word]}) {judge(f'{name} {word}', figure, targets[word])}"
             for word, figure in figures.items()]
    print(f"{name:12} rounds {len(gaps):3}  {'  '.join(parts)}", flush=True)


def kill_rounds(nodes, rounds, judge):
    gaps = []
    for _ in range(rounds):
        primary, _ = settled_shard(nodes)
        gap, _ = longest_gap(nodes, primary.kill)
        gaps.append(gap)
        primary.start()
    print_row("kill -9", gaps, KILL_TARGETS_MS, judge)


def hand_over_rounds(nodes, rounds, judge):
    gaps = []
    seen = set()
    for _ in range(rounds):
        _, replica = settled_shard(nodes)
        pid = os.fork()
        if pid == 0:
            time.sleep(SETTLE_SECONDS)
            os._exit(0 if replica.ask("CLUSTER", "FAILOVER") == "OK" else 1)
        gap, errors = longest_gap(nodes, lambda: None)
        if os.waitpid(pid, 0)[1] != 0:
            raise RuntimeError("CLUSTER FAILOVER was refused")
        gaps.append(gap)
        seen |= errors
    print_row("hand-over", gaps, HAND_OVER_TARGETS_MS, judge)
    print(f"{'':12} errors seen: {' '.join(sorted(seen))}")


def run(binary, rounds, options, judge):
    """judge(name, figure, target) answers what stands behind a figure."""
    nodes = []
    try:
        for _ in range(NODES):
            nodes.append(Node(os.path.abspath(binary), options))
        create(nodes)
        kill_rounds(nodes, rounds, judge)
        hand_over_rounds(nodes, rounds, judge)
    finally:
        for node in nodes:
            node.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--options", default="", help="for each node")
    arguments = parser.parse_args()
    missed = []

    def judge(name, figure, target):
        if figure < target:
            return "met"
        missed.append(name)
        return "MISSED"

    run(arguments.binary, arguments.rounds, arguments.options.split(), judge)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
