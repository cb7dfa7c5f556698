"""The cases of a data set in a store: made where they are missing, whole or as items that patches are drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from segxfer3d.augment.stored_masks import stored_masks
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.content_hash import voxels_checksum, voxels_hash
from segxfer3d.data.io.volumes import Volume
from segxfer3d.data.preprocessing.class_masks import ValueMasks, small_values
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, LoadedVolume
from segxfer3d.data.preprocessing.protocol import Item
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.store.entry import about_entry, entry_array, entry_problem
from segxfer3d.data.store.geometry import geometry_of, with_geometry
from segxfer3d.data.store.identity import image_content, key_of, label_content
from segxfer3d.data.store.label_values import label_values
from segxfer3d.data.store.place import IMAGES, LABELS, VolumeStore
from segxfer3d.data.store.volumes import StoredVolumes
from segxfer3d.errors import InputError

_THREADS = 2  # that compare checksums
_CHANGED = "was changed since it was checked; start again"


@dataclass
class Made:
    """What making cases has done.

    Attributes:
        number: cases of which something was made.
        again: name -> what was wrong, of the cases that were there and had to be made again.
    """

    number: int = 0
    again: dict[str, str] = field(default_factory=dict)


class StoredCases:
    """The cases of a data set under one preprocessing, in a store.

    Args:
        store: where they are.
        case_set: whose cases; says which classes there are.
        preprocessing: of the images.
        identities: name of a case -> fingerprints of its image's and its label's voxels, see
            :func:`~segxfer3d.data.content_hash.voxels_hash`.
        checksums: the same of :func:`~segxfer3d.data.content_hash.voxels_checksum`, where they are known: a file that
            is read again is compared by them, in less time.
    """

    def __init__(
        self,
        store: VolumeStore,
        case_set: CaseSet,
        preprocessing: VolumePreprocessing,
        identities: Mapping[str, tuple[str, str]],
        checksums: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.store = store
        self.case_set = case_set
        self.preprocessing = preprocessing
        self.identities = identities
        self.checksums = checksums or {}
        self._sound: dict[tuple[str, str], bool] = {}  # kind and key of an entry -> whether it was found sound

    def contents(self, case: Case, *, label: bool) -> dict[str, dict[str, Any]]:
        """Kind of each entry of a case -> what it is made from."""
        image, of_label = self.identities[case.name]
        contents = {IMAGES: image_content(image, self.preprocessing)}
        if label:
            rule = self.case_set.label_rule
            contents[LABELS] = label_content(of_label, contents[IMAGES], self.case_set.parts, rule.ignore)
        return contents

    def make(self, cases: Sequence[Case], *, labels: bool, kept: KeptVolumes, progress: bool, needed: float) -> Made:
        """Make what is missing or not sound.

        What another process is making is left to it, and waited for at the end.

        Args:
            cases: of the data set.
            labels: with their labels, which all must have.
            kept: cases that were read before.
            progress: show a bar.
            needed: bytes that all of them take.

        Raises:
            InputError: a disk without room for them, or a file that cannot be read or has changed since it was checked.
        """
        made = Made()
        with ThreadPoolExecutor(_THREADS) as pool:
            looks = pool.map(lambda case: self._problems(case, label=labels), cases)
            problems = list(tqdm(looks, "looking at the store", total=len(cases), disable=not progress, leave=False))
        missing = [case for case, problem in zip(cases, problems, strict=True) if problem]
        if not missing:
            return made
        self.store.require_room(needed * len(missing) / len(cases))
        with tqdm(total=len(missing), desc="storing", disable=not progress, leave=False) as bar:

            def put_off(case: Case, *, wait: bool) -> bool:
                settled = self._settle(case, made, labels=labels, kept=kept, wait=wait)
                bar.update(settled)
                return not settled

            left = [case for case in missing if put_off(case, wait=False)]
            for case in left:
                put_off(case, wait=True)
        return made

    def items(self, cases: Sequence[Case], *, labels: bool) -> StoredVolumes:
        """Cases that were made, as :meth:`~segxfer3d.data.preprocessing.volumes.VolumePreprocessing.hold` has them, but
        on disk."""
        keys = [{kind: key_of(of) for kind, of in self.contents(case, label=labels).items()} for case in cases]
        classes = len(self.case_set.classes)
        return StoredVolumes(self.store, keys, classes=classes, ignores=bool(self.case_set.label_rule.ignore))

    def whole(self, case: Case) -> Item | None:
        """A labeled case as :meth:`~segxfer3d.data.preprocessing.volumes.VolumePreprocessing.read` gives it; None where
        it is not in the store, or not sound."""
        if case.name not in self.identities:
            return None
        contents = self.contents(case, label=True)
        if not all(self._is_sound(kind, content) for kind, content in contents.items()):
            return None
        of_image, of_label = (self.store.path(kind, key_of(contents[kind])) for kind in (IMAGES, LABELS))
        about_image, about_label = about_entry(of_image), about_entry(of_label)
        if about_image is None or about_label is None:
            return None
        image = torch.from_numpy(entry_array(of_image, "image"))
        affine = with_geometry(torch.empty(0), about_label["geometry"], str(case.label)).affine.numpy()
        values, ignore = np.ascontiguousarray(entry_array(of_label, "values")), self.case_set.label_rule.ignore
        return {
            "image": with_geometry(image, about_image["geometry"], str(case.image)),
            "case": case.name,
            "patient": case.patient,
            "label": ValueMasks(values, self.case_set.parts, ignore, affine),
        }

    def _problem(self, kind: str, content: Mapping[str, Any]) -> str:
        """What is wrong with an entry; empty of one that is sound."""
        key = key_of(content)
        problem = entry_problem(self.store.path(kind, key), content)
        self._sound[kind, key] = not problem
        return problem

    def _is_sound(self, kind: str, content: Mapping[str, Any]) -> bool:
        """Looked at once only."""
        known = self._sound.get((kind, key_of(content)))
        return not self._problem(kind, content) if known is None else known

    def _problems(self, case: Case, *, label: bool) -> dict[str, str]:
        """Kind of the entries of a case that are not sound -> what is wrong."""
        problems = {kind: self._problem(kind, of) for kind, of in self.contents(case, label=label).items()}
        return {kind: problem for kind, problem in problems.items() if problem}

    def _settle(self, case: Case, made: Made, *, labels: bool, kept: KeptVolumes, wait: bool) -> bool:
        """Make a case, unless another process has by now; False where one is about to, and is not waited for."""
        contents = self.contents(case, label=labels)
        with self.store.making(key_of(contents[IMAGES]), wait=wait) as mine:
            if not mine:
                return False
            if problems := self._problems(case, label=labels):
                if wrong := [problem for problem in problems.values() if problem != "missing"]:
                    made.again[case.name] = wrong[0]
                as_checked = case in kept
                loaded = kept.take(case, label=labels)
                if not as_checked:
                    self._require_unchanged(case, loaded, labels=labels)
                self._write(case, contents, problems, loaded)
                made.number += 1
        return True

    def _require_unchanged(self, case: Case, loaded: LoadedVolume, *, labels: bool) -> None:
        """Make sure that nothing is stored under the name of something else.

        Raises:
            InputError: a file has changed since it was checked.
        """
        known = self.checksums.get(case.name)
        image, label = self.identities[case.name] if known is None else known
        of: Callable[[Iterable[Volume]], str | int] = voxels_hash if known is None else voxels_checksum
        if of(loaded.channels) != image:
            raise InputError(f"{case.image}: {_CHANGED}")
        if labels and loaded.label is not None and of([loaded.label]) != label:
            raise InputError(f"{case.label}: {_CHANGED}")

    def _write(
        self, case: Case, contents: Mapping[str, Mapping[str, Any]], kinds: Iterable[str], loaded: LoadedVolume
    ) -> None:
        # one after the other: either takes several times what is kept of it
        if IMAGES in kinds:
            self._write_image(case, contents[IMAGES], loaded)
        if LABELS in kinds:
            self._write_label(case, contents[LABELS], loaded)

    def _write_image(self, case: Case, content: Mapping[str, Any], loaded: LoadedVolume) -> None:
        here = KeptVolumes(math.inf)
        here(case, loaded)
        image = self.preprocessing.read(case, self.case_set, label=False, kept=here)["image"]
        arrays = {"image": image.as_tensor().contiguous().numpy()}
        self._put(IMAGES, case, content, arrays, geometry_of(image))

    def _write_label(self, case: Case, content: Mapping[str, Any], loaded: LoadedVolume) -> None:
        native, on_grid = label_values(self.preprocessing, case, loaded)
        masks = stored_masks(on_grid[0].numpy(), self._sets())
        values = small_values(native[0].numpy())
        arrays = {"index": masks.index, "table": masks.table, "planes": masks.planes, "values": values}
        self._put(LABELS, case, content, arrays, geometry_of(native))

    def _put(
        self,
        kind: str,
        case: Case,
        content: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        geometry: Mapping[str, Any],
    ) -> None:
        about = {"data": self.case_set.name, "case": case.name, "geometry": geometry}
        self.store.write(kind, key_of(content), arrays, about, made_from=content)
        self._sound[kind, key_of(content)] = True

    def _sets(self) -> list[frozenset[int]]:
        """Of each channel its values: the classes, and what counts where some values are ignored."""
        ignore = self.case_set.label_rule.ignore
        valid = [frozenset({0, *self.case_set.values} - {*ignore})] if ignore else []
        return [*map(frozenset, self.case_set.parts), *valid]
