"""What a preprocessed volume is known by: the voxels that it was made from, and what was done to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import monai
import numpy as np
import torch

from segxfer3d.data.preprocessing.volumes import VolumePreprocessing

VERSION = 1  # of what is written; another one is made anew
_DIGITS = 32  # of a SHA-256


def image_content(voxels: str, preprocessing: VolumePreprocessing) -> dict[str, Any]:
    """What a preprocessed image is made from, and how.

    Sums and interpolation may round otherwise in another version of the libraries, so those are named where there are
    any.
    """
    sums = any(scale.intensity == "zscore" for scale in preprocessing.scales)
    rounds = preprocessing.spacing is not None or sums
    libraries = [monai.__version__, torch.__version__, np.__version__] if rounds else []
    return {
        "version": VERSION, "image": voxels, "preprocessing": preprocessing.as_dict(), "libraries": libraries,
    }  # fmt: skip


def label_content(
    voxels: str, image: Mapping[str, Any], parts: Iterable[Sequence[int]], ignore: Iterable[int]
) -> dict[str, Any]:
    """What a label on the grid of a preprocessed image is made from, and how.

    Args:
        voxels: their fingerprint.
        image: what that is made from.
        parts: label values of each channel.
        ignore: values that do not count.
    """
    return {"label": voxels, "parts": [[*part] for part in parts], "ignore": sorted(ignore), **image}


def key_of(content: Mapping[str, Any]) -> str:
    """The name of an entry of this content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_DIGITS]
