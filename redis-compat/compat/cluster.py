"""Smoke runs on a cluster of several nodes: `redis-cli --cluster` in every mode, cluster clients with
slots on the move and with nodes that fail, and utils/run --cluster."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from .resp import Closed, Connection, FramingError, Timeout
from .server import REDIS_SERVER, Server, StartError
from .smoke import TOP, Skipped, SmokeError, expect, npm_modules, tool_run

SLOTS = 16384
SETTLE_SECONDS_MAX = 30
KEYS = 300
OPEN_SLOT = 77


def wait_until(what, condition):
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise SmokeError("this did not happen within %d s: %s" % (SETTLE_SECONDS_MAX, what))


def cluster_cli(port, commands):
    """What redis-cli -c prints for these lines, but for where it goes."""
    output = tool_run(["redis-cli", "-c", "-p", str(port)], commands.encode())
    return re.sub(r"(?m)^-> Redirected to slot .*\n", "", output)


class Node:
    """One node, with a config file, since `--cluster set-timeout` has it rewritten."""

    def __init__(self, program, workers=None, options=""):
        self.folder = tempfile.mkdtemp(prefix="redis-compat-")
        config = os.path.join(self.folder, "node.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("cluster-enabled yes\ncluster-node-timeout 5000\n" + options)
        try:
            self.server = Server(program, (), "node", workers, config)
        except StartError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise SmokeError(str(error)) from None
        self.port = self.server.port
        self.address = "127.0.0.1:%d" % self.port
        self.id = self.ask("CLUSTER", "MYID").decode()

    def ask(self, *words):
        connection = Connection(self.port)
        try:
            return connection.command(*[str(word) for word in words]).payload
        except (OSError, Timeout, Closed, FramingError) as error:
            raise SmokeError("%s to %s: %s\n%s" % (
                " ".join(map(str, words)), self.address, error, self.server.log_tail())) from None
        finally:
            connection.close()

    def nodes(self):
        """id -> (flags, primary's id, slots) as this node sees the cluster."""
        found = {}
        for line in self.ask("CLUSTER", "NODES").decode().splitlines():
            words = line.split()
            slots = 0
            for word in words[8:]:
                first, _, last = word.partition("-")
                slots += 0 if word.startswith("[") else int(last or first) - int(first) + 1
            found[words[0]] = (words[2].split(","), words[3], slots)
        return found

    def slots(self):
        return self.nodes()[self.id][2]

    def signal(self, number):
        self.server.process.send_signal(number)

    def restart(self):
        """A process that has ended, on the same port and with what its folder holds."""
        self.server.process.wait()
        self.server.start()

    def kill(self):
        self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Cluster:
    """Nodes that `redis-cli --cluster create` has joined: three primaries, with replicas or not."""

    def __init__(self, program, replicas, workers=None, options=""):
        self.program = program
        self.workers = workers
        self.options = options
        self.nodes = []
        try:
            for _ in range(3 * (1 + replicas)):
                self.start_node()
            output = self.tool("create", *[node.address for node in self.nodes],
                               "--cluster-replicas", replicas, "--cluster-yes")
            expect(output, "All nodes agree about slots configuration", "All 16384 slots covered")
            self.settle()
        except BaseException:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def start_node(self):
        node = Node(self.program, self.workers, self.options)
        self.nodes.append(node)
        return node

    def kill(self):
        for node in self.nodes:
            node.kill()

    @property
    def first(self):
        return self.nodes[0]

    def tool(self, command, *words, stdin=None):
        """A command of redis-cli --cluster, which ends well."""
        return tool_run(["redis-cli", "--cluster", command] + [str(word) for word in words], stdin)

    def settle(self):
        """All nodes say that the cluster is well, and see it alike."""
        def is_settled():
            views = [sorted((name, primary, slots) for name, (_, primary, slots) in
                            node.nodes().items()) for node in self.nodes]
            states = [b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes]
            return all(states) and all(view == views[0] for view in views)
        wait_until("all nodes see the same cluster, and that it is well", is_settled)

    def check(self):
        self.settle()
        expect(self.tool("check", self.first.address), "All nodes agree about slots configuration",
               "All 16384 slots covered")

    def fill(self):
        commands = "".join("SET key:%d value:%d\n" % (i, i) for i in range(KEYS))
        commands += "".join("HSET hash:%d field %d\n" % (i, i) for i in range(KEYS))
        cluster_cli(self.first.port, commands)
        self.verify()

    def verify(self):
        commands = "".join("GET key:%d\nHGET hash:%d field\n" % (i, i) for i in range(KEYS))
        output = cluster_cli(self.first.port, commands)
        wanted = "".join("value:%d\n%d\n" % (i, i) for i in range(KEYS))
        if output != wanted:
            raise SmokeError("keys are missing or wrong: %d lines of %d, the first: %s" % (
                len(output.splitlines()), 2 * KEYS, output[:200]))


# --- redis-cli --cluster ----------------------------------------------------------------------------

def moved_slots(cluster):
    """reshard and rebalance"""
    first, second, third = cluster.nodes[:3]
    before = second.slots()
    cluster.tool("reshard", first.address, "--cluster-from", first.id, "--cluster-to", second.id,
                 "--cluster-slots", 40, "--cluster-yes", "--cluster-pipeline", 7)
    cluster.settle()
    if second.slots() != before + 40:
        raise SmokeError("reshard: %d slots became %d" % (before, second.slots()))
    cluster.verify()
    cluster.tool("rebalance", first.address, "--cluster-threshold", 1, "--cluster-weight",
                 "%s=1.01" % third.id)
    cluster.settle()
    if third.slots() <= max(first.slots(), second.slots()):
        raise SmokeError("rebalance: slots are %s" % [n.slots() for n in cluster.nodes[:3]])
    cluster.check()
    cluster.verify()


def joined_and_left(cluster):
    """add-node and del-node"""
    first = cluster.first
    primary = cluster.start_node()
    cluster.tool("add-node", primary.address, first.address)
    cluster.settle()
    cluster.tool("reshard", first.address, "--cluster-from", "all", "--cluster-to", primary.id,
                 "--cluster-slots", 30, "--cluster-yes")
    cluster.settle()
    replica = cluster.start_node()
    cluster.tool("add-node", replica.address, first.address, "--cluster-slave",
                 "--cluster-master-id", primary.id)
    wait_until("the new node is a replica", lambda: first.nodes()[replica.id][1] == primary.id)
    cluster.check()
    cluster.verify()
    cluster.tool("del-node", first.address, replica.id)
    cluster.nodes.remove(replica)
    replica.kill()
    cluster.tool("reshard", first.address, "--cluster-from", primary.id, "--cluster-to", first.id,
                 "--cluster-slots", 30, "--cluster-yes")
    cluster.settle()
    cluster.tool("del-node", first.address, primary.id)
    cluster.nodes.remove(primary)
    primary.kill()
    cluster.check()
    cluster.verify()
    if primary.id in first.nodes() or replica.id in first.nodes():
        raise SmokeError("del-node: the nodes are still there")


def serves(node, slot):
    """The node itself says that the slot is its own, whether it is open or not."""
    for line in node.ask("CLUSTER", "NODES").decode().splitlines():
        if "myself" in line:
            return any(int(first) <= slot <= int(last or first) for first, _, last in (
                word.partition("-") for word in line.split()[8:] if not word.startswith("[")))
    return False


def owner_of(cluster, slot):
    """The only node that says so: in Redis, what a node says changes by gossip."""
    owners = []

    def is_found():
        owners[:] = [node for node in cluster.nodes if serves(node, slot)]
        return len(owners) == 1
    wait_until("slot %d has one owner" % slot, is_found)
    return owners[0]


def check_fails(cluster):
    done = subprocess.run(["redis-cli", "--cluster", "check", cluster.first.address], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 0:
        raise SmokeError("check finds nothing wrong:\n%s" % done.stdout.decode()[-500:])


def fixed(cluster):
    """fix: slots that are open, and slots that nobody serves"""
    owner = owner_of(cluster, OPEN_SLOT)
    other = cluster.nodes[1] if owner is cluster.nodes[0] else cluster.nodes[0]
    other.ask("CLUSTER", "SETSLOT", OPEN_SLOT, "IMPORTING", owner.id)
    owner.ask("CLUSTER", "SETSLOT", OPEN_SLOT, "MIGRATING", other.id)
    check_fails(cluster)
    expect(cluster.tool("fix", cluster.first.address), "Fixing open slot %d" % OPEN_SLOT)
    cluster.check()
    empty = next(slot for slot in range(SLOTS)
                 if serves(cluster.first, slot) and
                 cluster.first.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == b"0")
    for node in cluster.nodes:
        node.ask("CLUSTER", "DELSLOTS", empty)
    check_fails(cluster)
    cluster.tool("fix", cluster.first.address, stdin=b"yes\n")
    cluster.check()
    cluster.verify()


def told(cluster):
    """info, call and set-timeout"""
    expect(cluster.tool("info", cluster.first.address),
           "%d keys in 3 masters" % (2 * KEYS))
    answers = cluster.tool("call", cluster.first.address, "PING")
    if len(re.findall(": PONG", answers)) != len(cluster.nodes):
        raise SmokeError("call: %s" % answers)
    answers = cluster.tool("call", cluster.first.address, "PING", "--cluster-only-masters")
    if len(re.findall(": PONG", answers)) != 3:
        raise SmokeError("call --cluster-only-masters: %s" % answers)
    expect(cluster.tool("set-timeout", cluster.first.address, 4321),
           "New node timeout set. %d OK, 0 ERR" % len(cluster.nodes))
    for node in cluster.nodes:
        with open(os.path.join(node.folder, "node.conf"), encoding="utf-8") as file:
            expect(file.read(), "cluster-node-timeout 4321")


def imported(cluster):
    """import, from a redis-server that stands alone"""
    source = Server(REDIS_SERVER, (), "redis-server")
    try:
        address = "127.0.0.1:%d" % source.port
        commands = "".join("SET other:%d value:%d EX 1000\n" % (i, i) for i in range(KEYS))
        commands += "SET key:0 older\n"
        tool_run(["redis-cli", "-p", str(source.port)], commands.encode())
        cluster.tool("import", cluster.first.address, "--cluster-from", address, "--cluster-copy",
                     "--cluster-replace")
        expect(cluster_cli(cluster.first.port, "GET key:0\n"), "older")
        cluster_cli(cluster.first.port, "SET key:0 value:0\n")
        tool_run(["redis-cli", "-p", str(source.port), "DEL", "key:0"])
        cluster.tool("import", cluster.first.address, "--cluster-from", address, "--cluster-replace")
        expect(tool_run(["redis-cli", "-p", str(source.port), "DBSIZE"]), "^0\n")
    finally:
        source.kill()
    commands = "".join("GET other:%d\n" % i for i in range(KEYS))
    output = cluster_cli(cluster.first.port, commands)
    if output != "".join("value:%d\n" % i for i in range(KEYS)):
        raise SmokeError("import: keys are missing or wrong: %s" % output[:200])
    cluster.verify()


def backed_up(cluster):
    """backup: an RDB file of each primary, and the nodes"""
    with tempfile.TemporaryDirectory(prefix="redis-compat-") as folder:
        cluster.tool("backup", cluster.first.address, folder)
        files = sorted(os.listdir(folder))
        if "nodes.json" not in files or len(files) != 4:
            raise SmokeError("backup left %s" % files)


def redis_cli_cluster(program):
    """redis-cli --cluster: create, check, info, reshard, rebalance, add-node, del-node, fix, call,
    set-timeout, import, backup"""
    with Cluster(program, 1) as cluster:
        cluster.check()
        cluster.fill()
        for part in (moved_slots, joined_and_left, fixed, told, imported, backed_up):
            try:
                part(cluster)
            except SmokeError as error:
                raise SmokeError("%s: %s" % (part.__doc__, error)) from None


# --- clients, while slots move --------------------------------------------------------------------------

# Keys that a client uses all the time stand in these.
TAGS = ("a", "b", "c")


def slot_move(source, target, slot):
    """As redis-cli moves one, key by key."""
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
    while True:
        connection = Connection(source.port)
        keys = [frame.payload for frame in
                connection.command("CLUSTER", "GETKEYSINSLOT", slot, 2).children]
        if keys:
            reply = connection.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            if reply.is_error:
                raise SmokeError("MIGRATE of slot %d: %s" % (slot, reply.payload))
        connection.close()
        if not keys:
            break
    for node in (target, source):
        reply = node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        if reply != b"OK":
            raise SmokeError("SETSLOT %d NODE: %s" % (slot, reply))


def slots_move_while(cluster, args, env=None):
    """Runs a client, and moves the slots of TAGS from node to node until it ends, well."""
    slots = [int(cluster.first.ask("CLUSTER", "KEYSLOT", "{%s}" % tag)) for tag in TAGS]
    with tempfile.TemporaryFile() as output:
        client = subprocess.Popen(args, stdout=output, stderr=subprocess.STDOUT, env=env,
                                  stdin=subprocess.DEVNULL)
        moves = 0
        try:
            deadline = time.monotonic() + SETTLE_SECONDS_MAX
            while client.poll() is None and time.monotonic() < deadline:
                slot = slots[moves % len(slots)]
                source = owner_of(cluster, slot)
                index = cluster.nodes.index(source)
                slot_move(source, cluster.nodes[(index + 1) % 3], slot)
                moves += 1
        finally:
            if client.poll() is None:
                client.kill()
            client.wait()
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    if client.returncode != 0:
        raise SmokeError("%s ended with %s, after %d moves:\n%s" % (
            " ".join(args), client.returncode, moves, text[-2000:]))
    if moves == 0:
        raise SmokeError("no slot was moved")
    return text


def cluster_clients(program):
    """cluster clients while slots move: redis-py, ioredis, node-redis, redis-benchmark --cluster"""
    with Cluster(program, 0, workers=None if program == REDIS_SERVER else 2) as cluster:
        port = str(cluster.first.port)
        slots_move_while(cluster, ["/usr/bin/python3", "-B", os.path.join(
            TOP, "compat", "check_redis_py_cluster.py"), port] + list(TAGS))
        output = slots_move_while(cluster, [
            "redis-benchmark", "--cluster", "-p", port, "-t", "set,get,incr", "-n", "10000", "-q"])
        expect(output, "SET: .* requests per second", "GET: .* requests", "INCR: .* requests")
        try:
            env = dict(os.environ, NODE_PATH=npm_modules())
        except Skipped as skipped:
            print("  ioredis and node-redis: %s" % skipped)
            return
        for script in ("check_ioredis_cluster.js", "check_node_redis_cluster.js"):
            slots_move_while(cluster, ["node", os.path.join(TOP, "npm", script), port] + list(TAGS),
                             env)


# --- clients, while nodes fail --------------------------------------------------------------------------

# Its last options count: what was acknowledged shall outlive its primary, which keeps a log.
FAILURES_OPTIONS = "write-quorum 2\nappendonly yes\ncluster-node-timeout 1000\n"
STOPPED_SECONDS = 2.5
BETWEEN_SECONDS = 0.5


def primary_of(cluster, slot, but):
    """Who owns the slot as the first node sees it that is not the one that fails."""
    witness = next(node for node in cluster.nodes if node is not but)
    name = next(name for name, (flags, _, _) in witness.nodes().items()
                if "master" in flags and "fail" not in flags and
                slot_is_of(witness, name, slot))
    return next(node for node in cluster.nodes if node.id == name)


def slot_is_of(witness, name, slot):
    line = next(line for line in witness.ask("CLUSTER", "NODES").decode().splitlines()
                if line.startswith(name))
    for word in line.split()[8:]:
        first, _, last = word.partition("-")
        if not word.startswith("[") and int(first) <= slot <= int(last or first):
            return True
    return False


def fails_and_returns(cluster, slot, fail, back):
    """The primary of the slot fails; another one follows; it comes back."""
    primary = primary_of(cluster, slot, None)
    fail(primary)

    def is_followed():
        try:
            return primary_of(cluster, slot, primary) is not primary
        except StopIteration:
            return False
    try:
        wait_until("another node takes over slot %d" % slot, is_followed)
    finally:
        back(primary)
    wait_until("it returns", lambda: b"cluster_state:ok" in primary.ask("CLUSTER", "INFO"))
    time.sleep(BETWEEN_SECONDS)


def killed(cluster, slot):
    """kill -9"""
    fails_and_returns(cluster, slot, lambda node: node.signal(signal.SIGKILL), Node.restart)


def stopped(cluster, slot):
    """SIGSTOP, SIGCONT"""
    def go_on(node):
        time.sleep(STOPPED_SECONDS)
        node.signal(signal.SIGCONT)
    fails_and_returns(cluster, slot, lambda node: node.signal(signal.SIGSTOP), go_on)


def ended(cluster, slot):
    """SIGTERM"""
    fails_and_returns(cluster, slot, lambda node: node.signal(signal.SIGTERM), Node.restart)


def failing_clients(cluster, commands):
    """Runs these clients while nodes fail: what each printed. Their input ends when all is well again."""
    slots = [int(cluster.first.ask("CLUSTER", "KEYSLOT", "{%s}" % tag)) for tag in TAGS]
    clients = [subprocess.Popen(args, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT) for args, env in commands]
    try:
        time.sleep(2 * BETWEEN_SECONDS)
        for part, slot in zip((killed, stopped, ended), slots):
            try:
                part(cluster, slot)
            except SmokeError as error:
                raise SmokeError("%s: %s" % (part.__doc__, error)) from None
        cluster.settle()
        time.sleep(BETWEEN_SECONDS)
        outputs = []
        for client, (args, _) in zip(clients, commands):
            output = client.communicate(timeout=SETTLE_SECONDS_MAX)[0].decode("utf-8", "replace")
            if client.returncode != 0:
                raise SmokeError("%s ended with %s:\n%s" % (
                    " ".join(args), client.returncode, output[-2000:]))
            outputs.append(output)
        return outputs
    finally:
        for client in clients:
            if client.poll() is None:
                client.kill()
                client.wait()


def cluster_clients_while_nodes_fail(program):
    """cluster clients while primaries are killed, stopped and ended: nothing acknowledged is lost, and
    clients find their way by themselves: redis-py, ioredis, node-redis"""
    if program == REDIS_SERVER:
        raise Skipped("redis-server promises less")
    with Cluster(program, 2, options=FAILURES_OPTIONS) as cluster:
        arguments = [str(cluster.first.port)] + list(TAGS)
        commands = [(["/usr/bin/python3", "-B", os.path.join(
            TOP, "compat", "check_redis_py_failures.py")] + arguments, None)]
        try:
            env = dict(os.environ, NODE_PATH=npm_modules())
            commands += [(["node", os.path.join(TOP, "npm", script)] + arguments, env)
                         for script in ("check_ioredis_failures.js", "check_node_redis_failures.js")]
        except Skipped as skipped:
            print("  ioredis and node-redis: %s" % skipped)
        for output in failing_clients(cluster, commands):
            expect(output, r"(?m)^\d{2,} acknowledged")


# --- utils/run --cluster ----------------------------------------------------------------------------------

RUN = os.path.join(os.path.dirname(TOP), "utils", "run")


def utils_run_cluster(program):
    """utils/run --cluster: six nodes that are found again, and stop"""
    if program == REDIS_SERVER:
        raise Skipped("it starts Tarn")
    with tempfile.TemporaryDirectory(prefix="redis-compat-") as folder:
        env = dict(os.environ, TARN_SERVER=os.path.abspath(program), TARN_CLUSTER_FOLDER=folder)
        output = tool_run([RUN, "--cluster"], env=env)
        expect(output, "cluster_state:ok", "utils/run --cluster stop")
        port = re.search(r"redis-cli -c -p (\d+)", output).group(1)
        try:
            expect(tool_run(["redis-cli", "--cluster", "check", "127.0.0.1:" + port]),
                   r"3 masters", "All 16384 slots covered")
            # A machine with other work may let a lease lapse: the cluster is down for a moment.
            wait_until("a key is set", lambda: tool_run(
                ["redis-cli", "-c", "-p", port, "SET", "key", "value"]) == "OK\n")
            expect(tool_run([RUN, "--cluster"], env=env), "cluster_state:ok")
            tool_run([RUN, "--cluster", "stop"], env=env)
            expect(tool_run([RUN, "--cluster"], env=env), "cluster_state:ok", "-p " + port)
            wait_until("the key is there", lambda: tool_run(
                ["redis-cli", "-c", "-p", port, "GET", "key"]) == "value\n")
        finally:
            tool_run([RUN, "--cluster", "stop"], env=env)
        done = subprocess.run(["redis-cli", "-p", port, "PING"], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0:
            raise SmokeError("a node goes on: %s" % done.stdout)


CLUSTER_SMOKES = (redis_cli_cluster, cluster_clients, cluster_clients_while_nodes_fail,
                  utils_run_cluster)
