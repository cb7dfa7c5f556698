"""The volumes below a folder: files of every format and DICOM series, and what among them is no image.

Where masks lie among images, where one scan lies there several times, or several scans in one folder, nothing is
guessed: what was found is said, and which option settles it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segxfer3d.data.case import compiled_pattern
from segxfer3d.data.io.dicom import Contents, Scan, chosen, contents_of, which_says
from segxfer3d.data.io.volumes import volume_name
from segxfer3d.data.layouts.files_below import folders_below
from segxfer3d.errors import InputError, some
from segxfer3d.spelling import one_form, two_paths

_MASK = re.compile(
    r"(?:^|[-_./ ])"
    r"(?:segs?|segmentations?|masks?|labels?|labelmaps?|rois?|gt|ground-?truth|annotations?|derivatives)"
    r"(?=$|[-_./ ]|\d)",
    re.IGNORECASE,
)
# what dcm2niix appends to further versions of one scan (https://github.com/rordenlab/dcm2niix, FILENAMING.md)
_TWIN = re.compile(r"_(?:Eq_\d+|Eq|Tilt_\d+|Tilt|e\d+|ph|real|imaginary|ROI\d+|MoCo|t\d+|i\d+)[a-z]?$")
_LETTERS = set("abcdefghijklmnopqrstuvwxyz")
_COMPANIONS = (".raw", ".zraw", ".json", ".bval", ".bvec")  # of volumes
_SETTLES = (
    "--image_pattern with a regular expression says which are images, --label_pattern which are their labels "
    "(searched in such paths)"
)


@dataclass(frozen=True)
class FoundVolume:
    """One volume.

    Attributes:
        path: file or folder.
        patient: its ID in DICOM, empty where nothing says it.
        modality: DICOM's word, empty for other formats.
        further: the files of its channels after the first, where each has one.
    """

    path: Path
    patient: str = ""
    modality: str = ""
    further: tuple[Path, ...] = ()


@dataclass
class FoundVolumes:
    """All volumes below a folder.

    Attributes:
        root: the folder.
        volumes: name to volume; a name is the path below the folder without the ending, parts joined by "_".
        places: name to that path, parts joined by "/".
        passed: files that are none -> why.
        labels: path below the folder, without the ending, to file of what are labels by their pattern.
        channel_names: of volumes whose channels lie in files of their own, where these are called by names.
    """

    root: Path
    volumes: dict[str, FoundVolume] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Path] = field(default_factory=dict)
    channel_names: tuple[str, ...] = ()

    @property
    def paths(self) -> dict[str, Path]:
        """Name to file or folder."""
        return {name: volume.path for name, volume in self.volumes.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was passed over: how many files, with an example and the reasons."""
        if not self.passed:
            return ()
        reasons = some([f"{count} {why}" for why, count in Counter(self.passed.values()).most_common()], 5, ", ")
        example = Path(next(iter(self.passed))).name
        return (f"{len(self.passed)} files are no volumes and are passed over ({reasons}), for example {example}",)


def find_volumes(folder: Path, *, series: str = "", image_pattern: str = "", label_pattern: str = "") -> FoundVolumes:
    """Find volumes at any depth: files of a known format, and folders with a DICOM series. Hidden ones are passed over,
    links are followed, see :func:`~segxfer3d.data.layouts.files_below.folders_below`.

    Args:
        folder: to look in.
        series: chooses where a folder has several, see :func:`~segxfer3d.data.io.dicom.folder.chosen`; folders without
            such a series are then left out.
        image_pattern: regular expression; volumes in whose path below the folder (without the ending) it is not found
            are left out.
        label_pattern: the same for files that are labels and no images.

    Raises:
        InputError: a pattern that is none, several series in a folder, one series in several folders, DICOM beside
            volumes of other formats, no series that is the chosen one, no label where they have a pattern, two volumes
            or two labels of one name.
    """
    found = FoundVolumes(folder)
    problems: list[str] = []
    scans: dict[tuple[str, str], list[str]] = {}
    others: list[str] = []
    wanted = compiled_pattern(image_pattern, "image_pattern")
    compiled_pattern(label_pattern, "label_pattern")
    below = folders_below(folder)
    found.passed |= below.passed
    tried = ""  # a path that the patterns are searched in, to show
    for here, names in below.files.items():
        volumes = [name for name in names if volume_name(here / name)]
        tried = tried or next((place_of(folder, here / name) for name in volumes), "")
        if label_pattern:
            volumes = [name for name in volumes if not _is_label(found, here / name, label_pattern, problems)]
        volumes = [name for name in volumes if wanted.search(place_of(folder, here / name))]
        contents = contents_of(here) if wanted.search(place_of(folder, here)) else Contents()
        found.passed |= _passed(here, names, contents)
        found.passed |= {
            str(here / name): "not of image_pattern"
            for name in names
            if volume_name(here / name) and name not in volumes and here / name not in found.labels.values()
        }
        kept = _series(here, contents, series, problems, others)
        if kept and volumes:
            problems.append(f"{here}: a DICOM series and {volumes[0]} in one folder; {_SETTLES}")
        for path in [here / name for name in volumes]:
            _add(found, path, FoundVolume(path))
        if kept:
            path = here if len(contents.scans) == 1 else kept.path
            scans.setdefault((kept.first.series, kept.first.part), []).append(str(here))
            _add(found, here, FoundVolume(path, kept.first.patient, kept.first.modality))
        elif contents.broken:
            _add(found, here, FoundVolume(here))  # the check names the files
    problems += [
        f"one DICOM series in several folders: {some(places, 4, ', ')}; put its files into one"
        for (uid, _), places in scans.items()
        if uid and len(places) > 1
    ]
    if series and others and not scans and not problems:
        problems.append(f"{folder}: no DICOM series is --series {series!r}; there are {some(others, 10, ', ')}")
    if label_pattern and not found.labels:
        where = f", which is searched in paths without endings, such as {tried}" if tried else ""
        problems.append(f"{folder}: no volume is a label by --label_pattern {label_pattern}{where}")
    if problems:
        raise InputError("\n".join(problems[:10]) + (f"\nand {len(problems) - 10} more" if len(problems) > 10 else ""))
    return found


def refuse_doubtful(found: FoundVolumes, *, folders_are_patients: bool) -> None:
    """Refuse what may be no image, or an image twice.

    Args:
        found: without an ``image_pattern``.
        folders_are_patients: several volumes in a folder are refused too.

    Raises:
        InputError: some look like masks (all do not), are twins, or lie together in a folder; all kinds at once.
    """
    places, problems = found.places, []
    masks = [place for place in places.values() if _MASK.search(place)]
    if masks and len(masks) < len(places):
        problems.append(_doubt(found, masks, "look like masks or derivatives, by their names"))
    known = set(places.values())
    twins = [place for place in known if (match := _TWIN.search(place)) and place[: match.start()] in known]
    # it appends a letter to a name that is taken, and writes a .json beside each
    letters = [place for place in known - set(twins) if place[-1:] in _LETTERS and place[:-1] in known]
    twins += [
        place for place in letters if all((found.root / f"{each}.json").is_file() for each in (place, place[:-1]))
    ]
    if twins:
        problems.append(_doubt(found, sorted(twins), "are other versions of volumes beside them, as dcm2niix writes"))
    if folders_are_patients and not problems:
        together = _together(places)
        if together:
            folder, count = next(iter(together.items()))
            problems.append(
                f"{found.root}: {count} volumes in the folder {folder}"
                + (f" (and so in {len(together) - 1} more folders)" if len(together) > 1 else "")
                + f", of one patient or of many; {_SETTLES}, '.' takes all as those of one patient; "
                "--patient_pattern finds patients in names"
            )
    if problems:
        raise InputError("\n".join(problems))


def _doubt(found: FoundVolumes, places: list[str], what: str) -> str:
    return f"{found.root}: {len(places)} of {len(found.places)} volumes {what} ({some(places, 3, ', ')}); {_SETTLES}"


def _together(places: Mapping[str, str]) -> dict[str, int]:
    counts = Counter(place.rpartition("/")[0] for place in places.values())
    return {folder: count for folder, count in sorted(counts.items()) if folder and count > 1}


def modality_of(volumes: Iterable[FoundVolume], root: Path) -> str:
    """``CT``, ``MR`` or ``unknown`` by what DICOM says; empty where no volume is DICOM.

    Raises:
        InputError: several modalities.
    """
    counts = Counter(volume.modality for volume in volumes if volume.modality)
    if len(counts) > 1:
        listed = ", ".join(f"{count} of {modality}" for modality, count in counts.most_common())
        raise InputError(f"{root}: volumes of several modalities ({listed}); --series or --image_pattern says which")
    if not counts:
        return ""
    (modality,) = counts
    return modality if modality in ("CT", "MR") else "unknown"


def _add(found: FoundVolumes, path: Path, volume: FoundVolume) -> None:
    name = one_form("_".join([*path.relative_to(found.root).parts[:-1], volume_name(path)]))
    if name in found.volumes:
        raise InputError(f"{found.root}: two volumes are called {name}: {two_paths(found.volumes[name].path, path)}")
    found.volumes[name], found.places[name] = volume, place_of(found.root, path)


def _is_label(found: FoundVolumes, path: Path, pattern: str, problems: list[str]) -> bool:
    """Whether a file is a label; it is noted, twice is a problem."""
    place = place_of(found.root, path)
    if not re.search(one_form(pattern), place):
        return False
    if found.labels.setdefault(place, path) != path:
        problems.append(f"{found.root}: two labels are called {place}: {two_paths(found.labels[place], path)}")
    return True


def place_of(root: Path, path: Path) -> str:
    """The path of a volume below a folder without the ending, in one form of letters with marks."""
    relative = path.relative_to(root)
    name = volume_name(path)
    return one_form((relative.parent / name).as_posix() if name and relative.parts else relative.as_posix())


def _series(here: Path, contents: Contents, series: str, problems: list[str], others: list[str]) -> Scan | None:
    """The one series of a folder that is meant."""
    scans = list(contents.scans)
    if series and scans:
        kept = chosen(scans, series)
        others += [scan.text() for scan in scans if scan not in kept]
        scans = kept
    if len(scans) > 1:
        listed = some([scan.text() for scan in scans], 5, ", ")
        problems.append(f"{here}: {len(scans)} DICOM series in one folder: {listed}; {which_says(scans)}")
        return None
    return scans[0] if scans else None


def _passed(here: Path, names: list[str], contents: Contents) -> dict[str, str]:
    """Files that are no volume, nor belong to one."""
    stems = {volume_name(here / name) for name in names} - {""}
    used = {frame.pixels.path for scan in contents.scans for header in scan.headers for frame in header.frames[:1]}
    used |= contents.broken.keys()
    passed = {}
    for name in names:
        path = here / name
        voxels = path.suffix.lower() == ".img" and str(path) not in used
        if voxels and one_form(path.stem) in stems:
            continue
        if str(path) in contents.passed:
            why = contents.passed[str(path)]
            passed[str(path)] = ".img without its .hdr" if voxels and why == "not DICOM" else why
        elif not volume_name(path) and str(path) not in used and not (stems and path.suffix.lower() in _COMPANIONS):
            passed[str(path)] = path.suffix.lower() or "without ending"
    return passed
