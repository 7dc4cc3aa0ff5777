"""CONFIG GET * on both sides: Tarn knows Redis' options, and their defaults are the same."""


def options_of(connection):
    items = [c.payload.decode("utf-8", "replace") for c in connection.command("CONFIG", "GET", "*").children]
    return dict(zip(items[::2], items[1::2]))


def config_check(connections, differences):
    """Returns None or the text that lists what differs and is not allowed."""
    reference, subject = (options_of(c) for c in connections)
    missing_allowed = differences.names("config-missing")
    value_allowed = differences.names("config-differs")
    problems = []
    for name, value in sorted(reference.items()):
        if name not in subject:
            if name not in missing_allowed:
                problems.append("  %s is missing" % name)
        elif subject[name] != value and name not in value_allowed:
            problems.append("  %s is '%s', Redis has '%s'" % (name, subject[name], value))
    for name in sorted(missing_allowed):
        if name in subject:
            problems.append("  %s is there, but allowed-differences.txt says it is not" % name)
    return "\n".join(problems) or None
