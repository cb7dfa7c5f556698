"""Labels that lie among the images: which label is of which image."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from segxfer3d.data.layouts.volume_files import FoundVolumes
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import one_form


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
