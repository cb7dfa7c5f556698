"""What a model's file says of how it is used: the activation, mirroring, and classes that keep one component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from segxfer3d.data.case import Regions
from segxfer3d.errors import InputError
from segxfer3d.inference.components import largest_component
from segxfer3d.inference.labels import class_index, painted_index
from segxfer3d.inference.mirroring import check_axes
from segxfer3d.losses.activation import ACTIVATIONS, check_activation


@dataclass(frozen=True)
class InferenceSettings:
    """How a network's outputs become masks; the entry ``inference`` of ``model.pt``. Its defaults are what models
    without this entry do.

    Attributes:
        activation: ``sigmoid`` or ``softmax``, see :mod:`~segxfer3d.losses.activation`.
        mirror_axes: spatial axes along which images are turned around too, see
            :class:`~segxfer3d.inference.mirroring.MirroredForward`.
        regions: of classes that overlap, see :attr:`~segxfer3d.data.case.CaseSet.regions`.
        largest_component: values of the classes of which only the largest connected component is kept; what else was
            said to be of the class becomes background.

    Raises:
        InputError: an unknown activation, or axes that cannot be.
    """

    activation: str = "sigmoid"
    mirror_axes: tuple[int, ...] = ()
    largest_component: tuple[int, ...] = ()
    regions: Regions = ()

    def __post_init__(self) -> None:
        check_activation(self.activation)
        check_axes(self.mirror_axes)
        if self.regions and (self.activation != "sigmoid" or self.largest_component):
            raise InputError("regions: they overlap; expected activation sigmoid, and no largest_component")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        regions = {"regions": [[value, list(part)] for value, part in self.regions]} if self.regions else {}
        return {
            "activation": self.activation,
            "mirror_axes": list(self.mirror_axes),
            "largest_component": list(self.largest_component),
            **regions,
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any], source: str = "") -> InferenceSettings:
        """The other way round; what is absent has its default.

        Args:
            values: see :meth:`as_dict`.
            source: the checkpoint, for messages.

        Raises:
            InputError: an entry that is not known, or of a type or value that cannot be.
        """
        default = InferenceSettings().as_dict()
        values = {**default, **values}
        regions = _regions_of(values.pop("regions", []))
        lists = (values["mirror_axes"], values["largest_component"])
        whole = all(isinstance(value, (list, tuple)) and all(type(item) is int for item in value) for value in lists)
        known = values.keys() == default.keys() and regions is not None
        if not known or not whole or values["activation"] not in ACTIVATIONS:
            raise InputError(
                f"checkpoint {source or 'given'}: its entry inference is {values}; expected activation "
                f"({' or '.join(ACTIVATIONS)}), mirror_axes and largest_component (lists of whole numbers)"
            )
        mirrored, largest = map(tuple, lists)
        return InferenceSettings(values["activation"], mirrored, largest, regions or ())

    def check_model(self, *, classes: Sequence[int], outputs: int | None, dims: int, source: str = "") -> None:
        """Refuse what does not fit a model.

        Args:
            classes: its label values.
            outputs: of its network, where they are known.
            dims: of its images.
            source: the checkpoint, for messages.

        Raises:
            InputError: another number of outputs than the activation needs, or a class or an axis that it lacks.
        """
        what = f"checkpoint {source or 'given'}"
        needed = len(classes) + (self.activation == "softmax")
        if outputs not in (needed, None):
            background = "the background and " if self.activation == "softmax" else ""
            raise InputError(
                f"{what}: activation {self.activation} of {background}{len(classes)} classes needs {needed} outputs, "
                f"its network has {outputs}"
            )
        if strange := [value for value in self.largest_component if value not in classes]:
            raise InputError(f"{what}: largest_component names the class {strange[0]}; it knows {list(classes)}")
        if self.regions and {value for value, _ in self.regions} != set(classes):
            raise InputError(f"{what}: regions of the classes {[v for v, _ in self.regions]}; it knows {list(classes)}")
        check_axes(self.mirror_axes, dims)

    def mirrored(self, mirror: bool | None, dims: int) -> InferenceSettings:
        """The same, mirrored or not.

        Args:
            mirror: None: as it is; True: along the axes that are said, or, where none are, all; False: along none.
            dims: of the images.
        """
        if mirror is None:
            return self
        return replace(self, mirror_axes=(self.mirror_axes or tuple(range(dims))) if mirror else ())

    def numbers(self, classes: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """What in a class index (see :meth:`class_index`) is of each class: its own number, or those of all regions
        that lie in it.

        Args:
            classes: label values, in the order of the channels.
        """
        parts = dict(self.regions)
        return tuple(
            tuple(number for number, value in enumerate(classes, 1) if value in parts.get(of, (of,))) for of in classes
        )

    def order(self, classes: Sequence[int]) -> list[int]:
        """Channels, from 0, in the order in which masks that share voxels are painted on each other: of regions,
        theirs; else the first channel last.

        Args:
            classes: label values, in the order of the channels.
        """
        if not self.regions:
            return list(range(len(classes)))[::-1]
        return [list(classes).index(value) for value, _ in self.regions]

    def shown(self, probabilities: Tensor, classes: Sequence[int]) -> Tensor:
        """As :meth:`class_index`, with all components."""
        if not self.regions:
            return class_index(probabilities, self.activation)
        return painted_index(probabilities, self.order(classes))

    def class_index(self, probabilities: Tensor, classes: Sequence[int]) -> Tensor:
        """The class of each voxel, 0 is background, k + 1 is channel k; see
        :func:`~segxfer3d.inference.labels.class_index`, then the largest components; of regions
        :func:`~segxfer3d.inference.labels.painted_index`.

        Args:
            probabilities: (K, *spatial) in [0, 1].
            classes: label values, in the order of the channels.

        Returns:
            (*spatial) uint8.

        Raises:
            InputError: as :func:`~segxfer3d.inference.labels.class_index`.
        """
        return self.largest(self.shown(probabilities, classes), classes)

    def largest(self, index: Tensor, classes: Sequence[int]) -> Tensor:
        """A class index with the largest component alone of each class that keeps only this.

        Args:
            index: (*spatial) uint8, of a whole case.
            classes: label values, in the order of the channels.
        """
        for number, value in enumerate(classes, 1):
            if value in self.largest_component:
                index = keep_largest(index, number)
        return index


def _regions_of(values: Any) -> Regions | None:
    """Regions from plain values; None where they are none."""
    try:
        regions = tuple((int(value), tuple(map(int, part))) for value, part in values)
    except (TypeError, ValueError):
        return None
    return regions if all(part for _, part in regions) else None


def keep_largest(index: Tensor, number: int) -> Tensor:
    """The same index, with background where a voxel of ``number`` is not of its largest connected component.

    Args:
        index: (*spatial) uint8.
        number: of the class.
    """
    mask = index == number
    kept = torch.from_numpy(largest_component(mask.cpu().numpy())).to(index.device)
    return index.masked_fill(mask & ~kept, 0)
