"""What a run was made from, kept in its folder, so that it goes on with the same or says what is another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d import documents, files
from segxfer3d.changes import changes
from segxfer3d.config import earlier
from segxfer3d.errors import InputError, shortened, some

MADE_FROM = "made_from.json"
ACCEPTED = "accepted.json"
CASES = "cases"  # the one part that may change without another case in a part of the split
SEEN = "seen"  # kept beside the cases, not compared: it follows from what they hold
FOLLOWING = ("split.json", "labels.json", "data_check.json", "transfer.json")  # from what is compared
_CAME_WITH = "accept_changed_data"  # the option that a run has which keeps what it was made from
_SHOWN = 8  # differences of a part


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
        InputError: what is kept cannot be read, or is gone.
    """

    def __init__(self, folder: Path, *, resume: bool = False, accept: bool = False, finished: bool = False) -> None:
        self.folder = folder
        self.resume = resume
        self.accept = accept
        self.finished = finished
        self.parts: dict[str, Any] = {}
        self.accepted: list[dict[str, Any]] = []
        self._before: dict[str, Any] = {}
        self._seen: dict[str, Any] = {}
        if not resume:
            return
        if (folder / MADE_FROM).is_file():
            self._before = documents.own(folder / MADE_FROM, before="resume: ")
        elif _CAME_WITH in earlier.knobs_of(str(folder)) or (folder / ACCEPTED).is_file():
            raise InputError(
                f"resume: {folder / MADE_FROM} is gone, so nothing tells what the run was made from; bring it back, or "
                "start a new run"
            )
        if (folder / ACCEPTED).is_file():
            self.accepted = documents.own(folder / ACCEPTED, before="resume: ")

    def take(
        self,
        *,
        part_of: Mapping[str, str] | None = None,
        empty: Collection[str] = (),
        seen: Mapping[str, Any] | None = None,
        **parts: Any,
    ) -> None:
        """More of what the run is made from.

        Args:
            part_of: case to its part of the split, where ``cases`` are among the parts: values that were another
                part's are never accepted.
            empty: cases whose labels say nothing, and so are those of others too.
            seen: case to what a model notes of it, kept beside the cases.
            parts: by name.

        Raises:
            InputError: it is another than at the start; all differences of these parts at once.
        """
        for name, value in parts.items():
            self.parts[name] = plain(value)
        self._seen |= plain(seen or {})
        before = self._before | ({CASES: self.accepted[-1][CASES]} if self.accepted else {})
        changed = {name: _in_words(name, before[name], self.parts[name]) for name in parts if name in before}
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
        states = [self._before[CASES], *(entry[CASES] for entry in self.accepted)]
        if moved := list(_moved(states, self.parts[CASES], part_of or {}, empty)):
            raise InputError(
                f"{started}; {some(moved, 3)}. Parts must not mix: bring back what it was, or start a new run"
            )
        if not self.accept:
            raise InputError(
                f"{started}. Each part has the same cases, so --accept_changed_data True goes on; a new run is made "
                "from one state of the data"
            )
        when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.accepted.append({"when": when, "changed": changed[CASES], CASES: self.parts[CASES], SEEN: self._seen})

    def knew(self, name: str) -> bool:
        """Whether the run that goes on kept this part when it was started."""
        return name in self._before

    @property
    def when_accepted(self) -> list[str]:
        """The moments at which changed data were accepted."""
        return [str(entry.get("when", "")) for entry in self.accepted]

    @property
    def earlier(self) -> list[dict[str, Any]]:
        """The states of the data before this one that the run may have trained on, each with ``cases`` and what was
        ``seen`` of them; none where nothing was accepted."""
        return [self._before, *self.accepted[:-1]] if self.accepted else []

    def written_again(self, name: str) -> str:
        """What is to be said of a record of the start that was gone and is written again."""
        if not self._before:
            return f"warning: {self.folder / name} was not there; it is written of the data as they are now"
        return f"resume: {self.folder / name} was gone; it is written again, of the same data as {MADE_FROM} says"

    def write(self) -> None:
        """Keep it: what is kept of a run that goes on stays, and what was accepted since stands beside it.

        What a start left that was killed before it was a run is no record of this one.

        Raises:
            InputError: it cannot be written.
        """
        if not (self.resume and (self.folder / MADE_FROM).exists()):
            files.write_json(self.folder / MADE_FROM, self.parts | ({SEEN: self._seen} if self._seen else {}))
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
        return changes(before, now, part)
    words = _WORDS.get(part, _values)(part, before, now)
    return shortened(words, _SHOWN)


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


def _moved(
    states: Sequence[Mapping[str, Any]], now: Mapping[str, Any], part_of: Mapping[str, str], empty: Collection[str]
) -> Iterator[str]:
    """Which cases hold the image or the label of one of another part, in whatever state of the data it was there.

    Args:
        states: of the cases, in which the run trained; the last is what is changed.
        now: what they are.
        part_of: case to its part.
        empty: cases whose labels are not looked at.
    """
    for number, what in enumerate(("image", "label")):
        before, after = _owners(states, number, part_of), _owners([now], number, part_of)
        for name in sorted(now.keys() & part_of.keys()):
            value = _at(now[name], number)
            if value in ("", _at(states[-1].get(name, ()), number)) or (what == "label" and name in empty):
                continue
            owners = before.get(value, set())
            if any(part_of[owner] == part_of[name] for owner in owners):
                continue  # its part had it, too
            others = sorted(other for other in owners | after[value] if part_of[other] != part_of[name])
            if others:
                yield f"{name} of {part_of[name]} has the {what} of {others[0]} of {part_of[others[0]]}"


def _owners(states: Iterable[Mapping[str, Any]], number: int, part_of: Mapping[str, str]) -> dict[str, set[str]]:
    """Fingerprint to the cases that had it."""
    owners: dict[str, set[str]] = {}
    for state in states:
        for name, values in state.items():
            if name in part_of:
                owners.setdefault(_at(values, number), set()).add(name)
    return owners


def _at(values: Sequence[str], number: int) -> str:
    return values[number] if number < len(values) else ""


def _names(part: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Of lists of names: who came and who went."""
    words = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, []), now.get(name, [])
        if old == new:
            continue
        if not isinstance(old, list) or not isinstance(new, list):
            words += [f"{part}: {change}" for change in changes(old, new, name)]
            continue
        came, went = (sorted(set(map(str, one)) - set(map(str, other))) for one, other in ((new, old), (old, new)))
        told = [f"{len(who)} {how} ({some(who, 3, ', ')})" for who, how in ((came, "came"), (went, "went")) if who]
        words.append(f"{part}: of {name} {' and '.join(told) or 'the order changed'}")
    return words


def _values(part: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [f"{part}: {change}" for change in changes(before, now)]


def _last(part: str) -> bool:
    """Cases come first in a message: what happened to them explains the rest."""
    return part != CASES


_WORDS: Mapping[str, Callable[[str, Mapping[str, Any], Mapping[str, Any]], list[str]]] = {
    CASES: _cases, "split": _names, "labels": _names,
}  # fmt: skip
