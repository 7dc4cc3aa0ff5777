"""Uses redis-py against the server on the port in argv[1]; ends with 0 when all is as Redis does it."""

import sys
import time

import redis


def keys(client):
    assert client.set("key", "value", ex=100, nx=True) is True
    assert client.set("key", "other", nx=True) is None
    assert client.get("key") == b"value"
    assert 90 < client.ttl("key") <= 100
    binary = bytes(range(256))
    client.set("binary", binary)
    assert client.get("binary") == binary
    assert client.incr("counter", 5) == 5
    assert client.incrbyfloat("counter", 0.5) == 5.5
    try:
        client.incr("key")
        raise AssertionError("no error")
    except redis.ResponseError as error:
        assert "not an integer or out of range" in str(error)
    client.mset({"a": 1, "b": 2})
    assert client.mget("a", "missing", "b") == [b"1", None, b"2"]
    client.hset("hash", mapping={"field": "value", "number": 7})
    assert client.hgetall("hash") == {b"field": b"value", b"number": b"7"}
    assert client.bitfield("bits").set("u8", 0, 200).incrby("u8", 0, 10).execute() == [0, 210]
    assert client.setbit("bits", 100, 1) == 0
    assert client.bitcount("bits") == 5
    assert client.object("encoding", "hash") == b"listpack"
    big = b"x" * (1 << 20)
    client.set("big", big)
    assert client.get("big") == big
    assert client.copy("big", "copy") and client.getdel("copy") == big
    assert client.expire("key", 10, gt=True) is False
    assert client.type("hash") == b"hash"


def pipelines(client):
    with client.pipeline(transaction=False) as pipeline:
        for i in range(1000):
            pipeline.set("scan:%d" % i, i)
        assert all(pipeline.execute())
    assert len(set(client.scan_iter("scan:*", count=50))) == 1000
    client.hset("wide", mapping={"f%d" % i: i for i in range(500)})
    assert len(dict(client.hscan_iter("wide"))) == 500


def transactions(client):
    with client.pipeline() as pipeline:
        assert pipeline.set("t", 1).incr("t").get("t").execute() == [True, 2, b"2"]
    with client.pipeline() as pipeline:
        pipeline.watch("t")
        client.set("t", "changed")
        pipeline.multi()
        pipeline.set("t", "mine")
        try:
            pipeline.execute()
            raise AssertionError("no conflict")
        except redis.WatchError:
            pass


def messages(client):
    pubsub = client.pubsub()
    pubsub.subscribe("news")
    pubsub.psubscribe("n*")
    received = []
    deadline = time.monotonic() + 10
    while len(received) < 2 and time.monotonic() < deadline:
        message = pubsub.get_message(timeout=0.1)
        if message:
            received.append(message["type"])
    assert received == ["subscribe", "psubscribe"], received
    assert client.publish("news", "hello") == 2
    received = []
    while len(received) < 2 and time.monotonic() < deadline:
        message = pubsub.get_message(timeout=0.1)
        if message:
            received.append((message["type"], message["data"]))
    assert received == [("message", b"hello"), ("pmessage", b"hello")], received
    pubsub.close()


def server(client):
    info = client.info()
    assert info["redis_version"].startswith("7."), info["redis_version"]
    assert info["db7"]["keys"] > 0
    assert "used_memory" in client.info("memory")
    client.client_setname("check")
    assert client.client_getname() == "check"
    assert any(c["name"] == "check" for c in client.client_list())
    assert client.config_get("maxmemory") == {"maxmemory": "0"}
    assert client.config_set("slowlog-max-len", 100)
    assert client.config_get("slowlog-max-len")["slowlog-max-len"] == "100"
    assert client.command_count() > 50
    assert client.command()["get"]["arity"] == 2
    assert client.command_getkeys("MSET", "a", "1", "b", "2") == ["a", "b"]
    assert client.slowlog_len() >= 0 and isinstance(client.slowlog_get(), list)
    assert client.memory_usage("key") > 0
    assert client.time()[0] > 0
    assert client.dbsize() > 0
    assert client.ping()
    with client.monitor() as monitor:
        client.get("monitored")
        seen = [monitor.next_command()["command"]]
        while seen[-1] != "GET monitored" and len(seen) < 10:
            seen.append(monitor.next_command()["command"])
        assert seen[-1] == "GET monitored", seen


def main():
    client = redis.Redis(port=int(sys.argv[1]), db=7)
    client.flushdb()
    for part in (keys, pipelines, transactions, messages, server):
        part(client)


if __name__ == "__main__":
    main()
