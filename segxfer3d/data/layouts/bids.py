"""BIDS: images in ``sub-01/[ses-1/]anat/sub-01_T1w.nii.gz``, labels in ``derivatives`` (https://bids.neuroimaging.io).

Labels are ``dseg`` (a value for each class, named by the columns "index" and "name" of a ``dseg.tsv`` beside it or
above it) or, where there is none, ``mask``: one, or one for each class (``label-L_mask``). A label is of the image all
of whose entities (``sub``, ``ses``, ``acq``, ``run``, ...) it has; those in another space (``space-MNI152...``) are
passed over. Where a session has several images, or an image several labels, ``image_pattern`` and ``label_pattern`` say
which. Images of several kinds (``T1w``, ``FLAIR``) are the channels of one where ``channel_names`` names the kinds, or
``channel_pattern`` finds what is a channel, as in ``_(T1w|ce-gd_T1w|FLAIR)$``. Facts of the names: https://bids-specification.readthedocs.io/en/v1.8.0/05-derivatives/03-imaging.html
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segxfer3d.config.channels import names_of
from segxfer3d.data.case import Case, CaseSet, LabelRule, compiled_pattern, patient_of
from segxfer3d.data.io.volumes import volume_ending, volume_name
from segxfer3d.data.layouts.channel_files import channel_matches
from segxfer3d.data.layouts.dataset_json import read_declared, refuse_regions
from segxfer3d.data.layouts.declared import Declared
from segxfer3d.data.layouts.files_below import folders_below
from segxfer3d.data.layouts.patient_folders import refuse, with_masks
from segxfer3d.data.layouts.request import Request, require
from segxfer3d.data.layouts.volume_files import place_of
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import on_disk
from segxfer3d.spreadsheets import decoded

TITLE = "BIDS"
SOURCE = "a data set of https://bids.neuroimaging.io"
DIMS = (3,)
BY_CHANNELS = True

LABELS = ("dseg", "mask")
OTHERS = (  # suffixes of what is no single volume of a patient
    "bold", "cbv", "sbref", "dwi", "epi", "fieldmap", "phasediff", "phase1", "phase2", "magnitude", "magnitude1",
    "magnitude2", "asl", "m0scan", "probseg", "defacemask",
)  # fmt: skip
CT = ("ct", "CT")
PET = ("pet", "PET")
NATIVE = ("", "orig", "individual")  # spaces of the image itself, beside its own suffix


class Named(NamedTuple):
    """A file by its name, or the channels of an image, which have a file each.

    Attributes:
        path: of the file.
        entities: key to label, such as ``sub`` to ``01``; of channels those that are no part of a channel's name.
        suffix: the last part, such as ``T1w``.
        further: files of the channels after the first.
        kinds: suffixes of all channels.
    """

    path: Path
    entities: dict[str, str]
    suffix: str
    further: tuple[Path, ...] = ()
    kinds: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of a case."""
        return "_".join(f"{key}-{label}" for key, label in self.entities.items())

    def is_of(self, image: Named) -> bool:
        """Whether a label has all entities of an image, and lies in its space."""
        same = all(self.entities.get(key) == label for key, label in image.entities.items())
        space, of_image = (named.entities.get("space", "") for named in (self, image))
        return same and (space == of_image or space in (*NATIVE, image.suffix, *image.kinds))


def fits(root: Path) -> bool:
    """Whether there is a subject's folder with a file that is called as in BIDS."""
    places = (path for depth in ("*", "ses-*/*") for path in root.glob(f"sub-*/{depth}/sub-*_*"))
    return any(volume_name(path) and path.is_file() for path in places)


def read(root: Path, request: Request) -> CaseSet:
    """All images of the subjects, with the labels that derivatives have.

    Raises:
        InputError: no image, several images of a session or several labels of an image that no pattern tells apart, two
            names of one value, or ``patient_pattern`` does not fit.
    """
    images = _images(root, request)
    if not images:
        require(root, ["sub-01/anat/sub-01_T1w.nii.gz"], title=TITLE, source=SOURCE)
    images, names = _channels_of(root, images, request)
    found = list(_named(root, root / "derivatives", LABELS, request.label_pattern, "label_pattern"))
    labels = {image.path: _best(found, image) for image in images}
    problems = [
        f"{some([str(label.path) for label in chosen], 3, ' and ')} (several labels of one image)"
        for chosen in labels.values()
        if len({_class_of(label) for label in chosen}) < len(chosen) or (len(chosen) > 1 and chosen[0].suffix == "dseg")
    ]
    if problems:
        raise InputError(f"{root}: {some(problems, 5)}; --label_pattern says which, as in 'derivatives/manual/'")
    chosen = [label for each in labels.values() for label in each]
    declared = read_declared(root)
    if any(label.suffix == "mask" for label in chosen):
        refuse_regions(root, declared)
    named = {} if declared else _classes(root, chosen)
    classes, rule, regions = declared or Declared(named, LabelRule(tuple(named)))
    cases, problems = [], []
    for image in images:
        case, lacking = _case(image, labels[image.path], classes, request)
        cases.append(replace(case, further=image.further))
        problems += [f"{case.image} (no mask of {some(lacking, 3, ', ')})"] if lacking else []
    refuse(root, problems)
    used = {label.path for label in chosen}
    passed = [label for label in found if label.path not in used]
    notes = (f"{len(passed)} labels of BIDS are passed over, for example {passed[0].path.name}",) if passed else ()
    modality = _modality(images)
    return CaseSet(
        root,
        "bids",
        3,
        tuple(cases),
        classes,
        rule,
        channel_names=names,
        modality=modality,
        notes=notes,
        regions=regions,
    )


def _images(root: Path, request: Request) -> list[Named]:
    subjects = sorted(path for path in root.glob("sub-*") if path.is_dir())
    named = (
        image for subject in subjects for image in _named(root, subject, (), request.image_pattern, "image_pattern")
    )
    return [image for image in named if image.suffix not in (*OTHERS, *LABELS)]


def _named(root: Path, folder: Path, suffixes: Iterable[str], pattern: str, option: str) -> Iterable[Named]:
    """The volumes below a folder that are called as in BIDS, have one of the suffixes and fit a pattern."""
    wanted, suffixes = compiled_pattern(pattern, option), tuple(suffixes)
    for here, names in folders_below(folder).files.items() if folder.is_dir() else ():
        for path in (here / name for name in names):
            *parts, suffix = (volume_name(path) or "-").split("_")
            if "-" in suffix or not parts or not all("-" in part for part in parts) or not parts[0].startswith("sub-"):
                continue
            if (not suffixes or suffix in suffixes) and wanted.search(place_of(root, path)):
                yield Named(path, dict(part.split("-", 1) for part in parts), suffix)


def _channels_of(root: Path, images: list[Named], request: Request) -> tuple[list[Named], tuple[str, ...]]:
    """Images put together from their channels, where these are asked for, and the names of the channels.

    Raises:
        InputError: images that are of several kinds and not asked for as channels, kinds that are not there, or as
            :func:`~segxfer3d.data.layouts.channel_files.channel_matches`.
    """
    kinds = sorted({image.suffix for image in images})
    asked = [name.partition("=")[0].strip() for name in names_of(request.channel_names)]
    pattern = request.channel_pattern
    if not pattern and (len(kinds) < 2 or not asked):
        _refuse_several(root, images)
        return images, ()
    if not pattern:
        if strange := [name for name in asked if name not in kinds]:
            raise InputError(f"channel_names {', '.join(strange)}: {root} has the kinds {', '.join(kinds)}")
        pattern = f"_({'|'.join(map(re.escape, asked))})$"
    places = {place_of(root, image.path): image for image in images}
    matches = channel_matches(root, places, pattern)
    channels = sorted({match[1] for match in matches.values()})
    wholes: dict[str, dict[str, Named]] = {}
    problems = []
    for place, match in matches.items():
        rest = Path(place[: match.start()] + place[match.end() :]).name
        other = wholes.setdefault(rest, {}).setdefault(match[1], places[place])
        if other is not places[place]:
            problems.append(f"{other.path} and {places[place].path}")
    if problems:
        raise InputError(f"{root}: two images of one channel ({some(problems, 5)}); --image_pattern says which")
    found = []
    for rest, whole in wholes.items():
        there = next(iter(whole.values()))
        match = matches[place_of(root, there.path)]
        first, *further = (
            whole[channel].path if channel in whole else _lacking(root, there.path, match, channel)
            for channel in channels
        )
        entities = dict(part.split("-", 1) for part in rest.split("_") if "-" in part)
        suffixes = tuple(sorted({image.suffix for image in whole.values()}))
        found.append(Named(first, entities, there.suffix, tuple(further), suffixes))
    return found, tuple(channels)


def _lacking(root: Path, path: Path, match: re.Match[str], channel: str) -> Path:
    """Where the file of a channel should be that an image lacks, by one that it has."""
    place = match.string[: match.start(1)] + channel + match.string[match.end(1) :]
    return on_disk(root / f"{place}{volume_ending(path)}")


def _refuse_several(root: Path, images: list[Named]) -> None:
    counts = Counter(image.name for image in images)
    if max(counts.values()) > 1 or len({image.suffix for image in images}) > 1:
        kinds = sorted({image.suffix for image in images})
        raise InputError(
            f"{root}: images of several kinds ({some(kinds, 6, ', ')}); --image_pattern says which are meant, as in "
            f"'_{kinds[0]}$'" + (f", --channel_names takes them as channels: {','.join(kinds)}" if kinds[1:] else "")
        )


def _best(found: list[Named], image: Named) -> list[Named]:
    """The labels of an image: a segmentation before masks."""
    labels = [label for label in found if label.is_of(image)]
    return [label for label in labels if label.suffix == "dseg"] or labels


def _class_of(label: Named) -> str:
    return label.entities.get("label") or label.entities.get("desc") or label.suffix


def _classes(root: Path, labels: list[Named]) -> dict[int, str]:
    """Value to name.

    Raises:
        InputError: two tables have two names for one value.
    """
    masks = sorted({_class_of(label) for label in labels if label.suffix == "mask"})
    if masks:
        return dict(enumerate(masks, 1))
    classes: dict[int, str] = {}
    for table in dict.fromkeys(table for label in labels if (table := _table_of(root, label))):
        for value, name in _read_table(table).items():
            if value and classes.setdefault(value, name) != name:
                raise InputError(f"{table}: {value} is {name}, elsewhere {classes[value]}")
    return dict(sorted(classes.items()))


def _table_of(root: Path, label: Named) -> Path | None:
    """The nearest ``dseg.tsv`` beside a label or above it whose entities the label has."""
    for folder in label.path.parents:
        tables = (path for path in folder.glob("*dseg.tsv") if not path.name.startswith("."))
        for table in sorted(tables, key=lambda path: -len(path.name)):
            parts = table.name.removesuffix("dseg.tsv").strip("_").split("_")
            pairs = [part.split("-", 1) for part in parts if "-" in part]
            if all(label.entities.get(key) == value for key, value in pairs):
                return table
        if folder == root:
            break
    return None


def _read_table(path: Path) -> dict[int, str]:
    try:
        rows = csv.DictReader(io.StringIO(decoded(path.read_bytes()), newline=""), delimiter="\t")
        return {int(row["index"]): row["name"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path}: no classes in it ({error}); expected columns "index" and "name"') from error


def _case(image: Named, labels: list[Named], classes: dict[int, str], request: Request) -> tuple[Case, list[str]]:
    """A case, and the classes that it has no mask of."""
    patient = (
        patient_of(image.name, request.patient_pattern) if request.patient_pattern else f"sub-{image.entities['sub']}"
    )
    if len(classes) > 1 and labels and labels[0].suffix == "mask":
        masks = {_class_of(label): label.path for label in labels}
        return with_masks(image.name, image.path, masks, classes, folder=labels[0].path.parent, patient=patient)
    return Case(image.name, image.path, labels[0].path if labels else None, patient), []


def _modality(images: list[Named]) -> str:
    kinds = {kind for image in images for kind in (image.kinds or (image.suffix,))}
    return "CT" if kinds <= {*CT} else "unknown" if kinds & {*PET, *CT} else "MR"
