"""Labels that lie among the images: which label is of which image."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.data.layouts.files_below import folders_below
from segxfer3d.data.layouts.volume_files import FoundVolumes, place_of
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import one_form

# how the path of a label ends
_END = re.compile(r"[-_./](?:segs?|segmentations?|masks?|labels?|labelmaps?|rois?|gt|ground-?truth)$", re.IGNORECASE)


def labels_of(found: FoundVolumes, *, image_pattern: str, label_pattern: str) -> dict[str, tuple[str, Path | None]]:
    """What each case is called, and its label.

    Paths are those below the folder, without the ending. A label is of the image whose path, less what
    ``image_pattern`` finds in it, is the label's path less what ``label_pattern`` finds; such a case is called by what
    is left. Else it is of the image whose path is what is left of the label's, or of the only image in the folder that
    is left. So ``p1/ct`` and ``p1/seg`` belong together by ``/ct$`` and ``/seg$``, and by ``/seg$`` alone; ``a_seg``
    belongs to ``a`` by ``_seg$``.

    Args:
        found: images and labels.
        image_pattern: regular expression; empty: none.
        label_pattern: regular expression.

    Returns:
        name of the image in ``found`` to the case's name and its label; None where it has none.

    Raises:
        InputError: labels without image, images with two labels, or two images of one name.
    """
    keys = {name: _rest(image_pattern, place) if image_pattern else "" for name, place in found.places.items()}
    known = {key: name for name, key in keys.items() if key}
    by_place = {place: name for name, place in found.places.items()}
    inside: dict[str, list[str]] = defaultdict(list)
    for name, place in found.places.items():
        inside[place.rpartition("/")[0]].append(name)
    labels: dict[str, list[Path]] = defaultdict(list)
    problems = []
    for place, path in found.labels.items():
        rest = _rest(label_pattern, place)
        alone = inside.get(rest, [])
        name = known.get(rest) or by_place.get(rest) or (alone[0] if len(alone) == 1 else "")
        if name:
            labels[name].append(path)
        else:
            problems.append(f"{path} (label without image)")
    problems += [f"{paths[0]} and {paths[1]} (two labels of one image)" for paths in labels.values() if len(paths) > 1]
    if problems:
        raise InputError(f"{found.root}: images and labels do not match: {some(problems)}")
    called = {name: "_".join(key.split("/")) if key else name for name, key in keys.items()}
    if len(set(called.values())) < len(called):
        called = {name: name for name in called}  # the pattern finds too much to leave names
    return {name: (called[name], labels[name][0] if name in labels else None) for name in found.volumes}


def _rest(pattern: str, place: str) -> str:
    """A path less what a pattern finds in it."""
    return re.sub(one_form(pattern), "", place, count=1).strip("/")


def label_hint(root: Path, cases: Sequence[Case]) -> str:
    """Where no case has a label: the option that takes files among them for labels, by their names; empty where none is
    called as labels are.

    Args:
        root: of the volumes.
        cases: the images that were found.
    """
    images = {path for case in cases for path in case.files}
    files = (here / name for here, names in folders_below(root).files.items() for name in names)
    places = [place_of(root, path) for path in files if volume_name(path) and path not in images]
    ends = Counter(match.group() for place in sorted(places) if (match := _END.search(place)))
    if not ends:
        return ""
    (end, _), *_ = ends.most_common(1)
    example = next(place for place in sorted(places) if place.endswith(end))
    return f"{example} may be a label: --label_pattern '{re.escape(end)}$' reads such files as labels"


def require_labels(case_set: CaseSet, needs: str) -> tuple[Case, ...]:
    """The labeled cases of volumes.

    Args:
        case_set: volumes.
        needs: what they are for, such as "a plan is made from image/label pairs".

    Raises:
        InputError: there is none; the message names the option that may find some.
    """
    if not case_set.labeled:
        hint = label_hint(case_set.root, case_set.cases)
        raise InputError(f"{case_set.root}: no labels found; {hint or needs}")
    return case_set.labeled
