"""Volumes: orientation, spacing and intensity, the same for every job and saved with every checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, Invertd, LoadImaged, MapTransform, Orientationd, Spacingd
from torch import Tensor
from tqdm import tqdm

from segxfer3d.config.groups import WINDOW
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.volumes import Volume, VolumeReader, grid_difference
from segxfer3d.data.preprocessing.protocol import Item, memory_limit
from segxfer3d.errors import InputError

ORIENTATION = "RAS"
INTENSITIES = ("window", "percentile")
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class VolumePreprocessing:
    """What happens to a volume before the network sees it.

    A :class:`~segxfer3d.data.preprocessing.protocol.Preprocessing`.

    Attributes:
        spacing: millimeters to resample to, or None for the native grid.
        intensity: ``window`` scales [window_low, window_high] HU to [0, 1]; ``percentile`` the 0.5th to 99.5th
            percentile of the volume itself (for MR, whose intensities have no unit). Both clip.
        window_low: HU.
        window_high: HU.

    Raises:
        InputError: one of them cannot be used.
    """

    spacing: tuple[float, float, float] | None = None
    intensity: str = "window"
    window_low: float = WINDOW[0]
    window_high: float = WINDOW[1]

    dims: ClassVar[int] = 3
    unit: ClassVar[str] = "mm3"

    def __post_init__(self) -> None:
        if self.spacing is not None and (len(self.spacing) != 3 or not all(0 < s < np.inf for s in self.spacing)):
            raise InputError(f"spacing: expected three numbers above 0 (millimeters), got {list(self.spacing)}")
        if self.intensity not in INTENSITIES:
            raise InputError(f"intensity: expected {' or '.join(INTENSITIES)}, got {self.intensity!r}")
        if not self.window_low < self.window_high:
            raise InputError(f"window_low {self.window_low:g}: expected less than window_high {self.window_high:g}")

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
        values = asdict(self)
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
            return VolumePreprocessing(spacing, values["intensity"], values["window_low"], values["window_high"])
        except KeyError as error:
            raise InputError(f"preprocessing: the entry {error} is missing") from error

    def native_transform(self, key: str) -> Compose:
        """Load a file on its own grid, unchanged: (1, X, Y, Z) float32."""
        return Compose(self._steps([key]))

    def image_transform(self, key: str = "image") -> Compose:
        """Load an image for the network: (1, X, Y, Z) float32 in [0, 1]."""
        return Compose([*self._steps([key]), *self._grid([key], ["bilinear"]), self._intensity(key)])

    def training_transform(self) -> Compose:
        """Load an image as :meth:`image_transform` does, and its label (1, X, Y, Z) float32 on the same grid."""
        keys = ["image", "label"]
        grid = self._grid(keys, ["bilinear", "nearest"])
        return Compose([*self._steps(keys), ShareGridd("label", "image"), *grid, self._intensity("image")])

    def one_hot(self, classes: Iterable[int], key: str = "label") -> OneHotd:
        """Label values to one channel for each foreground class, in the order of their values."""
        return OneHotd(key, classes)

    def hold(
        self, cases: Sequence[Case], case_set: CaseSet, *, labels: bool, progress: bool, size: int | None = None
    ) -> list[Item]:
        """Volumes in memory: ``image`` (1, X, Y, Z) float32 in [0, 1] and, with ``labels``, ``label`` (K, X, Y, Z)
        float32 of 0 and 1 on the same grid; plain tensors.

        Args:
            cases: of ``case_set``, or a part of them.
            case_set: says which classes there are.
            labels: hold the labels too, which all cases must have.
            progress: show a bar.
            size: only images have one.

        Raises:
            InputError: volumes that do not fit in memory, or a file that cannot be read.
        """
        keys = ["image", "label"] if labels else ["image"]
        transform = self.image_transform()
        if labels:
            transform = Compose([self.training_transform(), self.one_hot(case_set.classes)])
        items: list[Item] = []
        used, limit = 0, memory_limit()
        for case in tqdm(cases, "loading", disable=not progress, leave=False):
            loaded = _load(transform, {key: str(getattr(case, key)) for key in keys})
            item = {key: loaded[key].as_tensor().contiguous() for key in keys}
            used += sum(tensor.numel() * tensor.element_size() for tensor in item.values())
            if used > limit:
                raise InputError(
                    f"the volumes do not fit in memory ({len(items)} of {len(cases)} take {used / 2**30:.0f} GiB); "
                    "for pretraining write a cube store with segxfer3d data cubes and give it as --dataset_dir"
                )
            items.append(item)
        return items

    def read(self, case: Case, case_set: CaseSet, *, label: bool) -> Item:
        """One whole volume, with its label on the file's own grid.

        Returns:
            ``image`` (1, X, Y, Z) float32 in [0, 1], a MetaTensor that knows how it came from its file; ``case`` and
            ``patient``; with ``label`` also ``label`` (K, X, Y, Z) float32 of 0 and 1, a MetaTensor with the file's
            affine.

        Raises:
            InputError: a file that cannot be read.
        """
        item: Item = {
            "image": _load(_file_to_network(self), {"image": str(case.image)})["image"],
            "case": case.name,
            "patient": case.patient,
        }
        if label:
            native = _load(self.native_transform("label"), {"label": str(case.label)})
            item["label"] = self.one_hot(case_set.classes)(native)["label"]
        return item

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
        # float32 at once: a 512x512x300 CT in float64 would take 630 MB
        return [
            LoadImaged(keys, reader=VolumeReader, dtype=np.float32),
            EnsureChannelFirstd(keys, channel_dim="no_channel"),
        ]

    def _grid(self, keys: list[str], modes: list[str]) -> list[Any]:
        steps: list[Any] = [Orientationd(keys, axcodes=ORIENTATION, labels=None)]
        if self.spacing:
            steps.append(Spacingd(keys, pixdim=self.spacing, mode=modes, dtype=np.float32))
        return steps

    def _intensity(self, key: str) -> ScaleToUnitd:
        return ScaleToUnitd(key, (self.window_low, self.window_high) if self.intensity == "window" else None)


@lru_cache(maxsize=8)
def _file_to_network(preprocessing: VolumePreprocessing) -> Compose:
    """One transform for equal preprocessing: MONAI undoes only what the very same transform has done."""
    return preprocessing.image_transform()


def _load(transform: Compose, paths: Mapping[str, str]) -> Any:
    """What a transform makes of files; MONAI wraps what a reader refuses, which comes out as it was."""
    try:
        return transform(paths)
    except RuntimeError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise


class ScaleToUnitd(MapTransform):
    """Scale intensities to [0, 1] and clip.

    Args:
        keys: of the volumes.
        window: (low, high) that become 0 and 1; None for the volume's own 0.5th and 99.5th percentile, in which case a
            constant volume becomes 0.
    """

    def __init__(self, keys: Any, window: tuple[float, float] | None) -> None:
        super().__init__(keys)
        self.window = window

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Scale the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            low, high = self.window or np.percentile(np.asarray(result[key]), PERCENTILES).tolist()
            # in place after the first step: one copy of a large volume instead of three
            result[key] = (result[key] - low).div_(max(high - low, 1e-6)).clamp_(0, 1)
        return result


class ShareGridd(MapTransform):
    """Give labels the affine of their image, so that rounding in a header cannot lead to two grids after resampling.

    Args:
        keys: of the labels.
        image_key: of the image.
    """

    def __init__(self, keys: Any, image_key: str) -> None:
        super().__init__(keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Set the affine of the keys.

        Raises:
            InputError: a label is not on its image's grid, see :func:`~segxfer3d.data.io.volumes.grid_difference`.
        """
        result = dict(data)
        image = result[self.image_key]
        for key in self.key_iterator(result):
            difference = grid_difference(_volume(image), _volume(result[key]))
            if difference:
                raise InputError(f"{result[key].meta['filename_or_obj']}: {difference}")
            result[key].affine = image.affine.clone()
        return result


class OneHotd(MapTransform):
    """(1, X, Y, Z) label values to (K, X, Y, Z) float32, one channel for each of ``values`` in rising order."""

    def __init__(self, keys: Any, values: Iterable[int]) -> None:
        super().__init__(keys)
        self.values = sorted(values)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Expand the keys."""
        result = dict(data)
        for key in self.key_iterator(result):
            label = result[key]
            channels = torch.cat([label.as_tensor() == value for value in self.values]).float()
            result[key] = MetaTensor(channels, meta=label.meta, applied_operations=label.applied_operations)
        return result


def _volume(image: MetaTensor) -> Volume:
    return Volume(image[0].numpy(), image.affine.numpy())
