"""What a cluster costs: `routing`, CPU per command against a standalone server, and `failover`, how
long writes are refused."""

import statistics

import failover
from rows import ROWS
from server import free_port, store_start

ROUTING_TARGET = 1.05
ROUTING_ROWS = ("get1", "set1", "get16", "set16")
ROUNDS_MIN = 5
SERVER_CORE = 0


def routing_run(bench):
    """One node that owns all slots against a standalone server; both on one core, in turns."""
    print("\ncluster mode against standalone, Tarn's CPU per command, microseconds\n"
          f"{'load':<16}{'standalone':>11}{'cluster':>9}{'ratio':>8}{'target':>8}", flush=True)
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with store_start(bench.tarn, {SERVER_CORE}) as standalone, \
            store_start(bench.tarn, {SERVER_CORE}, extra=options) as node:
        node.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        servers = {"standalone": standalone, "cluster": node}
        for server in servers.values():
            bench.fill(server, *ROWS["get16"].fill_words())
        for row in (ROWS[name] for name in ROUTING_ROWS):
            cpu = {"standalone": [], "cluster": []}
            for number in range(max(bench.rounds, ROUNDS_MIN)):
                words = row.load_words() + ["--seconds", bench.seconds, "--seed", number + 1]
                for name in sorted(servers, reverse=number % 2 == 1):
                    cpu[name].append(bench.load(servers[name], *words)["cpu_us"])
            ratio = statistics.median(c / s for s, c in zip(cpu["standalone"], cpu["cluster"]))
            name = "routing-" + row.name
            print(f"{name:<16}{statistics.median(cpu['standalone']):>11.3f}"
                  f"{statistics.median(cpu['cluster']):>9.3f}{ratio:>8.2f}{ROUTING_TARGET:>8.2f}"
                  f" {bench.judge(name, ratio, ROUTING_TARGET)}", flush=True)


def failover_run(bench):
    print("\nwrites to a shard refused, milliseconds, default settings", flush=True)
    failover.run(bench.tarn, max(bench.rounds, ROUNDS_MIN), (), bench.judge)


PARTS = {"routing": routing_run, "failover": failover_run}
