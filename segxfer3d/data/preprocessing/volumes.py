"""Volumes: orientation, spacing and intensity, the same for every job and saved with every checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, MapTransform, Orientationd, Spacingd
from torch import Tensor
from tqdm import tqdm

from segxfer3d.config.groups import WINDOW
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.volumes import grid_difference
from segxfer3d.data.preprocessing.files import LoadVolumed
from segxfer3d.data.preprocessing.intensities import (
    INTENSITIES,
    UNIT,
    ScaleToUnitd,
    Standardized,
    scaled_to_unit,
    standardize_,
    unit_,
)
from segxfer3d.data.preprocessing.labels import ShareGridd, label_item, turned_label_item
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, LoadedVolume, require_room
from segxfer3d.data.preprocessing.orientation import to_ras
from segxfer3d.data.preprocessing.protocol import Item, memory_limit
from segxfer3d.errors import InputError

ORIENTATION = "RAS"


@dataclass(frozen=True)
class VolumePreprocessing:
    """What happens to a volume before the network sees it.

    A :class:`~segxfer3d.data.preprocessing.protocol.Preprocessing`.

    Attributes:
        spacing: millimeters to resample to, or None for the native grid.
        intensity: ``window`` scales [window_low, window_high] HU to [0, 1]; ``percentile`` the 0.5th to 99.5th
            percentile of the volume itself (for MR, whose intensities have no unit); both clip. ``foreground`` clips to
            [window_low, window_high], subtracts ``mean`` and divides by ``sd``: those of the training cases' foreground
            (CT); ``zscore`` does so with each volume's own mean and SD. These are nnU-Net's (Isensee et al. 2021).
        window_low: HU.
        window_high: HU.
        mean: of ``foreground``, HU.
        sd: of ``foreground``, HU.
        nonzero: ``zscore`` looks at voxels that are not 0 only, and leaves the others 0.

    Raises:
        InputError: one of them cannot be used.
    """

    spacing: tuple[float, float, float] | None = None
    intensity: str = "window"
    window_low: float = WINDOW[0]
    window_high: float = WINDOW[1]
    mean: float | None = None
    sd: float | None = None
    nonzero: bool = False

    dims: ClassVar[int] = 3
    unit: ClassVar[str] = "mm3"

    def __post_init__(self) -> None:
        if self.spacing is not None and (len(self.spacing) != 3 or not all(0 < s < np.inf for s in self.spacing)):
            raise InputError(f"spacing: expected three numbers above 0 (millimeters), got {list(self.spacing)}")
        if self.intensity not in INTENSITIES:
            expected = f"{', '.join(INTENSITIES[:-1])} or {INTENSITIES[-1]}"
            raise InputError(f"intensity: expected {expected}, got {self.intensity!r}")
        if not self.window_low < self.window_high:
            raise InputError(f"window_low {self.window_low:g}: expected less than window_high {self.window_high:g}")
        if self.intensity == "foreground" and (self.mean is None or self.sd is None or not self.sd > 0):
            raise InputError(f"intensity foreground: expected a mean and an SD above 0, got {self.mean} and {self.sd}")

    @staticmethod
    def for_modality(
        modality: str,
        *,
        intensity: str = "auto",
        spacing: tuple[float, float, float] | None = None,
        window_low: float = WINDOW[0],
        window_high: float = WINDOW[1],
    ) -> VolumePreprocessing:
        """That of a data set; ``auto`` is a window of HU for "CT", percentiles for anything else.

        Raises:
            InputError: one of them cannot be used.
        """
        if intensity == "auto":
            intensity = "window" if modality == "CT" else "percentile"
        return VolumePreprocessing(spacing, intensity, window_low, window_high)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        used = {"foreground": ("mean", "sd"), "zscore": ("nonzero",)}.get(self.intensity, ())
        values = asdict(self)
        for name in {"mean", "sd", "nonzero"}.difference(used):
            del values[name]  # as earlier versions wrote it
        values["spacing"] = list(self.spacing) if self.spacing else None
        return values | {"orientation": ORIENTATION}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> VolumePreprocessing:
        """The other way round.

        Raises:
            InputError: an entry is missing or cannot be used, or another orientation than this version knows.
        """
        if values.get("orientation") != ORIENTATION:
            raise InputError(f"preprocessing: expected orientation {ORIENTATION}, got {values.get('orientation')!r}")
        try:
            spacing = tuple(values["spacing"]) if values["spacing"] else None
            more = {name: values[name] for name in ("mean", "sd", "nonzero") if name in values}
            return VolumePreprocessing(
                spacing, values["intensity"], values["window_low"], values["window_high"], **more
            )
        except KeyError as error:
            raise InputError(f"preprocessing: the entry {error} is missing") from error

    def native_transform(self, key: str) -> Compose:
        """Load a file on its own grid, unchanged: (1, X, Y, Z) float32."""
        return Compose(self._steps([key]))

    def image_transform(self, key: str = "image") -> Compose:
        """Load an image for the network: (1, X, Y, Z) float32, scaled as ``intensity`` says."""
        return Compose([*self._steps([key]), *self._grid([key], ["bilinear"]), self._intensity(key)])

    def training_transform(self) -> Compose:
        """Load an image as :meth:`image_transform` does, and its label (1, X, Y, Z) float32 on the same grid."""
        keys = ["image", "label"]
        grid = self._grid(keys, ["bilinear", "nearest"])
        return Compose([*self._steps(keys), ShareGridd("label", "image"), *grid, self._intensity("image")])

    def hold(
        self,
        cases: Sequence[Case],
        case_set: CaseSet,
        *,
        labels: bool,
        progress: bool,
        size: int | None = None,
        kept: KeptVolumes | None = None,
    ) -> list[Item]:
        """Volumes in memory: ``image`` (1, X, Y, Z) float32, scaled as ``intensity`` says, and, with ``labels``,
        ``label`` (K, X, Y, Z) float32 of 0 and 1 on the same grid, and ``valid`` (1, X, Y, Z) if some voxels are to
        be ignored; plain tensors.

        Args:
            cases: of ``case_set``, or a part of them.
            case_set: says which classes there are.
            labels: hold the labels too, which all cases must have.
            progress: show a bar.
            size: only images have one.
            kept: cases that the check has read, which are not read again.

        Raises:
            InputError: volumes that do not fit in memory, or a file that cannot be read.
        """
        kept = KeptVolumes(0) if kept is None else kept
        items: list[Item] = []
        used, limit = 0, memory_limit()
        for case in tqdm(cases, "loading", disable=not progress, leave=False):
            item = self._held(case, kept.take(case, label=labels), case_set if labels else None)
            used += sum(tensor.numel() * tensor.element_size() for tensor in item.values())
            if used > limit:
                raise InputError(
                    f"the volumes do not fit in memory ({len(items)} of {len(cases)} take {used / 2**30:.0f} GiB); "
                    "for pretraining write a cube store with segxfer3d data cubes and give it as --dataset_dir"
                )
            items.append(item)
        return items

    def _held(self, case: Case, loaded: LoadedVolume, labeled: CaseSet | None) -> Item:
        """A case as it is held, with its label where it is of a labeled set."""
        image, label = loaded
        require_room(case.image, image, self.spacing)
        if self.spacing is not None or self.intensity == "zscore":  # whose sums depend on the order of voxels
            steps, keys = (
                (self.training_transform(), ["image", "label"]) if labeled else (self.image_transform(), ["image"])
            )
            item = _load(steps, case, loaded, keys)
            parts = {"image": item["image"]}
            if labeled:
                parts |= label_item(item["label"], labeled.parts, labeled.label_rule.ignore)
            return {key: part.as_subclass(Tensor).contiguous() for key, part in parts.items()}
        held = {"image": to_ras(image.array, image.affine, self._by_voxel())[None]}
        if self.intensity == "percentile":
            held["image"] = scaled_to_unit(held["image"], None)
        if labeled:
            assert label is not None
            if difference := grid_difference(image, label):
                raise InputError(f"{case.label}: {difference}")
            held |= turned_label_item(label, image.affine, labeled.parts, labeled.label_rule.ignore)
        return held

    def read(self, case: Case, case_set: CaseSet, *, label: bool, kept: KeptVolumes | None = None) -> Item:
        """One whole volume, with its label on the file's own grid.

        Returns:
            ``image`` (1, X, Y, Z) float32, a MetaTensor that knows how it came from its file; ``case`` and
            ``patient``; with ``label`` also ``label`` (K, X, Y, Z) float32 of 0 and 1, a MetaTensor with the file's
            affine, and ``valid`` (1, X, Y, Z), 0 where the data set says to ignore, if it does.

        Raises:
            InputError: a file that cannot be read.
        """
        loaded = (KeptVolumes(0) if kept is None else kept).take(case, label=label)
        require_room(case.image, loaded.image, self.spacing)
        item: Item = {
            "image": _load(_file_to_network(self), case, loaded, ["image"])["image"],
            "case": case.name,
            "patient": case.patient,
        }
        if label:
            native = _load(self.native_transform("label"), case, loaded, ["label"])
            item |= label_item(native["label"], case_set.parts, case_set.label_rule.ignore)
        return item

    def to_unit(self, image: Tensor) -> Tensor:
        """An image of :meth:`read` in [0, 1], for eyes: what was clipped to becomes 0 and 1, of ``zscore`` the image's
        own 0.5th and 99.5th percentile."""
        if self.intensity in UNIT:
            return image
        if self.mean is None or self.sd is None:
            return scaled_to_unit(image, None)
        low, high = ((end - self.mean) / self.sd for end in (self.window_low, self.window_high))
        return scaled_to_unit(image, (low, high))

    def restore(self, probabilities: Tensor, item: Item) -> MetaTensor:
        """Undo orientation and spacing.

        Args:
            probabilities: (K, X, Y, Z) on the grid of the item's image.
            item: of :meth:`read`, or any with such an ``image``.

        Returns:
            (K, X, Y, Z) float32 on the file's own grid, on the CPU, in [0, 1]; a MetaTensor with the file's affine.
        """
        image = item["image"]
        prediction = MetaTensor(
            probabilities.cpu(), meta=dict(image.meta), applied_operations=list(image.applied_operations)
        )
        inverse = Invertd("prediction", _file_to_network(self), orig_keys="image", nearest_interp=False, to_tensor=True)
        restored: MetaTensor = inverse({"prediction": prediction, "image": image})["prediction"]
        return restored.clamp_(0, 1)

    def _steps(self, keys: list[str]) -> list[Any]:
        return [LoadVolumed(keys)]

    def _grid(self, keys: list[str], modes: list[str]) -> list[Any]:
        steps: list[Any] = [Orientationd(keys, axcodes=ORIENTATION, labels=None)]
        if self.spacing:
            steps.append(Spacingd(keys, pixdim=self.spacing, mode=modes, dtype=np.float32))
        return steps

    def _by_voxel(self) -> Callable[[Tensor], object] | None:
        """What :meth:`_intensity` does, in place, where it does it to each voxel whatever the others are."""
        low, high = self.window_low, self.window_high
        if self.intensity == "window":
            return lambda voxels: unit_(voxels, low, high)
        if self.mean is not None and self.sd is not None:
            return partial(standardize_, mean=self.mean, sd=self.sd, clip=(low, high))
        return None

    def _intensity(self, key: str) -> MapTransform:
        clip = (self.window_low, self.window_high)
        if self.intensity in UNIT:
            return ScaleToUnitd(key, clip if self.intensity == "window" else None)
        if self.intensity == "foreground":
            return Standardized(key, clip=clip, mean=self.mean, sd=self.sd)
        return Standardized(key, nonzero=self.nonzero)


@lru_cache(maxsize=8)
def _file_to_network(preprocessing: VolumePreprocessing) -> Compose:
    """One transform for equal preprocessing: MONAI undoes only what the very same transform has done."""
    return preprocessing.image_transform()


def _load(transform: Compose, case: Case, loaded: LoadedVolume, keys: Sequence[str]) -> Any:
    """What a transform makes of a case; MONAI wraps what a step refuses, which comes out as it was."""
    data: dict[str, Any] = {key: str(getattr(case, key)) for key in keys}
    try:
        return transform(data | {"volumes": loaded._asdict()})
    except RuntimeError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise
