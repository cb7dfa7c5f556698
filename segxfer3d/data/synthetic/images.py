"""Generated pictures of shapes: a 2D data set to try everything on when there is none.

One shape an image, of five classes, on a textured background, with its mask. Shape and background are painted alike:
blotches of two random colors, under stripes, under noise. They differ in the colors they drew and in the direction and
width of their stripes. The colors of shapes are those of backgrounds elsewhere, so no range of colors finds the shapes
over the data set.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segxfer3d.temporary import temporary_folder

VERSION = 1  # raised whenever the same arguments give other bytes
CLASSES = ("cross", "disk", "ring", "star", "triangle")
RADII = (0.2, 0.36)  # of a shape, in sides of the image
NOISE = 10.0  # gray levels, standard deviation
DONE = ".complete"

Array = NDArray[np.float32]


def write_images(folder: str | Path, count: int = 300, seed: int = 0, size: int = 96, channels: int = 3) -> Path:
    """Write pictures of shapes with masks, as PNG: ``images/<class>/<class>-0000.png`` and the same below ``masks``.

    This is a layout of :mod:`~segxfer3d.data.layouts.folder`. The same arguments give the same bytes on one
    machine, and an image does not depend on how many there are. A folder that holds them already is used as it is; it
    appears whole or not at all, also where two processes write it at once.

    Args:
        folder: where to; made if missing.
        count: number of images; the classes take turns.
        seed: of everything random.
        size: pixels of a side.
        channels: 3 for color, 1 for gray.

    Returns:
        the data set's folder, ``folder/shapes-v<VERSION>-<count>-<seed>-<size>x<channels>``.
    """
    target = Path(folder) / f"shapes-v{VERSION}-{count}-{seed}-{size}x{channels}"
    if (target / DONE).is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(f".{target.name}.", target.parent) as temporary:
        try:
            temporary.chmod(0o755)
            _write(temporary, count, seed, size, channels)
            temporary.rename(target)
        except OSError:
            if not (target / DONE).is_file():  # else another process was faster
                raise
    return target


def draw_image(
    rng: np.random.Generator, kind: str, size: int = 96, channels: int = 3
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a picture of one shape.

    Args:
        rng: decides its place, size, turn, colors and textures.
        kind: one of :data:`CLASSES`.
        size: pixels of a side.
        channels: 3 for color, 1 for gray.

    Returns:
        the picture, (size, size, 3) or (size, size), and its mask of 0 and 1, (size, size).
    """
    radius = rng.uniform(*RADII)
    center = rng.uniform(radius * 0.9, 1 - radius * 0.9, 2)
    mask = _shape(rng, kind, size, radius, center)
    back, front = (_texture(rng, size) for _ in range(2))
    picture = np.where(mask[..., None], front, back)
    top, bottom = rng.uniform(0.75, 1.15, 2)
    picture *= np.linspace(top, bottom, size, dtype=np.float32)[:, None, None]  # uneven light
    picture += rng.standard_normal(picture.shape, np.float32) * NOISE
    if channels == 1:
        picture = picture.mean(-1)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), mask.astype(np.uint8)


def _write(root: Path, count: int, seed: int, size: int, channels: int) -> None:
    for part in ("images", "masks"):
        for kind in CLASSES[:count]:
            (root / part / kind).mkdir(parents=True)
    for index in range(count):
        kind = CLASSES[index % len(CLASSES)]
        picture, mask = draw_image(np.random.default_rng([seed, index]), kind, size, channels)
        name = f"{kind}/{kind}-{index // len(CLASSES):04d}.png"
        # textures hardly shrink: fast rather than small
        Image.fromarray(picture).save(root / "images" / name, compress_level=1)
        Image.fromarray(mask * 255).save(root / "masks" / name, compress_level=1)
    (root / DONE).touch()


def _shape(
    rng: np.random.Generator, kind: str, size: int, radius: float, center: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where a shape is: its outline is a distance from the center that depends on the direction."""
    grid = (np.arange(size, dtype=np.float32) + 0.5) / size
    y, x = grid[:, None] - np.float32(center[0]), grid[None, :] - np.float32(center[1])
    distance = np.sqrt(x**2 + y**2) / np.float32(radius)
    angle = np.arctan2(y, x) + np.float32(rng.uniform(0, 2 * np.pi))
    if kind == "disk":
        return distance < 0.85
    if kind == "ring":
        return (distance < 1) & (distance > 0.55)
    if kind == "star":
        return distance < 0.72 + 0.28 * np.cos(5 * angle)
    corners = {"triangle": 3, "cross": 4}[kind]
    turned = np.mod(angle, np.float32(2 * np.pi / corners)) - np.float32(np.pi / corners)
    if kind == "triangle":
        return distance * np.cos(turned) < 0.5
    return (distance * np.abs(np.sin(turned)) < 0.28) & (distance * np.cos(turned) < 0.95)


def _texture(rng: np.random.Generator, size: int) -> Array:
    """Blotches of two colors under stripes, (size, size, 3) in gray levels."""
    first, second = rng.uniform(30, 225, (2, 3)).astype(np.float32)
    coarse = rng.standard_normal((4, 4), np.float32)
    blotches = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    share = np.clip(0.5 + 0.8 * blotches, 0, 1)[..., None]
    angle, waves = rng.uniform(0, np.pi), rng.uniform(5, 14)
    grid = np.arange(size, dtype=np.float32) / size
    along = np.float32(np.cos(angle)) * grid[:, None] + np.float32(np.sin(angle)) * grid[None, :]
    stripes = np.sin(np.float32(2 * np.pi * waves) * along + np.float32(rng.uniform(0, 2 * np.pi)))
    texture = first + share * (second - first) + np.float32(rng.uniform(15, 35)) * stripes[..., None]
    return cast(Array, texture)
