"""Says whether two replies agree, exactly or as an annotation allows."""

import collections
import re


def replies_agree(comparison, reference, subject):
    """`comparison` is (name, argument); the frames are of the two sides."""
    name, argument = comparison
    if name == "regex":
        # The reference must match as well: a pattern that Redis itself does not match proves nothing.
        return all(re.fullmatch(argument.encode(), f.raw, re.DOTALL) for f in (reference, subject))
    if reference.raw == subject.raw:
        return True
    if name == "exact":
        return False
    return COMPARERS[name](reference, subject, argument)


def same_type(reference, subject, _):
    return reference.kind == subject.kind and reference.is_null == subject.is_null


def same_shape(reference, subject, _=None):
    if not same_type(reference, subject, None):
        return False
    if reference.children is None or subject.children is None:
        return True
    return len(reference.children) == len(subject.children) and all(
        same_shape(a, b) for a, b in zip(reference.children, subject.children))


def same_error(reference, subject, _):
    return (reference.is_error and subject.is_error and
            reference.payload.split(b" ")[0] == subject.payload.split(b" ")[0])


def same_near(reference, subject, tolerance):
    if reference.kind != subject.kind or (reference.children is None) != (subject.children is None):
        return False
    if reference.children is not None:
        return len(reference.children) == len(subject.children) and all(
            same_near(a, b, tolerance) for a, b in zip(reference.children, subject.children))
    if reference.raw == subject.raw:
        return True
    try:
        return abs(float(reference.payload) - float(subject.payload)) <= float(tolerance)
    except (TypeError, ValueError):
        return False


def same_unordered(reference, subject, _):
    if reference.kind != subject.kind or reference.children is None or subject.children is None:
        return False
    return (collections.Counter(f.raw for f in reference.children) ==
            collections.Counter(f.raw for f in subject.children))


def pairs_of(frame):
    items = frame.children
    return collections.Counter((items[i].raw, items[i + 1].raw) for i in range(0, len(items) - 1, 2))


def same_pairs(reference, subject, _):
    if reference.kind != subject.kind or reference.children is None or subject.children is None:
        return False
    return (len(reference.children) == len(subject.children) and
            pairs_of(reference) == pairs_of(subject))


def normal_form(frame):
    if frame.children is None:
        return frame.raw
    if frame.kind == b"%":
        items = [normal_form(c) for c in frame.children]
        return b"%" + b"".join(sorted(a + b for a, b in zip(items[::2], items[1::2])))
    return frame.kind + b"".join(sorted(normal_form(c) for c in frame.children))


def same_deep(reference, subject, _):
    return normal_form(reference) == normal_form(subject)


def same_keys(reference, subject, _):
    if reference.kind != subject.kind or reference.children is None or subject.children is None:
        return False
    return [c.raw for c in reference.children[::2]] == [c.raw for c in subject.children[::2]]


# Fields that are there for what has happened before.
INFO_HISTORY = (b"cmdstat_", b"errorstat_", b"latency_percentiles_usec_", b"db")


def info_fields(frame):
    """The set of section titles and field names of an INFO text."""
    names = set()
    for line in frame.payload.split(b"\r\n"):
        if line.startswith(b"#"):
            names.add(line)
        elif b":" in line and not line.startswith(INFO_HISTORY):
            names.add(line.split(b":", 1)[0])
    return names


def same_info(reference, subject, allowed):
    """Every field of the reference is there. `allowed` is a set of names that may be missing."""
    if reference.kind != subject.kind or subject.payload is None:
        return False
    return not info_missing(reference, subject, allowed)


def info_missing(reference, subject, allowed):
    missing = info_fields(reference) - info_fields(subject)
    return sorted(n.decode() for n in missing if n.decode() not in (allowed or ()))


def client_fields(frame):
    """The lines of CLIENT INFO or LIST as lists of (name, value)."""
    return [[tuple(word.split(b"=", 1)) for word in line.split(b" ")]
            for line in frame.payload.splitlines()]


# Fields that CLIENT INFO has since 7.2.
CLIENT_FIELDS_NEW = (b"lib-name", b"lib-ver")


def same_client(reference, subject, argument):
    if reference.kind != subject.kind or reference.payload is None or subject.payload is None:
        return False
    valued = set(argument.encode().split(b",")) if argument != "-" else set()
    sides = []
    for frame in (reference, subject):
        try:
            sides.append([[(n, v if n in valued else None) for n, v in line
                           if n not in CLIENT_FIELDS_NEW] for line in client_fields(frame)])
        except ValueError:
            return False
    return sides[0] == sides[1]


TIPS_INDEX = 7


def same_tips(reference, subject, _=None):
    """COMMAND INFO: all is equal but the tips, of which Redis 7.2 has some more."""
    if reference.raw == subject.raw:
        return True
    if (reference.kind != subject.kind or not reference.children or not subject.children or
            len(reference.children) != len(subject.children)):
        return False
    if len(reference.children) != 10 or reference.children[1].kind != b":":
        return all(same_tips(a, b) for a, b in zip(reference.children, subject.children))
    for i, (one, other) in enumerate(zip(reference.children, subject.children)):
        if i == TIPS_INDEX:
            tips = [{tip.raw for tip in frame.children} for frame in (one, other)]
            if not tips[0] <= tips[1]:
                return False
        elif not same_tips(one, other):
            return False
    return True


COMPARERS = {
    "unordered": same_unordered,
    "pairs": same_pairs,
    "deep": same_deep,
    "type": same_type,
    "shape": same_shape,
    "error": same_error,
    "near": same_near,
    "info": same_info,
    "client": same_client,
    "keys": same_keys,
    "tips": same_tips,
    "ignore": lambda reference, subject, argument: True,
}
