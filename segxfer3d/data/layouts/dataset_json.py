"""``dataset.json``: the classes that it names, in the form of the Medical Segmentation Decathlon or of nnU-Net."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from segxfer3d.data.io.volumes import volume_ending, volume_name
from segxfer3d.data.layouts.declared import Declared, classes_of, classes_of_volumes
from segxfer3d.data.modalities import modality_of_names
from segxfer3d.documents import text_of
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import (
    LIST,
    NAMES,
    OBJECT,
    PATH,
    Either,
    Entries,
    ListOf,
    Plain,
    Table,
    fits,
    optional,
    refuse,
    shown,
)  # fmt: skip
from segxfer3d.schema.parsing import parse
from segxfer3d.spelling import on_disk, one_form

NAME = "dataset.json"
_FOLDERS = ("imagesTr", "imagesTs", "labelsTr")  # nnU-Net's, which tell its data from others that name channels
_SPLITS = ("validation", "fold", "folds")  # what only a list of cases says
ENCODING = "utf-8-sig"  # UTF-8, with or without the mark that editors of Windows put before it
BAD = (ValueError, TypeError, AttributeError, KeyError)
_MOST = 600  # characters of what is wrong
_SAID = Plain("text or a whole number", lambda value: isinstance(value, (str, int)) and fits(NAMES, [value]))
_PATHS = Either((ListOf(PATH), PATH))
_CASE = Either((PATH, Entries({"image": _PATHS}, {"label": optional(PATH), "name": _SAID, "patient": optional(_SAID)})))
# also of what is no case here: the first version of nnU-Net lists pairs of paths
_KIND = Entries(
    {},
    {
        "training": ListOf(_CASE),
        "validation": optional(ListOf(_CASE)),
        "test": optional(ListOf(Either((LIST, _CASE)))),
        "dataset": optional(Table(Entries({"images": ListOf(PATH), "label": PATH}))),
        "labels": OBJECT,
        "file_ending": Plain("an ending, such as .nii.gz", lambda value: isinstance(value, str) and len(value) < 20),
    },
)


class _Entries(dict[str, Any]):
    """An object of a JSON file that knows which of its keys are there twice, of which Python keeps the last."""

    twice: tuple[str, ...] = ()


def _entries(pairs: list[tuple[str, Any]]) -> _Entries:
    entries = _Entries(pairs)
    entries.twice = tuple(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return entries


def load(path: Path) -> Any:
    """What the file holds.

    Raises:
        ValueError: it cannot be read, or an entry is none that any reader takes; the message names it.
    """
    content = _any(path)
    refuse(_KIND, content)
    for key in ("training", "validation", "test"):
        for number, case in enumerate(content.get(key) or ()):
            _refuse_twice(case, f"{key}[{number}]: ")
    _refuse_twice(content, "")
    return content


def _any(path: Path) -> Any:
    """What the file holds, whatever that is.

    Raises:
        ValueError: it cannot be read.
    """
    return parse(text_of(path, ENCODING), _entries)


def _refuse_twice(entries: Any, where: str) -> None:
    if twice := getattr(entries, "twice", ()):
        raise ValueError(f"{where}the key {shown(twice[0])} is there twice; expected it once")


def in_words(error: Exception) -> str:
    """What went wrong, in words; those of Python need the kind of error beside them."""
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


def refuse_parts(root: Path) -> None:
    """For layouts whose ``dataset.json`` lists no cases.

    Raises:
        InputError: it says who validates, or folds, which only a list of cases can.
    """
    path = root / NAME
    try:
        said = [key for key in _SPLITS if _any(path).get(key)]
    except BAD:
        return  # whoever reads it says so
    if said:
        raise InputError(f"{path}: has {said[0]!r} and lists no cases; say who is in which part by --split_file")


def read_declared(root: Path) -> Declared | None:
    """What a ``dataset.json`` in the folder says of the labels of volumes; None where there is no such file.

    Raises:
        InputError: the file is damaged, or has no entry "labels" of names and values.
    """
    path = root / NAME
    if not path.is_file():
        return None
    try:
        content = load(path)
        return classes_of_volumes(content["labels"], content.get("regions_class_order"))
    except BAD as error:
        raise _no_classes(path, error) from error


def read_classes(root: Path) -> dict[int, str]:
    """The classes that a ``dataset.json`` in the folder names, with one that is to be ignored; none where there is no
    such file.

    Raises:
        InputError: the file is damaged, has no entry "labels" of names and values, or names regions.
    """
    path = root / NAME
    if not path.is_file():
        return {}
    try:
        labels = load(path)["labels"]
        if any(isinstance(value, list) for value in labels.values()):
            raise InputError(
                f"{path}: regions, classes that are lists of values, are for volumes; of images each class has one "
                "value"
            )
        return classes_of(labels)
    except InputError:
        raise
    except BAD as error:
        raise _no_classes(path, error) from error


def read_ignored(root: Path) -> tuple[int, ...]:
    """The values that a ``dataset.json`` in the folder says to ignore, beside classes or regions; none where there is
    no such file, or one that says nothing of labels.

    Raises:
        InputError: the file is damaged, or its "labels" are no names and values.
    """
    path = root / NAME
    with suppress(*BAD):
        if not path.is_file() or "labels" not in _any(path):
            return ()
    declared = read_declared(root)
    return declared.rule.ignore if declared else ()


def refuse_regions(root: Path, declared: Declared | None) -> None:
    """For labels of a file a class, or of named segments.

    Raises:
        InputError: regions, which are made of the values of one label map.
    """
    if declared and declared.regions:
        raise InputError(f"{root / NAME}: regions are made of the values of one label map; expected names and values")


def _no_classes(path: Path, error: Exception) -> InputError:
    return InputError(
        f'{path}: no classes in it ({in_words(error)}); expected "labels", as in '
        '{"labels": {"background": 0, "disc": 1, "cup": 2}}'
    )


def lists_cases(root: Path) -> bool:
    """Whether there is a ``dataset.json`` that says which cases there are, rather than only what their labels mean; a
    damaged one counts, and nnU-Net's does not, see :func:`lists_numbered`."""
    path = root / NAME
    if not path.is_file():
        return False
    try:
        content = _any(path)
    except ValueError:
        return True
    return (
        not isinstance(content, dict)
        or "labels" not in content
        or ("training" in content and not _numbered(root, content))
    )


def lists_numbered(root: Path) -> bool:
    """Whether there is a ``dataset.json`` of nnU-Net: one that names channels and lists no cases beside its folders, or
    lists them under "dataset", or lists images without the number of the channel that their files have."""
    try:
        content = _any(root / NAME)
    except ValueError:
        return False
    return isinstance(content, dict) and "labels" in content and _numbered(root, content)


def _numbered(root: Path, content: Mapping[str, Any]) -> bool:
    if "training" not in content:
        there = content.get("dataset") or any((root / name).is_dir() for name in _FOLDERS)
        return bool(content.get("channel_names") and there)
    try:
        listed = content["training"][0]["image"]
    except (TypeError, KeyError, IndexError):
        return False
    if not fits(PATH, listed):
        return False
    first = on_disk(root / listed)
    name = volume_name(first)
    numbered = first.with_name(f"{name}_0000{volume_ending(first)}")
    return bool(name) and not first.exists() and on_disk(numbered).exists()


def read_modality(root: Path) -> str:
    """``CT``, ``MR`` or ``unknown`` by the "modality" of a ``dataset.json``, or by nnU-Net's "channel_names"; empty
    where none says it.

    Raises:
        InputError: the file is damaged.
    """
    path = root / NAME
    if not path.is_file():
        return ""
    try:
        content = load(path)
        declared = content.get("modality") or content.get("channel_names") or ""
    except BAD as error:
        raise InputError(f"{path}: no modality in it ({in_words(error)})") from error
    return modality_of_channels(declared) if declared else ""


def names_of_channels(content: Mapping[str, Any]) -> tuple[str, ...]:
    """What a ``dataset.json`` calls several channels, in the order of their numbers: nnU-Net's "channel_names" or the
    Decathlon's "modality"; none where it knows one only.

    Raises:
        ValueError: their numbers are not 0, 1, 2, ...
    """
    named = content.get("channel_names") or content.get("modality") or {}
    if not isinstance(named, Mapping) or len(named) < 2:
        return ()
    names = {int(number): one_form(str(name)) for number, name in named.items()}
    if sorted(names) != list(range(len(names))):
        raise ValueError(f"channels {', '.join(map(str, named))}; expected 0 to {len(named) - 1}")
    return tuple(names[number] for number in range(len(names)))


def read_channel_names(root: Path) -> tuple[str, ...]:
    """What the ``dataset.json`` of a folder calls several channels; none where there is no such file, or it knows one.

    Raises:
        InputError: the file is damaged.
    """
    path = root / NAME
    if not path.is_file():
        return ()
    try:
        return names_of_channels(load(path))
    except BAD as error:
        raise InputError(f"{path}: no channels in it ({in_words(error)})") from error


def modality_of_channels(channels: Any) -> str:
    """What the entry "modality" says, which names every channel."""
    return modality_of_names(map(str, channels.values() if isinstance(channels, dict) else [channels]))
