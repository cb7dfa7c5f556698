"""A case through torch and through what was exported: whether the masks are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.synthetic.images import CLASSES, draw_image
from segxfer3d.data.synthetic.phantoms import synthetic_ct
from segxfer3d.errors import InputError
from segxfer3d.export.target import SCRATCH, Compared, Target, Work
from segxfer3d.inference.engines.engine import Engine
from segxfer3d.inference.engines.network import EngineNetwork
from segxfer3d.inference.predictions import Prediction
from segxfer3d.temporary import temporary_folder

PROBABILITY = 1e-3  # by which probabilities may differ,
VOXELS = 1e-4  # and the share of voxels of a mask: those whose probability is 0.5 but for rounding
_LARGER = 1.5  # sides of a phantom, in windows


def refuse_difference(compared: Compared, what: str) -> None:
    """
    Raises:
        InputError: masks, or probabilities, differ by more than rounding.
    """
    if compared.voxels > max(1, VOXELS * compared.of) or not compared.probability <= PROBABILITY:
        raise InputError(f"{what}: {compared}; expected the same but for rounding; nothing was written")


def by_forward(work: Work, target: Target, folder: Path, case: Path) -> Compared:
    """Both predictions of a case, by torch and by a network that was exported alone.

    Args:
        work: that was done.
        target: that it was done for.
        folder: with what was written.
        case: file to see.
    """
    assert target.run is not None
    forward = target.run(folder)
    engine = Engine(
        target.name,
        target.title,
        extra="",
        packages=(),
        devices=("cpu",),
        precision="float32",
        convert=lambda network, example: None,
        compile=lambda graph, example, amp: forward,
    )
    exported = replace(work.model, network=EngineNetwork(work.model.network, engine, amp=False))
    expected, said = work.model.predict(case), exported.predict(case)
    assert said.probabilities is not None
    return _compared(expected, said.mask, said.probabilities)


def by_files(
    expected: Prediction, mask: NDArray[np.integer], affine: NDArray[np.float64], probabilities: Tensor
) -> Compared:
    """A mask that MONAI wrote, and the probabilities (K, X, Y, Z) that it is made of.

    Raises:
        InputError: it lies on another grid.
    """
    assert expected.affine is not None
    if mask.shape != expected.mask.shape or not np.allclose(affine, expected.affine, atol=1e-3):
        raise InputError(f"the bundle's mask has another grid, {mask.shape} and not {expected.mask.shape}")
    return _compared(expected, mask, probabilities)


def _compared(expected: Prediction, mask: NDArray[np.integer], probabilities: Tensor) -> Compared:
    assert expected.probabilities is not None
    return Compared(
        voxels=int(np.count_nonzero(expected.mask != mask)),
        of=mask.size,
        foreground=int(np.count_nonzero(expected.mask)),
        probability=float((probabilities - expected.probabilities).abs().max()),
    )


@contextmanager
def case_file(work: Work, case: Path | None) -> Iterator[tuple[Path, str]]:
    """The file to compare by, and what it is in words: the one that is named, or a phantom in a folder that goes."""
    if case is not None:
        yield case, str(case)
        return
    with temporary_folder(SCRATCH) as place:
        path, words = _phantom(work, place)
        yield path, words


def _phantom(work: Work, folder: Path) -> tuple[Path, str]:
    """A volume of a few windows whose axes lie as many scanners' do, or an image."""
    model = work.model
    channels = model.network.encoder.in_channels
    if not isinstance(model.preprocessing, VolumePreprocessing):
        size = int(_LARGER * model.patch_size[0])
        picture, _ = draw_image(np.random.default_rng(0), CLASSES[0], size, channels)
        path = folder / "phantom.png"
        Image.fromarray(picture).save(path)
        return path, f"a generated picture of {size}x{size} pixels, no --case being given"
    x, y, z = (max(16, int(_LARGER * side)) for side in model.patch_size)
    spacing = np.array(model.preprocessing.spacing or (1.0, 1.0, 1.0))
    affine = np.diag([*(spacing * 0.9 if model.preprocessing.spacing else spacing), 1.0]) @ np.diag([-1, -1, 1, 1])
    volumes = [synthetic_ct((x, y, z), seed) for seed in range(channels)]
    path = folder / "phantom.nii.gz"
    # not by this package's writer, which is for masks
    nibabel.save(nibabel.Nifti1Image(volumes[0] if channels == 1 else np.stack(volumes, -1), affine), path)
    return path, f"a phantom of {x}x{y}x{z} voxels, no --case being given"
