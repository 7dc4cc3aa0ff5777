"""SCAN and HSCAN followed to their end: cursors and portions are the server's own, the sum is not."""

SCAN_ROUNDS_MAX = 10000


def scan_collect(connection, args):
    """Follows the cursor; returns the sorted elements as text, or the raw reply if it is no scan."""
    cursor_place = 1 if args[0].upper() == b"SCAN" else 2
    args = list(args)
    found = set()
    for _ in range(SCAN_ROUNDS_MAX):
        reply = connection.command(*args)
        if not reply.children or len(reply.children) != 2 or reply.children[1].children is None:
            return reply.raw
        items = [c.payload for c in reply.children[1].children]
        if cursor_place == 2:
            items = list(zip(items[::2], items[1::2]))
        found.update(items)
        args[cursor_place] = reply.children[0].payload
        if args[cursor_place] == b"0":
            return repr(sorted(found)).encode()
    return b"<the scan does not end>"
