"""What a checkpoint holds, part by part, and where it comes from: ours, Models Genesis or ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from segxfer3d import checkpoint
from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS
from segxfer3d.networks.imagenet import BACKBONES
from segxfer3d.weights import genesis, imagenet

_SHOWN = 120  # characters of a value


def summarize(path: Path) -> list[str]:
    """Lines on a checkpoint.

    Raises:
        InputError: it cannot be read, or nothing here could start from it.
    """
    content = imagenet.read_safetensors(path) if path.suffix == ".safetensors" else checkpoint.read_file(path)
    if content.get("format") == checkpoint.MODEL_FORMAT:
        return _model(checkpoint.read_model(path))
    if content.get("format") == checkpoint.STATE_FORMAT:
        return [
            f"training state after epoch {content.get('epoch')}, for --resume True of its run",
            "to start from it, use the run's model.pt",
        ]
    if imagenet.is_imagenet(content):
        return _imagenet(content, path)
    state_dict = content.get("state_dict")
    if isinstance(state_dict, dict) and all(isinstance(value, Tensor) for value in state_dict.values()):
        translated = genesis.translate(state_dict, f"checkpoint {path}")
        return [
            "published Models Genesis checkpoint of the 3D U-Net (--width 32 --batch_statistics True)",
            *_parts(translated),
        ]
    raise InputError(
        f"checkpoint {path}: expected a model.pt of a run, a Models Genesis checkpoint or ImageNet weights of "
        f"{', '.join(BACKBONES)}; it holds {', '.join(map(str, list(content)[:5])) or 'nothing'}"
    )


def _model(model: Mapping[str, Any]) -> list[str]:
    arguments = ", ".join(f"{name}={value}" for name, value in model["network"]["arguments"].items())
    lines = [f"model of a run: {model['network'].get('name')}({arguments})"]
    trained = model["provenance"].get("trained_parts", PARTS)
    lines += _parts(model["state_dict"], trained)
    sections = {"classes": model["classes"], "preprocessing": model["preprocessing"], "provenance": model["provenance"]}
    for title, section in sections.items():
        lines.append(f"{title}:" if section else f"{title}: none")
        lines += [f"  {name}: {_short(value)}" for name, value in section.items()]
    return lines


def _imagenet(content: Mapping[str, Any], path: Path) -> list[str]:
    problem: InputError | None = None
    for backbone in BACKBONES:
        try:
            translated = imagenet.translate(dict(content), backbone, f"checkpoint {path}")
        except InputError as error:
            problem = error
            continue
        return [f"published ImageNet weights (--backbone {backbone})", *_parts(translated)]
    raise InputError(f"{problem}; nor of another of {', '.join(BACKBONES)}")


def _parts(state_dict: Mapping[str, Tensor], trained: tuple[str, ...] | list[str] = PARTS) -> list[str]:
    """Tensors and values of each part, and of what belongs to none."""
    lines = []
    rest = dict(state_dict)
    for part in PARTS:
        own = {key: rest.pop(key) for key in list(rest) if key.startswith(f"{part}.")}
        note = "" if part in trained or not own else ", not trained by the pretext"
        lines.append(f"  {part}: {_size(own)}{note}")
    if rest:
        lines.append(f"  no part of a network here: {_size(rest)} ({', '.join(sorted(rest)[:4])})")
    return lines


def _size(tensors: Mapping[str, Tensor]) -> str:
    return f"{len(tensors)} tensors, {sum(t.numel() for t in tensors.values()):,} values" if tensors else "none"


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 8:
        return f"{len(value)}: {', '.join(map(str, value[:3]))}, ..."
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
