"""Splits of images: train on a few of all, evaluate on all the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from segxfer3d.data.image_case import ImageCase
from segxfer3d.data.split import round_half_up
from segxfer3d.errors import InputError

# Number of images of a data set -> fraction -> images that the paper trained on. No rule of rounding gives all six:
# five are rounded half up, but 5 % of 7375 is 368.75, which the paper counts as 368, while its 73.75 became 74.
PUBLISHED_COUNTS = {
    849: {0.01: 8, 0.05: 42, 0.2: 170},  # Oxford Flowers 17
    7375: {0.01: 74, 0.05: 368, 0.2: 1475},  # Oxford-IIIT Pets
}

# Separate the streams of draws that one seed makes: which images pretrain, and which are labeled.
_PRETRAIN, _LABELED = 2, 3


@dataclass(frozen=True)
class ImageSplit:
    """Cases of each part, sorted by name; no group is in two of ``train``, ``validation`` and ``test``.

    ``pretrain`` is the share that was set apart for pretraining: of groups of its own, or else empty, where pretraining
    takes another data set or this one without its labels.
    """

    pretrain: tuple[ImageCase, ...]
    train: tuple[ImageCase, ...]
    validation: tuple[ImageCase, ...]
    test: tuple[ImageCase, ...]

    def as_dict(self) -> dict[str, list[str]]:
        """Names of the cases of each part."""
        return {part.name: [case.name for case in getattr(self, part.name)] for part in fields(self)}

    @staticmethod
    def from_dict(parts: Mapping[str, Collection[str]], cases: Sequence[ImageCase]) -> ImageSplit:
        """The split again, from the names of each part; cases that it does not name are in no part.

        Raises:
            InputError: a part is missing, or names a case that is not there.
        """
        names = [part.name for part in fields(ImageSplit)]
        if missing := [name for name in names if name not in parts]:
            raise InputError(f"split: expected the parts {', '.join(names)}; {', '.join(missing)} missing")
        known = {case.name: case for case in cases}
        if lost := sorted({case for name in names for case in parts[name]} - known.keys()):
            raise InputError(f"split: {len(lost)} of its images are not there: {', '.join(lost[:10])}")
        return ImageSplit(*(tuple(known[case] for case in sorted(parts[name])) for name in names))


def split_images(
    cases: Sequence[ImageCase],
    label_fraction: float | None = None,
    label_count: int | None = None,
    pretrain_fraction: float = 0.0,
    validation_fraction: float = 0.0,
    seed: int = 0,
    official: bool = False,
) -> ImageSplit:
    """Train on a few of all images, evaluate on all the others; the same whatever the order of the files.

    Unlike :func:`~segxfer3d.data.split.split_by_patient` followed by
    :func:`~segxfer3d.data.split.take_labels`, this is the paper's protocol for images: the fraction is of the whole
    data set, and what it leaves is the test part. So the test part depends on the fraction. All numbers are of groups
    (:class:`~segxfer3d.data.image_case.ImageCase`), which are single images unless the data set knows better. For one
    seed the training part of a smaller fraction is part of a larger's.

    Args:
        cases: of one data set.
        label_fraction: of all groups, to train on, counted by :func:`labeled_count`; or
        label_count: their number. Neither: with ``official`` the whole official training part, else an error.
        pretrain_fraction: of all groups, set apart before anything else, rounded half up; the fraction above is then of
            the others.
        validation_fraction: of the training side, rounded half up, at least one; not trained on and not tested on.
        seed: of the draw.
        official: test on the data set's official validation part and draw from its official training part only.

    Raises:
        InputError: fractions out of range, a number that cannot be met, or a part that nothing is left for.
    """
    for name, value in (("pretrain_fraction", pretrain_fraction), ("validation_fraction", validation_fraction)):
        if not 0 <= value < 1:
            raise InputError(f"{name}: expected at least 0 and less than 1, got {value:g}")
    if label_fraction is not None and label_count is not None:
        raise InputError("label_fraction and label_count: expected one of them, got both")
    rest, pretrain = hold_out(cases, pretrain_fraction, seed) if pretrain_fraction else (tuple(cases), ())
    if official:
        pool, test = _official_parts(rest)
    else:
        pool, test = rest, ()
        if label_fraction is None and label_count is None:
            raise InputError("label_fraction or label_count: expected one of them, to say how many images to train on")
    groups = _groups(pool)
    count = _count(len(groups), label_fraction, label_count)
    if not official and count >= len(groups):
        raise InputError(f"{count} of {len(groups)} images to train on leave nothing to evaluate on; expected fewer")
    order = [groups[i] for i in np.random.default_rng([seed, _LABELED]).permutation(len(groups))]
    held = max(1, round_half_up(validation_fraction, count)) if validation_fraction else 0
    if held >= count:
        raise InputError(
            f"validation_fraction {validation_fraction:g} of {count} training images leaves none; expected at least "
            "one to train on"
        )
    # from the end of the draw, so that training parts of one seed stay nested
    train, validation = order[: count - held], order[count - held : count]
    return ImageSplit(
        pretrain,
        _of(train, pool),
        _of(validation, pool),
        test or _of(order[count:], pool),
    )


def hold_out(
    cases: Sequence[ImageCase], fraction: float, seed: int = 0
) -> tuple[tuple[ImageCase, ...], tuple[ImageCase, ...]]:
    """Set a share of the groups apart, such as for pretraining, or for validating it.

    Args:
        cases: of one data set.
        fraction: of the groups, above 0 and below 1; rounded half up, at least one.
        seed: of the draw.

    Returns:
        the others and the share.

    Raises:
        InputError: the fraction is out of range, or leaves nothing.
    """
    if not 0 < fraction < 1:
        raise InputError(f"the share to set apart: expected above 0 and less than 1, got {fraction:g}")
    groups = _groups(cases)
    count = max(1, round_half_up(fraction, len(groups)))
    if count >= len(groups):
        raise InputError(f"setting {fraction:g} of {len(groups)} images apart leaves none; expected more images")
    order = [groups[i] for i in np.random.default_rng([seed, _PRETRAIN]).permutation(len(groups))]
    return _of(order[count:], cases), _of(order[:count], cases)


def labeled_count(fraction: float, number: int) -> int:
    """How many of ``number`` images a fraction is: the paper's count where it has one, else rounded half up.

    The paper's own counts (:data:`PUBLISHED_COUNTS`) hold for a data set of exactly the published number of images.

    Example:
        >>> [labeled_count(fraction, 849) for fraction in (0.01, 0.05, 0.2)]
        [8, 42, 170]
        >>> [labeled_count(0.05, number) for number in (7375, 7376, 10)]
        [368, 369, 1]
    """
    return PUBLISHED_COUNTS.get(number, {}).get(fraction, round_half_up(fraction, number))


def _count(groups: int, fraction: float | None, count: int | None) -> int:
    if fraction is not None:
        if not 0 < fraction <= 1:
            raise InputError(f"label_fraction: expected a number above 0 and at most 1, got {fraction:g}")
        count = labeled_count(fraction, groups)
        if count < 1:
            raise InputError(f"label_fraction {fraction:g} of {groups} images is none; expected at least one")
        return count
    if count is not None and not 1 <= count <= groups:
        raise InputError(f"label_count: expected 1 to {groups} (the images), got {count}")
    return groups if count is None else count


def _official_parts(cases: Sequence[ImageCase]) -> tuple[tuple[ImageCase, ...], tuple[ImageCase, ...]]:
    parts = [tuple(sorted((c for c in cases if c.part == part), key=lambda c: c.name)) for part in ("train", "val")]
    for name, part in zip(("training", "validation"), parts, strict=True):
        if not part:
            raise InputError(f"the official split: no image of its {name} part; does the data set have such a split?")
    if shared := {c.group for c in parts[0]} & {c.group for c in parts[1]}:
        raise InputError(f"the official split: images of one group in both parts: {', '.join(sorted(shared)[:10])}")
    return parts[0], parts[1]


def _groups(cases: Iterable[ImageCase]) -> list[str]:
    return sorted({case.group for case in cases})


def _of(groups: Collection[str], cases: Iterable[ImageCase]) -> tuple[ImageCase, ...]:
    chosen = set(groups)
    return tuple(sorted((case for case in cases if case.group in chosen), key=lambda case: case.name))
