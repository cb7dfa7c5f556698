"""A cube store of a data set on disk, in any layout: what ``segxfer3d data cubes`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segxfer3d.augment.cubes import CropRule
from segxfer3d.config.groups import WINDOW
from segxfer3d.data.cubes.write import StoreReport, write_store
from segxfer3d.data.layouts import OtherKindError, Request, find_cases
from segxfer3d.data.preprocessing.scale import refuse_other_window
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError

CROP_RULES = ("auto", "genesis", "uniform")


@dataclass(frozen=True)
class MadeStore:
    """A store that was written.

    Attributes:
        folder: where it lies.
        report: what became of the cases.
    """

    folder: Path
    report: StoreReport

    @property
    def left_out(self) -> dict[str, str]:
        """Name -> why, of the volumes without a cube."""
        return self.report.bad | self.report.empty

    def text(self) -> str:
        """In words."""
        report = self.report
        return (
            f"{self.folder}: {report.count} cubes of {len(report.cases)} volumes; left out: {len(report.bad)} that "
            f"could not be read, {len(report.empty)} too short or too full of tissue"
        )


def make_cube_store(
    dataset_dir: str | Path,
    output_dir: str | Path,
    *,
    dataset: str = "",
    cube_size: tuple[int, int, int] = (64, 64, 32),
    cubes_per_volume: int = 32,
    seed: int = 0,
    crop_rule: str = "auto",
    intensity: str | Sequence[str] = "auto",
    window_low: float | Sequence[float] = WINDOW[0],
    window_high: float | Sequence[float] = WINDOW[1],
    spacing: tuple[float, float, float] | None = None,
    progress: bool = False,
    **files: Any,
) -> MadeStore:
    """Cut random cubes from all volumes of a data set, once, for pretraining on more than fits in memory.

    The store serves as ``--dataset_dir`` of genesis_pretrain, which trains on the cubes of its part of the split.
    Volumes that cannot be read, are too short for the crop rule or hold too much tissue are left out, and recorded in
    the store.

    Args:
        dataset_dir: the data set, in any layout that the bundles read.
        output_dir: a new folder for the store.
        dataset: the layout of ``dataset_dir``; empty: the one that fits.
        cube_size: voxels along x, y, z.
        cubes_per_volume: wanted of each volume.
        seed: of the places.
        crop_rule: ``genesis``: away from the borders and with little tissue; ``uniform``: anywhere; ``auto``:
            genesis where there is one channel and its intensities are a window of HU.
        intensity: how intensities become [0, 1]: ``window``, ``percentile``, or ``auto``: window for CT, percentile
            otherwise; of several channels, one for all or a list of one for each, as of the window.
        window_low: HU that become 0.
        window_high: HU that become 1.
        spacing: millimeters to resample to; None for the native grid.
        progress: show a bar.
        files: which files are meant: ``patient_pattern``, ``channel_names`` and others of
            :class:`~segxfer3d.data.layouts.Request`.

    Raises:
        InputError: no volumes, an argument that cannot be used, or see
            :func:`~segxfer3d.data.cubes.write.write_store`.
    """
    try:
        case_set = find_cases(dataset_dir, Request(layout=dataset, task="images", **files))
    except OtherKindError as error:
        raise InputError(f"{error.content}; cubes are cut from volumes") from error
    if crop_rule not in CROP_RULES:
        raise InputError(f"crop_rule: expected {', '.join(CROP_RULES)}, got {crop_rule!r}")
    preprocessing = VolumePreprocessing.for_modality(
        *case_set.modalities,
        intensity=intensity,
        spacing=spacing,
        window_low=window_low,
        window_high=window_high,
        channel_names=case_set.channel_names,
    )
    if (window_low, window_high) != WINDOW:
        refuse_other_window(preprocessing.scales, window_low, window_high, "intensity window")
    in_window = preprocessing.scales[0].intensity == "window"
    if crop_rule == "genesis" and not in_window:
        raise InputError("crop_rule genesis tells air from tissue by HU: it needs intensity window")
    if crop_rule == "genesis" and case_set.channels > 1:
        raise InputError(f"crop_rule genesis is for one channel, there are {case_set.channels}; expected uniform")
    uniform = crop_rule == "uniform" or not in_window or case_set.channels > 1
    report = write_store(
        output_dir,
        case_set.cases,
        preprocessing=preprocessing,
        size=cube_size,
        rule=None if uniform else CropRule.for_window(*preprocessing.scales[0].clip),
        cubes_per_volume=cubes_per_volume,
        seed=seed,
        progress=progress,
        data=case_set.name,
    )
    return MadeStore(Path(output_dir), report)
