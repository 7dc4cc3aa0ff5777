"""How long one tick of a Tarn worker takes under the loads that make other servers pause."""

from server import store_start, tick_figures, tick_work

GROWTH_KEYS = 20_000_000
TAG_KEYS = 10_000_000
VALUE_SIZE = 8
LARGE_VALUES_TARGET_US = 500   # p99.9
GROWTH_TARGET_US = 1000        # p99.99


def report(bench, name, server, result, field, target):
    figures = tick_figures(server)
    print(f"{name}: p50/p99/p99.9/max of a client {result['p50_us']:.0f}/{result['p99_us']:.0f}/"
          f"{result['p999_us']:.0f}/{result['max_us']:.0f} us")
    for worker, values in figures.items():
        text = ", ".join(f"{key} {value:.0f}" for key, value in values.items())
        figure = values.get(field)
        if figure is None:
            word = f"no {field}"
        else:
            word = f"{field} <= {target}: {bench.judge(name, figure, target)}"
        print(f"  {worker} tick CPU, us: {text}; {word}")
    for worker, values in tick_work(server).items():
        print(f"  {worker} at most in one tick: " +
              ", ".join(f"{key} {value}" for key, value in values.items()))
    if not figures:
        print("  no tick figures in INFO workers")
    print(end="", flush=True)


def large_values(bench):
    """1% of the commands read or write values of 1 MiB."""
    with store_start(bench.tarn, {0}) as server:
        bench.fill(server, "--command", "set", "--keys", 1_000_000)
        bench.load(server, "--fill", "--command", "set", "--prefix", "big:", "--keys", 64,
                   "--size", 1024 * 1024)
        server.ask("CONFIG", "RESETSTAT")
        result = bench.load(server, "--command", "mixed", "--pipeline", 16, "--large-percent", 1,
                            "--seconds", 3 if bench.quick else 15)
        report(bench, "1% values of 1 MiB", server, result, "p999", LARGE_VALUES_TARGET_US)


def growth(bench, name, prefix, keys):
    with store_start(bench.tarn, {0}) as server:
        server.ask("CONFIG", "RESETSTAT")
        result = bench.load(server, "--fill", "--command", "set", "--pipeline", 16, "--prefix",
                            prefix, "--keys", keys, "--size", VALUE_SIZE)
        report(bench, f"growing to {keys} keys{name}", server, result, "p9999", GROWTH_TARGET_US)


def run(bench):
    scale = 10 if bench.quick else 1
    print("\nticks", flush=True)
    large_values(bench)
    growth(bench, "", "key:", GROWTH_KEYS // scale)
    growth(bench, " of one hash tag", "{t}:", TAG_KEYS // scale)
