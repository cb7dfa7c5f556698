"""The options that say which files of a folder are the volumes that are meant, and how they are to be taken."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

MODALITIES = ("auto", "CT", "MR", "other")
UNEVEN = ("refuse", "resample")


@dataclass(frozen=True)
class VolumeFiles(Group):
    """Which volumes of a folder are meant."""

    series: str = option(
        "", "which DICOM series of a folder: its UID, number, description or a part of that; empty: the only one",
        text="a UID, a number or a description",
    )  # fmt: skip
    image_pattern: str = option(
        "", "which volumes are images, where others lie among them: searched in the path below the folder, without the "
        "ending; empty: all", pattern=True,
    )  # fmt: skip
    label_pattern: str = option(
        "", "which volumes are the labels of others, searched as image_pattern; empty: what folders called labels hold",
        pattern=True,
    )  # fmt: skip
    channel_pattern: str = option(
        "", "which channel a file holds, where each has a file of its own: the first group found in the path, such as "
        "_(t1|flair)$; empty: nnU-Net's _0000, _0001", pattern=True,
    )  # fmt: skip
    channel_names: str = option(
        "", "which channels, in which order, by name, or t1=T1 to call one otherwise; empty: all, as dataset.json or "
        "the files' names say",
        text="names, separated by commas",
    )  # fmt: skip
    modality: str = option(
        "auto", "what the volumes are; auto: what DICOM or dataset.json says, else CT", choices=MODALITIES
    )
    uneven_slices: str = option(
        "refuse", "DICOM slices that are missing or unevenly spaced: refuse them, or resample to even ones",
        choices=UNEVEN,
    )  # fmt: skip
