"""A plan: the values that a training on a data set should have, with the reason of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from segxfer3d.config.groups import WINDOW
from segxfer3d.data.planning.fingerprint import Spacing
from segxfer3d.data.planning.topology import NO_STEM, Triple
from segxfer3d.errors import InputError

if TYPE_CHECKING:
    from segxfer3d.data.preprocessing.volumes import VolumePreprocessing


@dataclass(frozen=True)
class Intensity:
    """How intensities become what the network sees; see
    :class:`~segxfer3d.data.preprocessing.volumes.VolumePreprocessing`.

    Attributes:
        rule: ``foreground`` (clip, then less the mean over the SD), ``zscore``, ``window`` or ``percentile``.
        low: of ``foreground`` and ``window``, where they clip.
        high: the same.
        mean: of ``foreground``.
        sd: of ``foreground``.
        nonzero: ``zscore`` looks at voxels that are not 0 only.
    """

    rule: str
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = None
    nonzero: bool = False


@dataclass(frozen=True)
class Plan:
    """What :func:`~segxfer3d.data.planning.make.make_plan` found.

    Attributes:
        spacing: millimeters to resample to.
        patch_size: voxels of a training patch and of an inference window.
        batch_size: patches in a step.
        strides: of each level of the network, the finest first.
        kernels: the same.
        features: the same.
        stem: voxels per axis that become channels before the first level; ones for none.
        intensity: how intensities are scaled.
        mirror_axes: along which training may turn patches around, and inference volumes.
        reasons: a sentence for each of these.
        memory: GiB that training should take.
        steps: about how many fit in the minutes; None where no time was set.
        network: that the levels are for; empty in plans of earlier versions.
        further: how the intensities of the channels after the first are scaled, where there are several.
    """

    spacing: Spacing
    patch_size: Triple
    batch_size: int
    strides: tuple[Triple, ...]
    kernels: tuple[Triple, ...]
    features: tuple[int, ...]
    intensity: Intensity
    mirror_axes: tuple[int, ...] = (0, 1, 2)
    reasons: Mapping[str, str] = field(default_factory=dict)
    memory: float = 0.0
    steps: int | None = None
    stem: Triple = NO_STEM
    network: str = ""
    further: tuple[Intensity, ...] = ()

    @property
    def intensities(self) -> tuple[Intensity, ...]:
        """Of all channels."""
        return (self.intensity, *self.further)

    def preprocessing(self) -> VolumePreprocessing:
        """What the plan's spacing and intensity make of volumes."""
        from segxfer3d.data.preprocessing.scale import Scale  # here: it brings MONAI's transforms
        from segxfer3d.data.preprocessing.volumes import VolumePreprocessing

        scales = [
            Scale(
                each.rule,
                WINDOW[0] if each.low is None else each.low,
                WINDOW[1] if each.high is None else each.high,
                mean=each.mean,
                sd=each.sd,
                nonzero=each.nonzero,
            )
            for each in self.intensities
        ]
        return VolumePreprocessing.of_scales(self.spacing, scales)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a run's folder and for checkpoints."""
        return {
            "network": self.network,
            "spacing": list(self.spacing),
            "patch_size": list(self.patch_size),
            "batch_size": self.batch_size,
            "strides": [list(stride) for stride in self.strides],
            "kernels": [list(kernel) for kernel in self.kernels],
            "features": list(self.features),
            "stem": list(self.stem),
            "intensity": _plain(self.intensity),
            **({"further": [_plain(each) for each in self.further]} if self.further else {}),
            "mirror_axes": list(self.mirror_axes),
            "reasons": dict(self.reasons),
            "memory": self.memory,
            "steps": self.steps,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Plan:
        """The other way round.

        Raises:
            InputError: an entry is missing or cannot be used.
        """
        try:
            a, b, c = (float(value) for value in values["spacing"])
            plan = Plan(
                spacing=(a, b, c),
                patch_size=triple(values["patch_size"]),
                batch_size=int(values["batch_size"]),
                strides=tuple(triple(stride) for stride in values["strides"]),
                kernels=tuple(triple(kernel) for kernel in values["kernels"]),
                features=tuple(int(width) for width in values["features"]),
                intensity=Intensity(**values["intensity"]),
                mirror_axes=tuple(int(axis) for axis in values.get("mirror_axes", (0, 1, 2))),
                reasons=dict(values.get("reasons", {})),
                memory=float(values.get("memory", 0.0)),
                steps=values.get("steps"),
                stem=triple(values.get("stem", NO_STEM)),  # earlier plans have none
                network=str(values.get("network", "")),
                further=tuple(Intensity(**each) for each in values.get("further", ())),
            )
        except KeyError as error:
            raise InputError(f"plan: the entry {error} is missing") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"plan: {error}") from error
        plan._check()
        return plan

    def _check(self) -> None:
        """Numbers that a file has, and no plan.

        Raises:
            InputError: sizes that are not above 0, or not as many as there are levels.
        """
        levels = {name: getattr(self, name) for name in ("strides", "kernels", "features")}
        for name in ("spacing", "patch_size", "batch_size", "stem", *levels):
            if not np.all(np.array(getattr(self, name)) > 0):
                raise InputError(f"plan: {name}: expected numbers above 0, got {getattr(self, name)}")
        if len({len(values) for values in levels.values()}) != 1:
            found = ", ".join(f"{len(values)} {name}" for name, values in levels.items())
            raise InputError(f"plan: expected as many strides, kernels and features, got {found}")
        if not set(self.mirror_axes) <= {0, 1, 2}:
            raise InputError(f"plan: mirror_axes: expected axes from 0 to 2, got {list(self.mirror_axes)}")


def _plain(intensity: Intensity) -> dict[str, Any]:
    return {name: value for name, value in asdict(intensity).items() if value is not None}


def triple(values: Any) -> Triple:
    """Three whole numbers.

    Raises:
        ValueError: other than three.
    """
    x, y, z = (int(value) for value in values)
    return x, y, z
