"""What training patches are changed by, how often and how far: plain values, off at 0."""

from __future__ import annotations

from dataclasses import dataclass, fields

from segxfer3d.errors import InputError

CHANCES = (
    "mirror",
    "rotate",
    "scale",
    "elastic",
    "noise",
    "blur",
    "brightness",
    "contrast",
    "low_resolution",
    "gamma",
    "gamma_inverted",
)
_RANGES = {  # name: the least and the most that its bounds may be
    "scale_range": (0.1, 10.0),
    "blur_sigma": (0.1, 10.0),
    "brightness_range": (0.0, 10.0),
    "contrast_range": (0.0, 10.0),
    "low_resolution_range": (0.01, 1.0),
    "gamma_range": (0.05, 20.0),
}
_MOST = {"rotate_degrees": 180.0, "elastic_shift": 0.2, "noise_sd": 10.0}


@dataclass(frozen=True)
class Augmentation:
    """How often a patch is changed in each way (a chance of 0 turns it off), and how far.

    The defaults are those of nnU-Net 2.8.1 (``nnUNetTrainer.get_training_transforms``), which has no elastic change
    either. What differs here: noise is measured against the standard deviation of the channel in the patch, which is
    about 1 where nnU-Net's intensities are z-scores, so that any range of intensities is served; a blur has one sigma
    for all axes, not one for each; labels are those of the nearest voxel.

    Attributes:
        mirror: chance that the patch is turned around, for each axis.
        mirror_axes: the axes that it may be turned around along, of two or three; None for all.
        rotate: chance of a rotation, by an angle for each plane of two axes.
        rotate_degrees: the largest angle, drawn evenly from minus to plus. None is nnU-Net's rule: 30 degrees for
            volumes, 180 for images, 15 for images whose sides differ by more than half. Where one side of a volume's
            patch is less than a third of the longest, that axis stays as it is, and the other two are rotated like an
            image of theirs, by 180 degrees at most.
        scale: chance that all axes are scaled by one factor.
        scale_range: of the volume that the patch shows: above 1 things look smaller.
        elastic: chance that the patch is bent by a smooth random field (a cubic B-spline of four cells an axis).
        elastic_shift: standard deviation of its control points, as a share of the patch's side.
        noise: chance of normal noise.
        noise_sd: its largest standard deviation, in standard deviations of the channel in the patch, drawn evenly from
            0; the same for all channels.
        blur: chance of a Gaussian blur; then each channel has a chance of 1/2.
        blur_sigma: in voxels.
        brightness: chance that each channel is multiplied by a factor.
        brightness_range: of the factor: with chance 1/2 evenly below 1, else above.
        contrast: chance that each channel's distances from its mean are multiplied, within its smallest and largest.
        contrast_range: of the factor, drawn like that of brightness.
        low_resolution: chance that the patch looks as if it had fewer voxels; then each channel has a chance of 1/2.
        low_resolution_range: voxels that are left along an axis, as a share.
        gamma: chance that each channel, brought to [0, 1], is raised to a power, and given back its mean and standard
            deviation.
        gamma_inverted: chance that this happens to 1 minus the channel, before.
        gamma_range: of the power, drawn like the factor of brightness.

    Raises:
        InputError: values that are out of range, all of them at once.

    Example:
        >>> Augmentation(elastic=0.2, gamma=0.0).mirror
        0.5
    """

    mirror: float = 0.5
    mirror_axes: tuple[int, ...] | None = None
    rotate: float = 0.2
    rotate_degrees: float | None = None
    scale: float = 0.2
    scale_range: tuple[float, float] = (0.7, 1.4)
    elastic: float = 0.0
    elastic_shift: float = 0.04
    noise: float = 0.1
    noise_sd: float = 0.1
    blur: float = 0.2
    blur_sigma: tuple[float, float] = (0.5, 1.0)
    brightness: float = 0.15
    brightness_range: tuple[float, float] = (0.75, 1.25)
    contrast: float = 0.15
    contrast_range: tuple[float, float] = (0.75, 1.25)
    low_resolution: float = 0.25
    low_resolution_range: tuple[float, float] = (0.5, 1.0)
    gamma: float = 0.3
    gamma_inverted: float = 0.1
    gamma_range: tuple[float, float] = (0.7, 1.5)

    def __post_init__(self) -> None:
        problems = []
        for name in CHANCES:
            if not 0 <= getattr(self, name) <= 1:
                problems.append(f"{name}: expected a chance from 0 to 1, got {getattr(self, name)!r}")
        if self.mirror_axes is not None:
            object.__setattr__(self, "mirror_axes", tuple(self.mirror_axes))
            if not set(self.mirror_axes) <= {0, 1, 2}:
                problems.append(f"mirror_axes: expected some of 0, 1, 2, got {list(self.mirror_axes)}")
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not (value is None and name == "rotate_degrees") and not 0 <= value <= most:
                problems.append(f"{name}: expected 0 to {most:g}, got {value!r}")
        for name, (least, most) in _RANGES.items():
            bounds = tuple(getattr(self, name))
            object.__setattr__(self, name, bounds)
            if len(bounds) != 2 or not least <= bounds[0] <= bounds[1] <= most:
                problems.append(f"{name}: expected two numbers from {least:g} to {most:g}, got {list(bounds)}")
        if problems:
            raise InputError("; ".join(problems))

    @staticmethod
    def none() -> Augmentation:
        """Nothing is changed."""
        return Augmentation(**dict.fromkeys(CHANCES, 0.0))  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, float | list[float] | list[int] | None]:
        """Plain values, for records."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
