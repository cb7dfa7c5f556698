"""Data sets on disk: one module a layout, called as on the command line, and :func:`find_cases`, which picks one.

A layout is a module of this folder with ``TITLE`` (what the data set is called), ``SOURCE`` (what has to be unpacked,
and where it is had), ``DIMS`` (``(3,)`` for volumes, ``(2,)`` for images), ``fits(root)`` (whether a folder has the
layout) and ``read(root, request)``, which gives the cases. A new file is found by itself. Where a layout knows images
and labels by nothing but their names, it has ``BY_NAMES = True``, and is not asked where ``image_pattern``,
``label_pattern`` or ``channel_pattern`` are given. One that takes ``channel_pattern`` has ``BY_CHANNELS = True``; one
whose ``dataset.json`` lists cases, and so may say their parts, has ``LISTS_CASES = True``, and one whose masks have
pixels that the annotators left open has ``LEFT_OPEN = True``.
"""

from __future__ import annotations

import os
import pkgutil
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from segxfer3d.config.channels import names_of
from segxfer3d.data.case import NOUNS, CaseSet, compiled_pattern
from segxfer3d.data.class_names import refuse_one_name
from segxfer3d.data.label_map import value_pairs, with_label_map
from segxfer3d.data.layouts.channel_files import choose_channels
from segxfer3d.data.layouts.dataset_json import refuse_parts
from segxfer3d.data.layouts.declared import without_ignored
from segxfer3d.data.layouts.listing import OtherKindError, refuse_other_kind, what_takes_it
from segxfer3d.data.layouts.request import BORDERS, TASKS, Request, one_of
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import two_paths

__all__ = ["Layout", "OtherKindError", "Request", "about", "find_cases", "layouts", "titled"]

KINDS = {"gray": 1, "color": 3}
FOLDER = "folder"  # fits everything, so it is asked last
_LOOKED = 30  # folders at most that are looked into for a data set, where the one that was named is none


class Layout(Protocol):
    """What a module of a layout has."""

    TITLE: str
    SOURCE: str
    DIMS: tuple[int, ...]

    def fits(self, root: Path) -> bool:
        """Whether a folder has this layout, by what lies in it; no file is opened."""
        ...

    def read(self, root: Path, request: Request) -> CaseSet:
        """The cases that the task can use; no image is opened.

        Raises:
            InputError: what is missing, and where it is had.
        """
        ...


@cache
def layouts() -> dict[str, Layout]:
    """Name to module of every layout, sorted, ``folder`` last."""
    names = sorted((module.name for module in pkgutil.iter_modules(__path__)), key=lambda name: (name == FOLDER, name))
    modules: dict[str, Any] = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: cast(Layout, module) for name, module in modules.items() if hasattr(module, "read")}


def find_cases(dataset_dir: str | os.PathLike[str], request: Request | None = None) -> CaseSet:
    """Find the cases of a data set; volumes and images are not opened.

    Masks of images are opened only by ``voc``, ``cityscapes`` and ``cityscapes_cars``, to see what they show.

    Args:
        dataset_dir: the data set's folder.
        request: what is asked of it; None: volumes. Without a ``layout`` all of the wanted kind (volumes or images) are
            asked whether they fit, ``folder`` last.

    Returns:
        the cases, sorted by name, and in ``notes`` what a user should hear.

    Raises:
        InputError: unknown names (with the nearest known one), several layouts that fit, images where volumes are
            wanted or the other way round, missing files (with their source), two cases of one name, or no case at all.
    """
    request = request or Request()
    one_of("task", request.task, TASKS)
    one_of("border", request.border, BORDERS)
    pairs = value_pairs(request.label_map)
    compiled_pattern(request.patient_pattern)  # some layouts know the patients and never use it
    named = request.layout and _named(request)
    root = Path(dataset_dir).expanduser()
    if not root.is_dir():
        raise InputError(f"dataset_dir {root}: {'not a folder' if root.exists() else 'no such folder'}")
    name = named or _fitting(root, request)
    if pairs and request.dims == 2 and name != FOLDER:
        raise InputError(f"label_map {request.label_map}: dataset {name} says what its masks mean; expected none")
    _refuse_idle(name, request)
    if request.dims == 3 and request.channel_pattern and not getattr(layouts()[name], "BY_CHANNELS", False):
        raise InputError(
            f"channel_pattern {request.channel_pattern}: the layout {name} of {root} says itself which files are "
            "channels; --channel_names picks among them, --dataset folder goes by the pattern"
        )
    if request.dims == 3 and not getattr(layouts()[name], "LISTS_CASES", False):
        refuse_parts(root)
    try:
        case_set = layouts()[name].read(root, request)
    except InputError as error:
        if name == FOLDER and not named and (inner := _inner(root, request.dims)):
            raise InputError(f"{error}\n{inner}: a data set of its own; is it the one that is meant?") from error
        raise
    case_set = with_label_map(without_ignored(case_set), pairs)
    refuse_one_name(case_set.classes, f"dataset_dir {root}")
    if request.dims == 2 and request.task != "classification":
        case_set = replace(case_set, categories=())
    if not case_set.cases:
        refuse_other_kind(root, request.dims, request.task)
        if request.dims == 3:
            passed = "".join(f"; {note}" for note in case_set.notes)
            raise InputError(f"dataset_dir {root}: no volumes in it (looked for the layout {name!r}){passed}")
        if request.extent != "all":
            raise InputError(
                f"extent {request.extent}: {root} has no training and validation part (layout {name}); expected all"
            )
        target = f" of {case_set.target}" if case_set.target else ""
        raise InputError(f"dataset_dir {root}: no images for {request.task}{target} in it")
    if twice := _of_one_name(case_set):
        raise InputError(f"dataset_dir {root}: several cases of one name: {some(twice)}")
    cases = sorted(case_set.cases, key=lambda case: case.name)
    if request.dims == 3:
        case_set = choose_channels(replace(case_set, cases=tuple(cases)), names_of(request.channel_names))
        cases = [replace(case, uneven=request.uneven_slices) for case in case_set.cases]
        if request.modality != "auto":
            modality = "unknown" if request.modality == "other" else request.modality
            case_set = replace(case_set, modality=modality, assumed=False)
    elif request.image_kind != "auto":
        case_set = replace(case_set, channels=KINDS[request.image_kind], convert=True)
    return replace(case_set, cases=tuple(cases), exif=request.exif)


def _refuse_idle(name: str, request: Request) -> None:
    """Refuse options of images that would change nothing.

    Raises:
        InputError: the layout or the task has nothing of the kind.
    """
    if request.border != "ignore" and not getattr(layouts()[name], "LEFT_OPEN", False):
        raise InputError(f"border {request.border}: dataset {name} has no pixels that were left open; expected ignore")
    if request.border != "ignore" and request.task != "segmentation":
        raise InputError(f"border {request.border}: it is of masks, and no masks are used here; expected ignore")
    if request.extent != "all" and (request.dims == 3 or request.task != "images" or request.target):
        raise InputError(f"extent {request.extent}: it is of images that pretrain without a target; expected all")


def _of_one_name(case_set: CaseSet) -> list[str]:
    """The names that several cases have, with two of their files."""
    files: dict[str, list[Path]] = {}
    for case in case_set.cases:
        files.setdefault(case.name, []).append(case.image)
    return [f"{name} ({two_paths(*paths[:2])})" for name, paths in sorted(files.items()) if len(paths) > 1]


def about(case_set: CaseSet) -> str:
    """Where a data set lies, its layout and how many cases it has, in words."""
    patients = len({case.patient for case in case_set.cases})
    whose = "patients" if case_set.dims == 3 else "patients or scenes"
    return (
        f"{case_set.root}: layout {titled(case_set)}, {len(case_set.cases)} {NOUNS[case_set.dims]} of {patients} "
        f"{whose}, {len(case_set.labeled)} labeled{_channels(case_set)}"
    )


def _channels(case_set: CaseSet) -> str:
    """Those of volumes of several, in words."""
    if case_set.dims == 2 or case_set.channels == 1:
        return ""
    names = f" ({', '.join(case_set.channel_names)})" if case_set.channel_names else ""
    return f", {case_set.channels} channels{names}"


def titled(case_set: CaseSet) -> str:
    """The layout of a data set, with what it is called where it has a name."""
    layout = layouts().get(case_set.layout)
    return f"{case_set.layout} ({layout.TITLE})" if layout and case_set.layout != FOLDER else case_set.layout


def _named(request: Request) -> str:
    """The layout that the request names, if it is one of its kind of data."""
    name = request.layout
    if name in layouts() and request.dims not in layouts()[name].DIMS:
        kind = NOUNS[5 - request.dims]
        raise OtherKindError(f"dataset {name}: a data set of {kind}", what_takes_it(request.dims, request.task))
    return one_of("dataset", name, [name for name, layout in layouts().items() if request.dims in layout.DIMS])


def _inner(root: Path, dims: int) -> Path | None:
    """The first folder below that has a layout of its own, two levels deep at most."""
    known = [layout for name, layout in layouts().items() if name != FOLDER and dims in layout.DIMS]
    folders = [path for depth in ("*", "*/*") for path in sorted(root.glob(depth)) if path.is_dir()][:_LOOKED]
    return next((path for path in folders if any(layout.fits(path) for layout in known)), None)


def _fitting(root: Path, request: Request) -> str:
    """The one layout that fits a folder."""
    patterns = request.image_pattern or request.label_pattern or request.channel_pattern
    by_pattern = request.dims == 3 and patterns
    asked = {name: layout for name, layout in layouts().items() if name != FOLDER}
    if by_pattern:  # which say more than the names of files
        asked = {name: layout for name, layout in asked.items() if not getattr(layout, "BY_NAMES", False)}
    fitting = [name for name, layout in asked.items() if layout.fits(root)]
    wanted = [name for name in fitting if request.dims in layouts()[name].DIMS]
    if len(wanted) > 1:
        raise InputError(f"dataset_dir {root}: has the layouts of {' and of '.join(wanted)}; say which with --dataset")
    if not wanted and fitting:
        refuse_other_kind(root, request.dims, request.task)
    return wanted[0] if wanted else FOLDER
