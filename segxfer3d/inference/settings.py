"""What a model's file says of how it is used: the activation, mirroring, and classes that keep one component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segxfer3d.errors import InputError
from segxfer3d.inference.components import largest_component
from segxfer3d.inference.labels import class_index
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
        largest_component: values of the classes of which only the largest connected component is kept; what else was
            said to be of the class becomes background.

    Raises:
        InputError: an unknown activation, or axes that cannot be.
    """

    activation: str = "sigmoid"
    mirror_axes: tuple[int, ...] = ()
    largest_component: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_activation(self.activation)
        check_axes(self.mirror_axes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return {
            "activation": self.activation,
            "mirror_axes": list(self.mirror_axes),
            "largest_component": list(self.largest_component),
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
        lists = (values["mirror_axes"], values["largest_component"])
        whole = all(isinstance(value, (list, tuple)) and all(type(item) is int for item in value) for value in lists)
        if values.keys() != default.keys() or not whole or values["activation"] not in ACTIVATIONS:
            raise InputError(
                f"checkpoint {source or 'given'}: its entry inference is {values}; expected activation "
                f"({' or '.join(ACTIVATIONS)}), mirror_axes and largest_component (lists of whole numbers)"
            )
        return InferenceSettings(values["activation"], *map(tuple, lists))

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
        check_axes(self.mirror_axes, dims)

    def class_index(self, probabilities: Tensor, classes: Sequence[int]) -> Tensor:
        """The class of each voxel, 0 is background, k + 1 is channel k; see
        :func:`~segxfer3d.inference.labels.class_index`, then the largest components.

        Args:
            probabilities: (K, *spatial) in [0, 1].
            classes: label values, in the order of the channels.

        Returns:
            (*spatial) uint8.

        Raises:
            InputError: as :func:`~segxfer3d.inference.labels.class_index`.
        """
        index = class_index(probabilities, self.activation)
        for number, value in enumerate(classes, 1):
            if value in self.largest_component:
                index = keep_largest(index, number)
        return index


def keep_largest(index: Tensor, number: int) -> Tensor:
    """The same index, with background where a voxel of ``number`` is not of its largest connected component.

    Args:
        index: (*spatial) uint8.
        number: of the class.
    """
    mask = index == number
    kept = torch.from_numpy(largest_component(mask.cpu().numpy())).to(index.device)
    return index.masked_fill(mask & ~kept, 0)
