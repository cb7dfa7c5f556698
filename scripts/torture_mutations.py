"""Seeded changes of good files: of bytes, of numbers in text, of JSON values. What breaks a reader is kept nowhere."""

from __future__ import annotations

import copy
import gzip
import json
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

CANARY = "executed"  # file that an expression in a value would make, were it run
_DEEP = "a value nested without end"
_DEPTH = 100_000
_CHANGES = (1, 1, 1, 2, 3, 4)  # how many, so that a file is often good but for one place
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WHOLE = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)
_FLOATS = (0.0, -1.0, 1e-300, 1e300, 1e38, -1e38, float("nan"), float("inf"), float("-inf"), 1e-45)
_TEXTS = (
    "", " ", "0", "nan", "-1", "1e300", "\ud800", "\udcff.nii.gz", "a" * 5000, "é" * 300, "../../..", "/", "/dev/null",
    "x\x00y", "line\nline", "=1+1", "@lr", "%lr", "#", "{lr}", "{nothing}", "None", "true", "CON", "a/b", ".", "~", "*",
)  # fmt: skip


def changed_bytes(content: bytes, rng: Random, *, head: int = 0) -> bytes:
    """Bytes with one to four changes: bits, numbers, pieces that are cut, doubled, moved or blanked.

    Args:
        content: of a good file.
        rng: draws all of it.
        head: bytes at the beginning that are hit as often as all the rest; 0 for none.
    """
    data = bytearray(content)
    for _ in range(rng.choice(_CHANGES)):
        if not data:
            break
        rng.choice(_BYTE_CHANGES)(data, rng, head)
    return bytes(data)


def _at(data: bytearray, rng: Random, head: int) -> int:
    inside = min(head, len(data))
    return rng.randrange(inside) if inside and rng.random() < 0.5 else rng.randrange(len(data))


def _bit(data: bytearray, rng: Random, head: int) -> None:
    data[_at(data, rng, head)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, rng: Random, head: int) -> None:
    data[_at(data, rng, head)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(data: bytearray, rng: Random, head: int) -> None:
    size = rng.choice((2, 4, 8))
    order = rng.choice("<>")
    if size > 2 and rng.random() < 0.5:
        value = rng.choice(_FLOATS)
        if size == 4 and abs(value) > 3e38:
            value = float("inf")
        packed = struct.pack(order + ("f" if size == 4 else "d"), value)
    else:
        whole = rng.choice(_WHOLE) % 2 ** (8 * size)
        packed = whole.to_bytes(size, "little" if order == "<" else "big")
    at = _at(data, rng, head)
    data[at : at + size] = packed[: len(data) - at]


def _cut(data: bytearray, rng: Random, head: int) -> None:
    del data[_at(data, rng, head) :]


def _take_out(data: bytearray, rng: Random, head: int) -> None:
    at = _at(data, rng, head)
    del data[at : at + rng.randint(1, 1 + len(data) // 8)]


def _double(data: bytearray, rng: Random, head: int) -> None:
    at = _at(data, rng, head)
    piece = data[at : at + rng.randint(1, 64)]
    data[at:at] = piece * rng.choice((1, 1, 2, 50))


def _blank(data: bytearray, rng: Random, head: int) -> None:
    at = _at(data, rng, head)
    end = min(len(data), at + rng.randint(1, 1 + len(data) // 4))
    data[at:end] = bytes([rng.choice((0, 0xFF, 0x20))]) * (end - at)


def _move(data: bytearray, rng: Random, head: int) -> None:
    at, to, size = _at(data, rng, head), _at(data, rng, head), rng.randint(1, 32)
    piece = data[at : at + size]
    data[to : to + len(piece)] = piece


_BYTE_CHANGES: tuple[Callable[[bytearray, Random, int], None], ...] = (
    _bit, _byte, _byte, _number, _number, _number, _cut, _take_out, _double, _blank, _move,
)  # fmt: skip


def changed_text(content: bytes, rng: Random, *, head: int = 4096) -> bytes:
    """A text, or the header of one, with numbers, lines and words changed.

    Args:
        content: of a good file.
        rng: draws all of it.
        head: bytes at the beginning that are text.
    """
    text, rest = content[:head], content[head:]
    for _ in range(rng.choice(_CHANGES)):
        lines = text.split(b"\n")
        at = rng.randrange(len(lines))
        kind = rng.random()
        if kind < 0.5 and (numbers := list(_NUMBER.finditer(text))):
            found = rng.choice(numbers)
            new = str(rng.choice((*_WHOLE, *_FLOATS, 10**30, "", "x", "1 2", "1,5"))).encode()
            text = text[: found.start()] + new + text[found.end() :]
            continue
        if kind < 0.65:
            del lines[at]
        elif kind < 0.75:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        elif kind < 0.85:
            lines[at] = rng.choice(_TEXTS).encode("utf-8", "surrogatepass")
        elif kind < 0.95:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at] = lines[at][: rng.randint(0, len(lines[at]))]
        text = b"\n".join(lines)
    return text + rest


def changed_gzip(content: bytes, rng: Random, *, head: int = 0) -> bytes:
    """A gzip file whose content is changed, or which is."""
    if rng.random() < 0.4:
        return changed_bytes(content, rng, head=12)
    return gzip.compress(changed_bytes(gzip.decompress(content), rng, head=head), 1, mtime=0)


def odd_value(rng: Random, place: str = "") -> Any:
    """A value that nobody expects; ``place`` is a folder for the expression that must not run."""
    kinds: list[Callable[[], Any]] = [
        lambda: rng.choice(_WHOLE) * rng.choice((1, -1)),
        lambda: rng.choice(_FLOATS),
        lambda: rng.choice(_TEXTS),
        lambda: rng.choice((None, True, False, [], {}, [[]], [None], {"": None}, 10**30, -(10**400))),
        lambda: [rng.choice(_TEXTS)] * rng.choice((1, 2, 1000)),
        lambda: {text: rng.choice(_WHOLE) for text in rng.sample(_TEXTS, 3)},
        lambda: _DEEP,
    ]
    if place:
        kinds.append(lambda: f"$__import__('pathlib').Path({place + '/' + CANARY!r}).touch()")
        kinds.append(lambda: {"_target_": "pathlib.Path.touch", "self": f"{place}/{CANARY}"})
    return rng.choice(kinds)()


def changed_value(value: Any, rng: Random, place: str = "") -> Any:
    """A tree of plain values with one to four of its nodes changed, gone, renamed, swapped or repeated."""
    tree = [copy.deepcopy(value)]
    for _ in range(rng.choice(_CHANGES)):
        holders = list(_holders(tree))
        holder, key = rng.choice(holders)
        kind = rng.random()
        if kind < 0.55:
            holder[key] = odd_value(rng, place)
        elif kind < 0.7 and holder is not tree:
            del holder[key]
        elif kind < 0.8 and isinstance(holder, dict):
            holder[rng.choice((*_TEXTS, f"{key}s", str(key).upper()))] = holder.pop(key)
        elif kind < 0.9:
            other, place_in_other = rng.choice(holders)
            holder[key] = copy.deepcopy(other[place_in_other])
        elif isinstance(holder[key], list):
            holder[key] = holder[key] * rng.choice((2, 300))
        else:
            holder[key] = [holder[key]]
    return tree[0]


def _holders(node: Any) -> Any:
    """(container, key) of every node below one."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from _holders(node[key])


def changed_json(value: Any, rng: Random, place: str = "") -> bytes:
    """The text of a JSON value that is changed; some have two entries of one name, some are no JSON any more."""
    text = json.dumps(changed_value(value, rng, place), indent=rng.choice((None, 1)), ensure_ascii=rng.random() < 0.7)
    text = text.replace(json.dumps(_DEEP), "[" * _DEPTH + "]" * (_DEPTH if rng.random() < 0.7 else 0))
    if rng.random() < 0.1 and isinstance(value, dict) and value and text.startswith("{"):
        text = "{" + json.dumps(rng.choice(list(value))) + ": " + json.dumps(rng.choice(_WHOLE)) + ", " + text[1:]
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        content = changed_bytes(content, rng)
    return content
