"""What a run was made from, kept in its folder, so that it goes on with the same or says what is another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.errors import InputError, some

MADE_FROM = "made_from.json"
ACCEPTED = "accepted.json"
CASES = "cases"  # the one part that may change without another case in a part of the split
_SHOWN = 60  # characters of a value


class MadeFrom:
    """The parts that a run is made from, compared with those that it was started with.

    Parts are plain values by name: ``cases`` (case to fingerprints of image and label, and its class), ``split`` and
    ``labels`` (part to names), all others name to value.

    Args:
        folder: of the run.
        resume: whether it goes on, so that there is something to compare with. A run of an earlier version did not keep
            it; then what it goes on with is kept.
        accept: go on where cases have other values, as long as each part has the same cases.
        finished: whether the run had ended, whose results must not change any more.

    Raises:
        InputError: what is kept cannot be read.
    """

    def __init__(self, folder: Path, *, resume: bool = False, accept: bool = False, finished: bool = False) -> None:
        self.folder = folder
        self.accept = accept
        self.finished = finished
        self.parts: dict[str, Any] = {}
        self.accepted: list[dict[str, Any]] = []
        self._before: dict[str, Any] = {}
        if resume and (folder / MADE_FROM).is_file():
            self._before = documents.own(folder / MADE_FROM, before="resume: ")
            if (folder / ACCEPTED).is_file():
                self.accepted = documents.own(folder / ACCEPTED, before="resume: ")
                for entry in self.accepted:
                    self._before[CASES] = entry[CASES]

    def take(self, **parts: Any) -> None:
        """More of what the run is made from.

        Raises:
            InputError: it is another than at the start; all differences of these parts at once.
        """
        for name, value in parts.items():
            self.parts[name] = plain(value)
        changed = {
            name: _in_words(name, self._before[name], self.parts[name]) for name in parts if name in self._before
        }
        changed = {name: words for name, words in changed.items() if words}
        if not changed:
            return
        listed = "; ".join(word for name in sorted(changed, key=_last) for word in changed[name])
        started = f"resume: {self.folder} was started with something else: {listed}"
        if self.finished:
            raise InputError(
                f"{started}. It is finished, so nothing of it changes; evaluate measures its model.pt anew"
            )
        if set(changed) != {CASES}:
            raise InputError(f"{started}. Bring back what it was, or start a new run")
        if not self.accept:
            raise InputError(
                f"{started}. Each part has the same cases, so --accept_changed_data True goes on; a new run is made "
                "from one state of the data"
            )
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.accepted.append({"when": when, "changed": changed[CASES], CASES: self.parts[CASES]})
        self._before[CASES] = self.parts[CASES]

    def write(self) -> None:
        """Keep it: what is kept already stays, and what was accepted since stands beside it.

        Raises:
            InputError: it cannot be written.
        """
        if not (self.folder / MADE_FROM).exists():
            files.write_json(self.folder / MADE_FROM, self.parts)
        if self.accepted:
            files.write_json(self.folder / ACCEPTED, self.accepted)


def plain(value: Any) -> Any:
    """A value as JSON gives it back; what JSON has no form for is called by its type."""
    return json.loads(json.dumps(value, default=lambda other: f"<{type(other).__module__}.{type(other).__qualname__}>"))


def _in_words(part: str, before: Any, now: Any) -> list[str]:
    """What differs, nothing where all is the same."""
    if before == now:
        return []
    if not isinstance(before, Mapping) or not isinstance(now, Mapping):
        return [f"{part} {_short(before)}, not {_short(now)}"]
    return _WORDS.get(part, _values)(part, before, now)


def _cases(_: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    kinds = (
        ("was not there before", "were not there before", now.keys() - before.keys()),
        ("is not there any more", "are not there any more", before.keys() - now.keys()),
        ("has other values", "have other values", {n for n in before.keys() & now.keys() if before[n] != now[n]}),
    )
    return [
        f"{len(names)} {f'case {one}' if len(names) == 1 else f'cases {several}'} ({some(sorted(names), 5, ', ')})"
        for one, several, names in kinds
        if names
    ]


def _names(part: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Of lists of names: who came and who went."""
    words = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, []), now.get(name, [])
        if old == new:
            continue
        if not isinstance(old, list) or not isinstance(new, list):
            words.append(f"{part}: {name} {_short(old)}, not {_short(new)}")
            continue
        came, went = (sorted(set(map(str, one)) - set(map(str, other))) for one, other in ((new, old), (old, new)))
        told = [f"{len(who)} {how} ({some(who, 3, ', ')})" for who, how in ((came, "came"), (went, "went")) if who]
        words.append(f"{part}: of {name} {' and '.join(told) or 'the order changed'}")
    return words


def _values(part: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}: {name} {_short(before.get(name))}, not {_short(now.get(name))}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _last(part: str) -> bool:
    """Cases come first in a message: what happened to them explains the rest."""
    return part != CASES


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


_WORDS: Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], list[str]]] = {
    CASES: _cases, "split": _names, "labels": _names,
}  # fmt: skip
