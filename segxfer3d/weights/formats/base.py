"""What a format of checkpoints from elsewhere is: how it is recognized, and how it becomes a state dict of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeGuard

from torch import Tensor

from segxfer3d.errors import InputError
from segxfer3d.weights.checkpoint import read_file


@dataclass(frozen=True)
class Format:
    """A kind of checkpoint that was not written here; its file ends with one of these, called ``FORMAT``.

    Attributes:
        title: what it is, in words.
        network: name of the network that it serves, as in its ``definition``.
        variants: arguments of that network with which it was trained, one entry for each network that was published;
            names and values are those of the bundles' options.
        recognizes: whether the content of a file looks like this format; a look at a few keys is enough.
        translate: (content, arguments of the network, where it comes from) to a state dict in which ``encoder``,
            ``decoder`` and ``head`` start the keys; whatever else is in it counts as unused. It raises an
            :class:`~segxfer3d.errors.InputError` that names every tensor that does not fit.
        preprocessing: of the volumes that it was trained on, as a model's own; None where nothing is known, or the
            network does it itself.
        patch_size: that it was trained on, in voxels; empty where nothing is known.
    """

    title: str
    network: str
    variants: Sequence[Mapping[str, Any]]
    recognizes: Callable[[Mapping[str, Any]], bool]
    translate: Callable[[Mapping[str, Any], Mapping[str, Any], str], dict[str, Tensor]]
    preprocessing: Mapping[str, Any] | None = None
    patch_size: tuple[int, ...] = ()


def read_content(path: str | PathLike[str]) -> dict[str, Any]:
    """What a file holds, a ``.safetensors`` file or one that torch saved; no code in it is executed.

    Raises:
        InputError: no such file, damaged, or refused.
    """
    return dict(read_safetensors(Path(path))) if Path(path).suffix == ".safetensors" else read_file(path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``.safetensors`` file.

    Raises:
        InputError: no such file, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"checkpoint {path}: no such file")
    try:
        content: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"checkpoint {path}: no safetensors file, or damaged ({error})") from error
    return content


def misfits(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: Callable[[str], str] = str
) -> list[str]:
    """What keeps ``tensors`` from being those of ``expected``, in words: extra, missing and misshapen keys.

    Args:
        tensors: key to tensor, of a file.
        expected: key to tensor, of a network; only shapes are looked at.
        name: a key as messages spell it.
    """
    problems = [f"extra key {name(key)}" for key in tensors if key not in expected]
    problems += [f"missing key {name(key)}" for key in expected if key not in tensors]
    problems += [
        f"{name(key)} has shape {tuple(tensors[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in expected.items()
        if key in tensors and tensors[key].shape != tensor.shape
    ]
    return problems


def is_state_dict(content: Any) -> TypeGuard[dict[str, Tensor]]:
    """Whether it is a plain dictionary of names to tensors."""
    return isinstance(content, dict) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    )
