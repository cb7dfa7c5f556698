"""What :mod:`~segxfer3d.augment.patch_changes` does to one patch, for a whole batch with whole tensors: for a GPU.

The same draws give the same patches, up to rounding and the numbers that noise is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segxfer3d.augment.patch_changes import resolution_weights
from segxfer3d.augment.patch_draws import PatchDraw, spline_weights


def take_patches(
    image: Tensor, masks: Tensor, drawn: Sequence[PatchDraw], size: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """The patches, turned, scaled, bent and mirrored.

    Args:
        image: (N, C, X, Y, Z) float32.
        masks: (N, K, X, Y, Z) float32 of 0 and 1.
        drawn: what happens to each.
        size: of the patches.

    Returns:
        Image (N, C, *size), linear between neighbors, and masks (N, K, *size), of the nearest voxel; 0 outside.
    """
    grid = _grid(image, drawn, size)
    patches = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return patches, F.grid_sample(masks, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _grid(image: Tensor, drawn: Sequence[PatchDraw], size: tuple[int, int, int]) -> Tensor:
    """Where each voxel lies (N, *size, 3), as ``grid_sample`` counts: axes from the last, -1 to 1 between the edges."""
    device = image.device
    matrices = np.stack(
        [(np.eye(3) if d.matrix is None else d.matrix) * np.where(d.mirrored, -1.0, 1.0) for d in drawn]
    )
    centers = np.stack([d.start + (np.array(size) - 1) / 2 for d in drawn])
    steps = [torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2 for side in size]
    cube = torch.stack(torch.meshgrid(*steps, indexing="ij"), -1).view(1, -1, 3)
    places = cube @ torch.from_numpy(matrices).float().to(device).transpose(1, 2)
    places += torch.from_numpy(centers).float().to(device)[:, None]
    places = places.view(len(drawn), *size, 3)
    for n, draw in enumerate(drawn):
        if draw.field is not None:
            weights = [torch.from_numpy(spline_weights(side)).to(device) for side in size]
            places[n] += torch.einsum("xi,yj,zk,ijak->xyza", *weights, torch.from_numpy(draw.field).to(device))
    lengths = torch.tensor(image.shape[2:], device=device)
    return ((2 * places + 1) / lengths - 1).flip(-1)


def change_intensities_(image: Tensor, drawn: Sequence[PatchDraw]) -> Tensor:
    """Noise, blur, brightness and contrast, low resolution, gamma, each on the channels that it was drawn for;
    (N, C, X, Y, Z) in place."""
    rows = image.view(-1, *image.shape[2:])
    noise = np.repeat([draw.noise for draw in drawn], image.shape[1])
    _change(rows, noise > 0, lambda x, at: _noise(x, noise[at], drawn[0].seed))
    sigma = np.concatenate([draw.blur for draw in drawn])
    _change(rows, sigma > 0, lambda x, at: _blur(x, sigma[at]))
    factor, contrast = (np.concatenate([getattr(draw, name) for draw in drawn]) for name in ("brightness", "contrast"))
    _change(rows, factor != 1, lambda x, at: x * _column(factor[at], x))
    _change(rows, contrast != 1, lambda x, at: _contrast(x, contrast[at]))
    left = np.concatenate([draw.low_resolution for draw in drawn])
    _change(rows, (left != rows.shape[1:]).any(1), lambda x, at: _lower_resolution(x, left[at]))
    first, second = (np.concatenate([getattr(draw, name) for draw in drawn]) for name in ("gamma_inverted", "gamma"))
    _change(rows, first != 1, lambda x, at: _gamma(x, first[at], True))
    _change(rows, second != 1, lambda x, at: _gamma(x, second[at], False))
    return image


def _change(rows: Tensor, chosen: np.ndarray, change: Callable[[Tensor, np.ndarray], Tensor]) -> None:
    """Replace the chosen rows by what they are changed into."""
    at = np.flatnonzero(chosen)
    if len(at):
        index = torch.from_numpy(at).to(rows.device)
        rows.index_copy_(0, index, change(rows.index_select(0, index), at))


def _column(values: np.ndarray, rows: Tensor) -> Tensor:
    """A value a row, so that it spreads over the row's voxels."""
    return torch.from_numpy(values).to(rows.device, rows.dtype).view(-1, 1, 1, 1)


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each row."""
    axes = (1, 2, 3)
    return rows.mean(axes, keepdim=True), rows.std(axes, correction=0, keepdim=True)


def _noise(rows: Tensor, noise: np.ndarray, seed: int) -> Tensor:
    generator = torch.Generator(rows.device).manual_seed(seed)
    normal = torch.randn(rows.shape, device=rows.device, generator=generator)
    return rows + normal * (_column(noise, rows) * _moments(rows)[1])


def _blur(rows: Tensor, sigma: np.ndarray) -> Tensor:
    """Three sigma to both sides, as each row has them; the border is repeated outward."""
    radius = int(np.ceil(3 * sigma.max()))
    distance = np.arange(-radius, radius + 1)
    weights = np.exp(-(distance**2) / (2 * sigma[:, None] ** 2)) * (abs(distance) <= np.ceil(3 * sigma)[:, None])
    kernel = torch.from_numpy(weights / weights.sum(1, keepdims=True)).to(rows.device, rows.dtype)
    for axis in range(3):
        if rows.shape[1 + axis] == 1:
            continue
        ends, shape = [0] * 6, [len(rows), 1, 1, 1, 1]
        ends[4 - 2 * axis] = ends[5 - 2 * axis] = radius
        shape[2 + axis] = -1
        rows = F.conv3d(F.pad(rows[None], ends, mode="replicate"), kernel.view(shape), groups=len(rows))[0]
    return rows


def _contrast(rows: Tensor, contrast: np.ndarray) -> Tensor:
    mean, low, high = rows.mean((1, 2, 3), keepdim=True), rows.amin((1, 2, 3), True), rows.amax((1, 2, 3), True)
    return torch.minimum(torch.maximum((rows - mean) * _column(contrast, rows) + mean, low), high)


def _lower_resolution(rows: Tensor, left: np.ndarray) -> Tensor:
    for axis, letters in enumerate(("xyz,nax->nayz", "xyz,nay->nxaz", "xyz,naz->nxya")):
        side = rows.shape[1 + axis]
        weights = np.stack([resolution_weights(side, int(few)) for few in left[:, axis]])
        rows = torch.einsum("n" + letters, rows, torch.from_numpy(weights).to(rows.device))
    return rows


def _gamma(rows: Tensor, exponent: np.ndarray, inverted: bool) -> Tensor:
    low, high, (mean, sd) = rows.amin((1, 2, 3), True), rows.amax((1, 2, 3), True), _moments(rows)
    part = (rows - low) / (high - low).clamp(min=1e-30)
    part = (1 - part if inverted else part) ** _column(exponent, rows)
    center, spread = _moments(part)
    part = (part - center) / spread.clamp(min=1e-7) * sd
    return torch.where(high > low, mean - part if inverted else mean + part, rows)
