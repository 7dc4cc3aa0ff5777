"""Smoke runs: Redis' own tools and client libraries against one server, as their users start them."""

import hashlib
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from .server import Server, StartError

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOOL_SECONDS_MAX = 60
NPM_SECONDS_MAX = 120


class SmokeError(Exception):
    """A tool did not do what it does with redis-server."""


class Skipped(Exception):
    """A smoke run that this machine cannot do; the text says why."""


def tool_run(args, stdin=None, env=None):
    """Runs a tool to its end; returns its output, raises SmokeError on a bad exit."""
    try:
        done = subprocess.run(args, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TOOL_SECONDS_MAX, check=False, env=env)
    except subprocess.TimeoutExpired as error:
        raise SmokeError("%s did not end; it said:\n%s" % (
            " ".join(args), (error.output or b"").decode("utf-8", "replace")[-2000:])) from None
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise SmokeError("%s ended with %d:\n%s" % (" ".join(args), done.returncode, output[-2000:]))
    return output


def expect(output, *patterns):
    for pattern in patterns:
        if not re.search(pattern, output):
            raise SmokeError("%s is not in:\n%s" % (pattern, output[-2000:]))


def cli(port, *args, stdin=None):
    return tool_run(["redis-cli", "-p", str(port)] + list(args), stdin)


def keys_fill(port):
    cli(port, "FLUSHALL")
    commands = "".join("SET string:%d value%d\n" % (i, i) for i in range(500))
    commands += "".join("HSET hash:%d a 1 b 2 c %s\n" % (i, "x" * (i + 1)) for i in range(100))
    expect(cli(port, "--pipe", stdin=commands.encode()), "errors: 0, replies: 600")


# --- redis-cli --------------------------------------------------------------------------------------

def redis_cli_commands(port):
    """redis-cli: arguments, stdin, -3, -n, --raw, -x, -r"""
    cli(port, "FLUSHALL")
    expect(cli(port, "SET", "key", "value"), "^OK\n$")
    expect(cli(port, "GET", "key"), "^value\n$")
    expect(cli(port, "--no-raw", "GET", "missing"), r"^\(nil\)\n$")
    expect(cli(port, "-3", "--no-raw", "HSET", "h", "f", "v"), r"^\(integer\) 1\n$")
    expect(cli(port, "-3", "--no-raw", "HGETALL", "h"), '^1# "f" => "v"\n$')
    expect(cli(port, "-n", "3", "DBSIZE"), "^0\n$")
    expect(cli(port, "-r", "3", "INCR", "n"), "^1\n2\n3\n$")
    expect(cli(port, "-x", "SET", "stdin", stdin=b"from stdin"), "^OK\n$")
    expect(cli(port, stdin=b"MULTI\nGET stdin\nEXEC\n"), "OK\nQUEUED\nfrom stdin\n")
    expect(cli(port, "-e", "PING"), "^PONG\n$")
    expect(cli(port, "INFO", "server"), "redis_version:7")
    expect(cli(port, "--csv", "HGETALL", "h"), '^"f","v"\n$')
    expect(cli(port, "--json", "-3", "HGETALL", "h"), '^{"f":"v"}\n$')
    expect(cli(port, "HELP", "GET") + cli(port, "COMMAND", "DOCS", "GET"), "string")


def redis_cli_scan(port):
    """redis-cli --scan, --bigkeys, --memkeys"""
    keys_fill(port)
    names = cli(port, "--scan").split()
    if len(names) != 600 or len(set(names)) != 600:
        raise SmokeError("--scan found %d names, %d different, of 600" % (len(names), len(set(names))))
    found = cli(port, "--scan", "--pattern", "hash:1*").split()
    if len(set(found)) != 11:
        raise SmokeError("--scan --pattern found %s" % found)
    expect(cli(port, "--bigkeys"), "Sampled 600 keys", "100 hashs with 300 fields",
           "500 strings with 3890 bytes", 'Biggest +hash found .* has 3 fields')
    expect(cli(port, "--memkeys"), "Sampled 600 keys", r'Biggest +hash found .*hash:\d+.* has \d+ bytes')


def redis_cli_pipe(port):
    """redis-cli --pipe: inline and RESP, 20,000 commands, errors counted"""
    cli(port, "FLUSHALL")
    data = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n" % (len(b"k%d" % i), b"k%d" % i)
                    for i in range(20000))
    expect(cli(port, "--pipe", stdin=data), "errors: 0, replies: 20000")
    expect(cli(port, "DBSIZE"), "^20000\n$")
    done = subprocess.run(["redis-cli", "-p", str(port), "--pipe"], input=b"SET a b\r\nINCR a\r\n",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=TOOL_SECONDS_MAX)
    expect(done.stdout.decode(), "errors: 1, replies: 2")


def redis_cli_stat(port):
    """redis-cli --stat and --latency for a moment"""
    keys_fill(port)
    expect(terminal_output(["redis-cli", "-p", str(port), "--stat", "-i", "0.1"], 0.6),
           "keys +mem +clients +blocked +requests", r"\n600 +\d")
    expect(cli_latency(port), r"^\d+ \d+ \d+\.\d+ \d+")


def cli_latency(port):
    return tool_run(["redis-cli", "-p", str(port), "--latency", "--raw", "-i", "1"])


def terminal_output(args, seconds):
    """What a program prints to a terminal within some seconds, after which it is ended."""
    master, slave = pty.openpty()
    process = subprocess.Popen(args, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    output = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.05)
        if ready:
            try:
                output += os.read(master, 65536)
            except OSError:
                break
    process.kill()
    process.wait()
    os.close(master)
    return output.decode("utf-8", "replace").replace("\r\n", "\n")


# --- redis-benchmark ---------------------------------------------------------------------------------

def benchmark(port, *args):
    output = tool_run(["redis-benchmark", "-p", str(port), "-q"] + list(args))
    if re.search("error|WARNING|ERR|failed", output, re.IGNORECASE):
        raise SmokeError(output[-2000:])
    return output


def redis_benchmark(port):
    """redis-benchmark: tests, pipelines, random keys, big values, threads"""
    output = benchmark(port, "-t", "set,get,incr,hset,mset,ping", "-n", "2000", "-P", "16")
    expect(output, "PING_INLINE: .* requests per second", "PING_MBULK: ", "SET: ", "GET: ", "INCR: ",
           "HSET: ", "MSET")
    expect(benchmark(port, "-t", "set,get", "-n", "2000", "--threads", "2"), "SET: .* requests", "GET: ")
    benchmark(port, "-t", "set,get", "-n", "2000", "-r", "1000", "-d", "1024", "-c", "20")
    benchmark(port, "-t", "set,get", "-n", "100", "-d", "1048576", "-c", "5")
    expect(tool_run(["redis-benchmark", "-p", str(port), "-n", "500", "--csv", "HSET", "h:__rand_int__",
                     "f", "v"]), '"rps"')


# --- client libraries ---------------------------------------------------------------------------------

def redis_py(port):
    """redis-py"""
    tool_run(["/usr/bin/python3", "-B", os.path.join(TOP, "compat", "check_redis_py.py"), str(port)])


def npm_modules():
    """The folder of the installed node modules; installs them once per lock file, outside the tree."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise Skipped("there is no npm here")
    with open(os.path.join(TOP, "npm", "package-lock.json"), "rb") as lock:
        name = hashlib.sha256(lock.read()).hexdigest()[:16]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(base, "tarn-redis-compat", name)
    modules = os.path.join(folder, "node_modules")
    if os.path.exists(os.path.join(folder, "complete")):
        return modules
    os.makedirs(folder, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(TOP, "npm", file), folder)
    try:
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              timeout=NPM_SECONDS_MAX, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Skipped("npm ci did not end") from None
    if done.returncode != 0:
        raise Skipped("npm ci failed: %s" % done.stdout.decode("utf-8", "replace")[-300:].strip())
    with open(os.path.join(folder, "complete"), "w", encoding="utf-8"):
        pass
    return modules


def node_run(script, *args):
    env = dict(os.environ, NODE_PATH=npm_modules())
    tool_run(["node", os.path.join(TOP, "npm", script)] + [str(a) for a in args], env=env)


def ioredis(port):
    """ioredis"""
    node_run("check_ioredis.js", port)


def node_redis_2(port):
    """node-redis in RESP2"""
    node_run("check_node_redis.js", port, 2)


def node_redis_3(port):
    """node-redis in RESP3"""
    node_run("check_node_redis.js", port, 3)


# --- config files ---------------------------------------------------------------------------------------

DEBIAN_CONFIG = "/etc/redis/redis.conf"
DEBIAN_OPTIONS = ("--daemonize", "no", "--supervised", "no", "--logfile", "", "--pidfile", "")


def config_server(program, path, options=()):
    """Starts a server with a config file; raises SmokeError with its log if it does not come up."""
    try:
        return Server(program, options, "server", config=path)
    except StartError as error:
        raise SmokeError(str(error)) from None


def clean_end(server):
    log = server.log_tail(100)
    status = server.stop()
    if status != 0:
        log = server.log_tail()
        server.kill()
        raise SmokeError("ended with status %s on SIGTERM:\n%s" % (status, log))
    return log


def debian_config(program):
    """Debian's redis.conf loads, is rewritten, and loads again"""
    if not os.access(DEBIAN_CONFIG, os.R_OK):
        raise Skipped("%s cannot be read" % DEBIAN_CONFIG)
    with tempfile.TemporaryDirectory(prefix="redis-compat-") as folder:
        path = os.path.join(folder, "redis.conf")
        shutil.copyfile(DEBIAN_CONFIG, path)
        for _ in range(2):
            server = config_server(program, path, DEBIAN_OPTIONS + ("--dir", folder))
            try:
                expect(cli(server.port, "INFO", "server"), "config_file:" + re.escape(path))
                expect(cli(server.port, "CONFIG", "REWRITE"), "^OK\n$")
                log = clean_end(server)
            finally:
                server.kill()
            expect(log, "Ready to accept connections")
            notes = re.findall(r"The option '(\S+)' has no meaning here", log)
            if not notes or len(notes) != len(set(notes)):
                raise SmokeError("not one line for each option without meaning: %s" % notes)


def config_rewrite(program):
    """CONFIG REWRITE keeps comments and order, changes what was set"""
    with tempfile.TemporaryDirectory(prefix="redis-compat-") as folder:
        path = os.path.join(folder, "my.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("# A comment\nmaxclients 100\n\nslave-read-only yes\ntimeout 5\n# The end\n")
        server = config_server(program, path, ("--dir", folder))
        try:
            expect(cli(server.port, "CONFIG", "SET", "maxclients", "200", "slowlog-max-len", "7",
                       "requirepass", "two words"), "^OK\n$")
            expect(cli(server.port, "-a", "two words", "CONFIG", "REWRITE"), "OK\n$")
        finally:
            server.kill()
        with open(path, encoding="utf-8") as file:
            text = file.read()
        expect(text, r"^# A comment\nmaxclients 200\n\n(slave|replica)-read-only yes\ntimeout 5\n# The end\n",
               r"\nslowlog-max-len 7\n", r'\nrequirepass "two words"\n')
        server = config_server(program, path, ("--dir", folder))
        try:
            for option, value in (("maxclients", "200"), ("slowlog-max-len", "7"), ("timeout", "5")):
                expect(cli(server.port, "-a", "two words", "CONFIG", "GET", option),
                       "%s\n%s\n" % (option, value))
        finally:
            server.kill()


CONFIG_SMOKES = (debian_config, config_rewrite)
SMOKES = (redis_cli_commands, redis_cli_scan, redis_cli_pipe, redis_cli_stat, redis_benchmark, redis_py,
          ioredis, node_redis_2, node_redis_3)


def smoke_run(smoke, target):
    """`target` is a port or a program. Returns (problem or None, reason to skip or None)."""
    try:
        smoke(target)
    except SmokeError as error:
        return "  " + str(error).replace("\n", "\n  "), None
    except Skipped as skipped:
        return None, str(skipped)
    except FileNotFoundError as error:
        return "  %s" % error, None
    finally:
        sys.stdout.flush()
    return None, None
