"""The official layout of Oxford-IIIT Pets: ``images/<Breed>_<n>.jpg``, ``annotations/trimaps`` and ``list.txt``.

A trimap holds 1 for the pet, 2 for the background and 3 for pixels along the outline that were "not classified". The
paper does not say what it does with them; ``border`` does: they are ignored, or count as pet or as background.

Breeds are read from the file names; ``annotations/list.txt`` says which images belong to the data set proper (7349:
2371 cats of 12 breeds, 4978 dogs of 25) and which species a breed is. The archives hold a few dozen images and trimaps
more (7390), and a few images that are not RGB JPEGs, which are converted. The paper counts 7375 images with a trimap,
which is neither number, and does not say how; its 4978 dogs are those of the list. Here ``pet`` takes every image with
a trimap, ``cat`` and ``dog`` those of the list, and the name of a breed, in any case of letters, all of that breed. The
few trimaps without a pet count (23 of a copy at 112 pixels): their images are of the data set, and empty masks are
measured as any other.
"""

from __future__ import annotations

from pathlib import Path

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.layouts.listing import images_below
from segxfer3d.data.layouts.request import (
    Request,
    count_note,
    folder_of,
    one_of,
    refuse_lone_masks,
    refuse_missing,
    require,
)
from segxfer3d.errors import InputError

TITLE = "Oxford-IIIT Pets"
SOURCE = "images.tar.gz and annotations.tar.gz of https://www.robots.ox.ac.uk/~vgg/data/pets/"
DIMS = (2,)
LEFT_OPEN = True

SPECIES = {"1": "cat", "2": "dog"}
PUBLISHED = {"pet": 7375, "dog": 4978}
BREEDS = {"pet": 37, "dog": 25, "cat": 12}
_PARTS = {"trainval": "train", "test": "val"}


def fits(root: Path) -> bool:
    """Whether there are ``images`` and ``annotations/list.txt``."""
    root = folder_of(root, "images", ("oxford-iiit-pet",))
    return (root / "images").is_dir() and (root / "annotations" / "list.txt").is_file()


def read(root: Path, request: Request) -> CaseSet:
    """Pets of a target: ``pet`` (or nothing), ``cat``, ``dog`` or a breed; classes are the breeds.

    Raises:
        InputError: files are missing, images that a list names among them, a trimap has no image, the list is damaged,
            or the target is unknown.
    """
    root = folder_of(root, "images", ("oxford-iiit-pet",))
    places = ["images", "annotations/list.txt"] + ["annotations/trimaps"] * (request.task == "segmentation")
    require(root, places, title=TITLE, source=SOURCE)
    images = images_below(root / "images")
    masks = images_below(root / "annotations" / "trimaps") if request.task == "segmentation" else {}
    refuse_lone_masks(root, images, masks)
    species = _species(root / "annotations" / "list.txt")
    parts = {name: part for file, part in _PARTS.items() for name in _names(root / "annotations" / f"{file}.txt")}
    missing = refuse_missing(root, (*species, *parts), images, request)
    breeds = sorted({_breed(name) for name in images})
    target = one_of("target", request.target.lower() or "pet", ["pet", "cat", "dog", *breeds])
    if target in SPECIES.values():
        images = {name: path for name, path in images.items() if species.get(name) == target}
    elif target != "pet":
        images = {name: path for name, path in images.items() if _breed(name) == target}
    elif request.task == "classification":
        images = {name: path for name, path in images.items() if name in species}
    breeds = sorted({_breed(name) for name in images})
    cases = [
        Case(name, path, masks.get(name), category=breeds.index(_breed(name)), part=parts.get(name, ""))
        for name, path in images.items()
    ]
    chosen = request.only(cases)
    notes: tuple[str, ...] = ()
    published = PUBLISHED.get(target) if request.task == "segmentation" or target == "dog" else None
    if request.task != "images":
        notes = count_note(f"oxford_pets, {target}", len(chosen), expected=published)
        if len(breeds) != BREEDS.get(target, 1):
            notes += (f"oxford_pets, {target}: {len(breeds)} breeds; the data set has {BREEDS[target]}",)
    rule = request.with_border(LabelRule(foreground=(1,), background=(2,)), (3,))
    return CaseSet(
        root,
        "oxford_pets",
        2,
        chosen,
        label_rule=rule,
        categories=tuple(breeds),
        target=target,
        published=published,
        notes=missing + notes,
    )


def _breed(name: str) -> str:
    return name.rpartition("_")[0].lower() or name


def _species(path: Path) -> dict[str, str]:
    """The species of every image of the list: lines of a name, a class, a species, a breed."""
    species = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 4 or words[2] not in SPECIES:
            raise InputError(f"{path}: the line {line!r}; expected a name, a class, a species (1 or 2) and a breed")
        species[words[0]] = SPECIES[words[2]]
    return species


def _names(path: Path) -> list[str]:
    """The images of an official part; none where its list is not there."""
    if not path.is_file():
        return []
    return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
