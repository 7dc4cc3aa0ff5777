"""Writes with redis-py's cluster client while nodes fail, through the node on the port in argv[1], keys of
the tags behind it, until its input ends. A write that gets an error is repeated with the same client.
Then every acknowledged key is read; prints how many there were and how many errors."""

import select
import sys
import time

from redis.cluster import RedisCluster
from redis.exceptions import RedisError

TIMEOUT_SECONDS = 0.5
PAUSE_SECONDS = 0.01
READ_SECONDS_MAX = 10


def attempt(function, errors):
    try:
        return function()
    except RedisError as error:
        errors.append(str(error))
        time.sleep(PAUSE_SECONDS)
        return None


def main():
    client = RedisCluster(host="127.0.0.1", port=int(sys.argv[1]), socket_timeout=TIMEOUT_SECONDS,
                          socket_connect_timeout=TIMEOUT_SECONDS)
    acknowledged = []
    errors = []
    count = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for tag in sys.argv[2:]:
            key = "{%s}:py:%d" % (tag, count)
            if attempt(lambda: client.set(key, key), errors):
                acknowledged.append(key)
        count += 1
    for key in acknowledged:
        deadline = time.monotonic() + READ_SECONDS_MAX
        value = attempt(lambda: client.get(key), errors)
        while value is None and errors and time.monotonic() < deadline:
            value = attempt(lambda: client.get(key), errors)
        assert value == key.encode(), "%s is lost: %s" % (key, value)
    print("%d acknowledged, %d errors: %s" % (len(acknowledged), len(errors), errors[-1:]))


if __name__ == "__main__":
    main()
