"""Volumes: orientation, spacing and intensity, the same for every job and saved with every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, MapTransform, Orientationd, Spacingd
from torch import Tensor
from tqdm import tqdm

from segxfer3d.config.groups import WINDOW
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.volumes import grid_difference
from segxfer3d.data.preprocessing.class_masks import ValueMasks, small_values
from segxfer3d.data.preprocessing.file_grid import FileGrid, as_read
from segxfer3d.data.preprocessing.files import LoadVolumed
from segxfer3d.data.preprocessing.kinds import VOLUMES, require
from segxfer3d.data.preprocessing.labels import ShareGridd, label_item, turned_label_item
from segxfer3d.data.preprocessing.loaded_channels import require_channels
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes, LoadedVolume, require_room
from segxfer3d.data.preprocessing.protocol import Item, memory_limit
from segxfer3d.data.preprocessing.scale import Scale, ScaleChannelsd, scales_of, turned_image
from segxfer3d.errors import InputError
from segxfer3d.machine import size_text

ORIENTATION = "RAS"


@dataclass(frozen=True)
class VolumePreprocessing:
    """What happens to a volume before the network sees it.

    A :class:`~segxfer3d.data.preprocessing.protocol.Preprocessing`.

    Attributes:
        spacing: millimeters to resample to, or None for the native grid.
        scales: how the intensities of each channel are scaled.
        channel_names: of all channels, where they are known and matter.

    Raises:
        InputError: one of them cannot be used.
    """

    spacing: tuple[float, float, float] | None = None
    scales: tuple[Scale, ...] = (Scale(),)
    channel_names: tuple[str, ...] = ()

    dims: ClassVar[int] = 3
    unit: ClassVar[str] = "mm3"

    def __post_init__(self) -> None:
        if self.spacing is not None and (len(self.spacing) != 3 or not all(0 < s < np.inf for s in self.spacing)):
            raise InputError(f"spacing: expected three numbers above 0 (millimeters), got {list(self.spacing)}")
        if not self.scales:
            raise InputError("scales: expected one for each channel, got none")
        if self.channel_names and len(self.channel_names) != self.channels:
            raise InputError(f"channel_names: {len(self.channel_names)} for {self.channels} channels")

    @property
    def channels(self) -> int:
        """Of a volume."""
        return len(self.scales)

    @staticmethod
    def for_modality(
        *modalities: str,
        intensity: str | Sequence[str] = "auto",
        spacing: tuple[float, float, float] | None = None,
        window_low: float | Sequence[float] = WINDOW[0],
        window_high: float | Sequence[float] = WINDOW[1],
        channel_names: Sequence[str] = (),
    ) -> VolumePreprocessing:
        """That of a data set whose channels are of these modalities; raises what
        :func:`~segxfer3d.data.preprocessing.scale.scales_of` does."""
        scales = scales_of(modalities, intensity=intensity, window_low=window_low, window_high=window_high)
        return VolumePreprocessing(spacing, scales, tuple(channel_names))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        first, *further = (scale.as_dict() for scale in self.scales)
        values: dict[str, Any] = {"spacing": list(self.spacing) if self.spacing else None, **first}
        values["orientation"] = ORIENTATION
        if further or self.channel_names:  # else as earlier versions wrote it
            values["channels"] = self.channels
            values["channel_names"] = list(self.channel_names)
            values["further"] = further
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> VolumePreprocessing:
        """The other way round.

        Raises:
            InputError: an entry is missing or cannot be used, or another orientation than this version knows.
        """
        require(VOLUMES, values)
        if values.get("orientation") != ORIENTATION:
            raise InputError(f"preprocessing: expected orientation {ORIENTATION}, got {values.get('orientation')!r}")
        spacing = tuple(values["spacing"]) if values["spacing"] else None
        scales = tuple(Scale.from_dict(each) for each in (values, *values.get("further", ())))
        return VolumePreprocessing(spacing, scales, tuple(values.get("channel_names", ())))

    def native_transform(self, key: str) -> Compose:
        """Load a file on its own grid, unchanged: (1, X, Y, Z) float32."""
        return Compose([LoadVolumed([key])])

    def image_transform(self, key: str = "image") -> Compose:
        """Load an image for the network: (C, X, Y, Z) float32, each channel scaled as its ``intensity`` says."""
        return Compose([LoadVolumed([key]), *self.grid_steps([key], ["bilinear"]), self._intensity(key)])

    def training_transform(self) -> Compose:
        """Load an image as :meth:`image_transform` does, and its label (1, X, Y, Z) float32 on the same grid."""
        keys = ["image", "label"]
        grid = self.grid_steps(keys, ["bilinear", "nearest"])
        return Compose([LoadVolumed(keys), ShareGridd("label", "image"), *grid, self._intensity("image")])

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
        """Volumes in memory: ``image`` (C, X, Y, Z) float32, scaled as ``intensity`` says, and, with ``labels``,
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
                    f"the volumes do not fit in memory ({len(items)} of {len(cases)} take {size_text(used)}); "
                    "without --store memory they lie on disk; for pretraining some cubes of each may do "
                    "(segxfer3d data cubes)"
                )
            items.append(item)
        return items

    def _held(self, case: Case, loaded: LoadedVolume, labeled: CaseSet | None) -> Item:
        """A case as it is held, with its label where it is of a labeled set."""
        image, label = loaded.image, loaded.label
        require_channels(case, loaded.channels, self.channels, self.channel_names)
        require_room(case.image, image, self.spacing, channels=self.channels)
        if not self._in_one_pass:
            steps = self.training_transform() if labeled else self.image_transform()
            item = transformed(steps, case, loaded, ["image", "label"] if labeled else ["image"])
            parts = {"image": item["image"]}
            if labeled:
                parts |= label_item(item["label"], labeled.parts, labeled.label_rule.ignore)
            return {key: part.as_subclass(Tensor).contiguous() for key, part in parts.items()}
        held = {"image": turned_image(loaded.channels, self.scales)}
        if labeled:
            assert label is not None
            if difference := grid_difference(image, label):
                raise InputError(f"{case.label}: {difference}")
            held |= turned_label_item(label, image.affine, labeled.parts, labeled.label_rule.ignore)
        return held

    def read(self, case: Case, case_set: CaseSet, *, label: bool, kept: KeptVolumes | None = None) -> Item:
        """One whole volume, with its label on the file's own grid.

        Returns:
            ``image`` (C, X, Y, Z) float32, a MetaTensor that knows how it came from its file; ``case`` and
            ``patient``; with ``label`` also ``label``, masks on the file's grid,
            :class:`~segxfer3d.data.preprocessing.class_masks.ValueMasks`.

        Raises:
            InputError: a file that cannot be read.
        """
        loaded = (KeptVolumes(0) if kept is None else kept).take(case, label=label)
        require_channels(case, loaded.channels, self.channels, self.channel_names)
        require_room(case.image, loaded.image, self.spacing, channels=self.channels)
        if self._in_one_pass and not label:
            image = as_read(turned_image(loaded.channels, self.scales), loaded.image, str(case.image))
        else:
            image = transformed(_file_to_network(self), case, loaded, ["image"])["image"]
        item: Item = {"image": image, "case": case.name, "patient": case.patient}
        if label:
            assert loaded.label is not None
            item["label"] = ValueMasks(
                small_values(loaded.label.array), case_set.parts, case_set.label_rule.ignore, loaded.label.affine
            )
        return item

    def to_unit(self, image: Tensor) -> Tensor:
        """An image of :meth:`read` in [0, 1], for eyes, see
        :meth:`~segxfer3d.data.preprocessing.scale.Scale.to_unit`."""
        if self.channels == 1:
            return self.scales[0].to_unit(image)
        return torch.cat([scale.to_unit(image[i : i + 1]) for i, scale in enumerate(self.scales)])

    def restore(self, probabilities: Tensor, item: Item) -> MetaTensor:
        """Undo orientation and spacing.

        Args:
            probabilities: (K, X, Y, Z) on the grid of the item's image.
            item: of :meth:`read`, or any with such an ``image``.

        Returns:
            (K, X, Y, Z) float32 on the file's own grid, on the CPU, in [0, 1]; a MetaTensor with the file's affine.
        """
        image = item["image"]
        if not image.applied_operations and (grid := FileGrid.of(image)) is not None:
            return grid.whole(probabilities)
        prediction = MetaTensor(
            probabilities.cpu(), meta=dict(image.meta), applied_operations=list(image.applied_operations)
        )
        inverse = Invertd("prediction", _file_to_network(self), orig_keys="image", nearest_interp=False, to_tensor=True)
        restored: MetaTensor = inverse({"prediction": prediction, "image": image})["prediction"]
        return restored.clamp_(0, 1)

    def grid_steps(self, keys: list[str], modes: list[str]) -> list[Any]:
        """What brings volumes from their files' grids to the network's, by interpolation of these modes."""
        steps: list[Any] = [Orientationd(keys, axcodes=ORIENTATION, labels=None)]
        if self.spacing:
            steps.append(Spacingd(keys, pixdim=self.spacing, mode=modes, dtype=np.float32))
        return steps

    @property
    def _in_one_pass(self) -> bool:
        """Whether voxels can be turned and scaled one by one; sums of ``zscore`` depend on their order."""
        return self.spacing is None and all(scale.intensity != "zscore" for scale in self.scales)

    def _intensity(self, key: str) -> MapTransform:
        scales = self.scales
        return scales[0].transform(key) if len(scales) == 1 else ScaleChannelsd(key, scales)


@lru_cache(maxsize=8)
def _file_to_network(preprocessing: VolumePreprocessing) -> Compose:
    """One transform for equal preprocessing: MONAI undoes only what the very same transform has done."""
    return preprocessing.image_transform()


def transformed(transform: Compose, case: Case, loaded: LoadedVolume, keys: Sequence[str]) -> Any:
    """What a transform makes of a case; MONAI wraps what a step refuses, which comes out as it was."""
    data: dict[str, Any] = {key: str(getattr(case, key)) for key in keys}
    volumes = {"image": loaded.channels, "label": loaded.label and (loaded.label,)}
    try:
        return transform(data | {"volumes": volumes})
    except RuntimeError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise
