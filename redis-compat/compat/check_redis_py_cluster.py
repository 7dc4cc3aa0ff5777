"""Uses redis-py's cluster client, on the cluster of the node on the port in argv[1], with keys in the
slots of the tags behind it, which move meanwhile; ends with 0 when nothing was lost or refused."""

import sys
import time

from redis.cluster import RedisCluster

SECONDS = 1


def main():
    client = RedisCluster(host="127.0.0.1", port=int(sys.argv[1]))
    tags = sys.argv[2:]
    rounds = 0
    deadline = time.monotonic() + SECONDS
    for tag in tags:
        client.delete("{%s}:py" % tag)
    while time.monotonic() < deadline:
        rounds += 1
        for tag in tags:
            assert client.incr("{%s}:py" % tag) == rounds
            client.set("{%s}:py:%d" % (tag, rounds % 10), rounds)
            assert client.get("{%s}:py:%d" % (tag, rounds % 10)) == b"%d" % rounds
            client.set("py:%s:%d" % (tag, rounds % 10), "x")
    for tag in tags:
        assert client.get("{%s}:py" % tag) == b"%d" % rounds


if __name__ == "__main__":
    main()
