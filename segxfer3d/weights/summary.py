"""What a checkpoint holds, part by part, and where it comes from: a run of ours, or a format from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from segxfer3d.errors import InputError
from segxfer3d.networks import PARTS
from segxfer3d.weights import checkpoint
from segxfer3d.weights.formats import FORMATS, Format, flags, recognize
from segxfer3d.weights.formats.base import read_content
from segxfer3d.weights.lineage import STARTED_FROM, in_words

_SHOWN = 120  # characters of a value


def summarize(path: Path) -> list[str]:
    """Lines on a checkpoint.

    Raises:
        InputError: it cannot be read, or nothing here could start from it.
    """
    content = read_content(path)
    if content.get("format") == checkpoint.MODEL_FORMAT:
        return _model(checkpoint.read_model(path))
    if content.get("format") == checkpoint.STATE_FORMAT:
        return [
            f"training state after epoch {content.get('epoch')}, for --resume True of its run",
            "to start from it, use the run's model.pt",
        ]
    if fitting := recognize(content):
        return _foreign(fitting, content, f"checkpoint {path}")
    known = ", ".join(f"{known.title} ({flags(known)})" for known in FORMATS)
    raise InputError(
        f"checkpoint {path}: expected a model.pt of a run or one of: {known}; it holds "
        f"{', '.join(map(str, list(content)[:5])) or 'nothing'}"
    )


def _model(model: Mapping[str, Any]) -> list[str]:
    arguments = ", ".join(f"{name}={value}" for name, value in model["network"]["arguments"].items())
    lines = [f"model of a run: {model['network'].get('name')}({arguments})"]
    trained = model["provenance"].get("trained_parts", PARTS)
    lines += _parts(model["state_dict"], trained)
    provenance = {name: value for name, value in model["provenance"].items() if name != STARTED_FROM}
    provenance |= {f"extra {name}": value for name, value in provenance.pop("extra", {}).items()}
    sections = {"classes": model["classes"], "preprocessing": model["preprocessing"], "provenance": provenance}
    for title, section in sections.items():
        lines.append(f"{title}:" if section else f"{title}: none")
        lines += [f"  {name}: {_short(value)}" for name, value in section.items()]
    if chain := in_words(model["provenance"]):
        lines.append(f"started from: {chain}")
    return lines


def _foreign(fitting: Format, content: Mapping[str, Any], source: str) -> list[str]:
    problems = []
    for variant in fitting.variants:
        try:
            translated = fitting.translate(content, variant, source)
        except InputError as error:
            problems.append(str(error))
            continue
        words = " ".join(f"--{name} {value}" for name, value in variant.items())
        return [f"{fitting.title} ({words})", *_parts(translated)]
    others = f"; nor another of {flags(fitting)}" if len(problems) > 1 else ""
    raise InputError(f"{problems[-1]}{others}")


def _parts(state_dict: Mapping[str, Tensor], trained: tuple[str, ...] | list[str] = PARTS) -> list[str]:
    """Tensors and values of each part, and of what belongs to none."""
    lines = []
    rest = dict(state_dict)
    for part in PARTS:
        tensors = {key: rest.pop(key) for key in list(rest) if key.startswith(f"{part}.")}
        note = "" if part in trained or not tensors else ", not trained by the pretext"
        lines.append(f"  {part}: {_size(tensors)}{note}")
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
