"""Volumes of one channel a file: which files belong together, and which of the channels are meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, compiled_pattern
from segxfer3d.data.io.volumes import volume_ending
from segxfer3d.data.layouts.volume_files import FoundVolume, FoundVolumes
from segxfer3d.data.modalities import modality_of_names
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import on_disk, two_paths

NUMBERED = r"_(\d{4})$"  # nnU-Net's
OPTION = "channel_pattern"


def with_channels(found: FoundVolumes, pattern: str) -> FoundVolumes:
    """Volumes whose channels lie in files of their own, put together.

    What the pattern's group finds in a volume's path below the folder, without the ending, is its channel; volumes
    whose paths are the same without the whole match are one. Channels are in the order of their numbers or names. Where
    a volume lacks one, the file that it should have is among its own, so that the check names it.

    Args:
        found: volumes of one channel.
        pattern: regular expression with one group, such as ``_(t1|flair)$``.

    Returns:
        the volumes, called by what is left of their paths, with ``channel_names`` where these are no numbers; volumes
        in which the pattern finds nothing are passed over.

    Raises:
        InputError: no regular expression with a group, it finds nothing, or two files of one channel.
    """
    of_places = channel_matches(found.root, found.places.values(), pattern)
    matches = {name: of_places[place] for name, place in found.places.items() if place in of_places}
    channels = sorted({match[1] for match in matches.values()})
    volumes: dict[str, dict[str, str]] = {}
    problems = []
    for name, match in matches.items():
        whole = volumes.setdefault(match.string[: match.start()] + match.string[match.end() :], {})
        if match[1] in whole:
            problems.append(two_paths(found.volumes[whole[match[1]]].path, found.volumes[name].path))
        whole[match[1]] = name
    if problems:
        raise InputError(f"{found.root}: two files of one channel by --{OPTION} {pattern}: {some(problems)}")
    names = () if all(channel.isdigit() for channel in channels) else tuple(channels)
    result = replace(found, volumes={}, places={}, passed=dict(found.passed), channel_names=names)
    for name, volume in found.volumes.items():
        if name not in matches:
            result.passed[str(volume.path)] = f"not of {OPTION}"
    for place, whole in volumes.items():
        name = "_".join(place.strip("/").split("/"))
        first = next(iter(whole.values()))
        paths = [
            found.volumes[whole[channel]].path
            if channel in whole
            else _other(found.volumes[first].path, matches[first], channel, found.root)
            for channel in channels
        ]
        if name in result.volumes:
            raise InputError(
                f"{found.root}: two volumes are called {name}: {two_paths(result.volumes[name].path, paths[0])}"
            )
        of_first = found.volumes[first]
        modality = of_first.modality if len({found.volumes[each].modality for each in whole.values()}) == 1 else ""
        result.volumes[name] = FoundVolume(paths[0], of_first.patient, modality, tuple(paths[1:]))
        result.places[name] = place.strip("/")
    return result


def channel_matches(root: Path, places: Iterable[str], pattern: str) -> dict[str, re.Match[str]]:
    """What a pattern of channels finds in paths, those left out in which it finds nothing.

    Args:
        root: where they are, for messages.
        places: paths below it, without the ending.
        pattern: regular expression with one group, the channel.

    Raises:
        InputError: no regular expression with a group, or it finds nothing at all.
    """
    compiled = compiled_pattern(pattern, OPTION)
    if compiled.groups != 1:
        raise InputError(f"{OPTION} {pattern}: expected one group, the channel, such as _(t1|flair)$")
    places = list(places)
    matches = {place: match for place in places if (match := compiled.search(place))}
    if not matches:
        where = f", which is searched in paths without endings, such as {places[0]}" if places else ""
        raise InputError(f"{root}: no volume is a channel by --{OPTION} {pattern}{where}")
    return matches


def numbered_channels(found: FoundVolumes, wholes: Iterable[str]) -> bool:
    """Whether volumes are channels by nnU-Net's numbers: all end in one, there are several, and without them they are
    called as all of ``wholes``, their labels."""
    return are_numbered(found) and {re.sub(NUMBERED, "", name) for name in found.volumes} == set(wholes)


def are_numbered(found: FoundVolumes) -> bool:
    """Whether all volumes end in one of nnU-Net's numbers of channels, of which there are several."""
    matches = [re.search(NUMBERED, name) for name in found.volumes]
    return all(matches) and len({match[1] for match in matches if match}) > 1


def choose_channels(case_set: CaseSet, names: tuple[str, ...]) -> CaseSet:
    """The data set with those of its channels that are named, in this order.

    Args:
        case_set: as its layout gives it.
        names: of those that are meant; empty: all as they are. Where nothing else says what the channels are called,
            these are their names, all of them. ``t1=T1 (pre-contrast)`` takes the channel t1 and calls it so, as where
            a model knows it by that name.

    Raises:
        InputError: a name that no channel has, two channels that are called the same, or not as many names as channels.
    """
    known = case_set.channel_names
    if not names or names == known:
        return case_set
    if not known:
        if case_set.channels not in (1, len(names)):
            raise InputError(f"channel_names {','.join(names)}: {len(names)} names for {case_set.channels} channels")
        if case_set.assumed:
            case_set = replace(case_set, modality=modality_of_names(names), assumed=False)
        return replace(case_set, channel_names=names, channels=len(names))
    parts = [(name, name) if name in known else _renamed(name) for name in names]
    chosen = [index_of(name, known, case_set.root) for name, _ in parts]
    called = tuple(name for _, name in parts)
    if len(set(called)) < len(called):
        raise InputError(f"channel_names {','.join(names)}: two channels would be called the same")
    cases = tuple(_with_channels(case, chosen) for case in case_set.cases)
    return replace(case_set, cases=cases, channel_names=called, channels=len(names))


def _renamed(text: str) -> tuple[str, str]:
    """The name that a channel has, and the one that it gets."""
    name, _, called = (part.strip() for part in text.partition("="))
    return name, called or name


def index_of(name: str, known: Sequence[str], root: Path) -> int:
    """The number of a channel.

    Raises:
        InputError: none, or several, are called so.
    """
    if known.count(name) != 1:
        raise InputError(f"channel_names {name}: {root} has the channels {', '.join(known)}")
    return known.index(name)


def _with_channels(case: Case, chosen: Sequence[int]) -> Case:
    if not case.further:
        return replace(case, picked=tuple(case.picked[number] if case.picked else number for number in chosen))
    first, *further = (case.files[number] for number in chosen)
    return replace(case, image=first, further=tuple(further))


def _other(path: Path, match: re.Match[str], channel: str, root: Path) -> Path:
    """Where the file of another channel should be, by the path of one."""
    place = match.string[: match.start(1)] + channel + match.string[match.end(1) :]
    return on_disk(root / f"{place}{volume_ending(path)}")
