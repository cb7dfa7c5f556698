"""A plan: the values that a training on a data set should have, with the reason of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from segxfer3d.config.groups import WINDOW
from segxfer3d.data.planning.fingerprint import Spacing
from segxfer3d.data.planning.topology import NO_STEM, Triple
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import (
    FLAG,
    NUMBER,
    TEXT,
    WHOLE,
    Entries,
    ListOf,
    Table,
    first_problem,
    number,
    optional,
)  # fmt: skip

_SIZE = number("a whole number from 1 to 1024", 1, 1024, whole=True)
_SIZES = ListOf(_SIZE, 3)
_WIDTH = number("a whole number from 1 to 8192", 1, 8192, whole=True)
_NUMBERS = dict.fromkeys(("low", "high", "mean", "sd"), optional(NUMBER))
_INTENSITY = Entries({"rule": TEXT}, {**_NUMBERS, "nonzero": FLAG})
KIND = Entries(  # of a file
    {
        "spacing": ListOf(number("a number above 0 and at most 1000", 1e-6, 1000), 3),
        "patch_size": _SIZES,
        "batch_size": number("a whole number from 1 to 1048576", 1, 2**20, whole=True),
        "strides": ListOf(_SIZES),
        "kernels": ListOf(_SIZES),
        "features": ListOf(_WIDTH),
        "intensity": _INTENSITY,
    },
    {
        "mirror_axes": ListOf(number("an axis from 0 to 2", 0, 2, whole=True)),
        "reasons": Table(TEXT),
        "memory": NUMBER,
        "steps": optional(WHOLE),
        "stem": _SIZES,
        "network": TEXT,
        "further": ListOf(_INTENSITY),
    },
)

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

        scales = tuple(
            Scale(
                each.rule,
                WINDOW[0] if each.low is None else each.low,
                WINDOW[1] if each.high is None else each.high,
                mean=each.mean,
                sd=each.sd,
                nonzero=each.nonzero,
            )
            for each in self.intensities
        )
        return VolumePreprocessing(self.spacing, scales)

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
        if problem := first_problem(KIND, values):
            raise InputError(f"plan: {problem}")
        a, b, c = (float(value) for value in values["spacing"])
        plan = Plan(
            spacing=(a, b, c),
            patch_size=triple(values["patch_size"]),
            batch_size=values["batch_size"],
            strides=tuple(triple(stride) for stride in values["strides"]),
            kernels=tuple(triple(kernel) for kernel in values["kernels"]),
            features=tuple(values["features"]),
            intensity=_intensity(values["intensity"]),
            mirror_axes=tuple(values.get("mirror_axes", (0, 1, 2))),
            reasons=dict(values.get("reasons", {})),
            memory=float(values.get("memory", 0.0)),
            steps=values.get("steps"),
            stem=triple(values.get("stem", NO_STEM)),  # earlier plans have none
            network=values.get("network", ""),
            further=tuple(_intensity(each) for each in values.get("further", ())),
        )
        plan._check()
        return plan

    def _check(self) -> None:
        """Levels that do not fit each other.

        Raises:
            InputError: not as many of each, or none.
        """
        counts = {len(self.strides), len(self.kernels), len(self.features)}
        if len(counts) != 1 or counts == {0}:
            found = ", ".join(f"{len(getattr(self, name))} {name}" for name in ("strides", "kernels", "features"))
            raise InputError(f"plan: expected as many strides, kernels and features, got {found}")


def _intensity(values: Mapping[str, Any]) -> Intensity:
    return Intensity(**{each.name: values[each.name] for each in fields(Intensity) if each.name in values})


def _plain(intensity: Intensity) -> dict[str, Any]:
    return {name: value for name, value in asdict(intensity).items() if value is not None}


def triple(values: Any) -> Triple:
    """Three whole numbers.

    Raises:
        ValueError: other than three.
    """
    x, y, z = (int(value) for value in values)
    return x, y, z
