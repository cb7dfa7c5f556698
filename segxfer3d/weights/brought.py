"""Options that a checkpoint brings to a fine-tuning on volumes, where nobody sets them; bundles call it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from segxfer3d.errors import InputError
from segxfer3d.weights import checkpoint
from segxfer3d.weights.formats import recognize
from segxfer3d.weights.formats.base import read_content


def batch_statistics_of(path: str | PathLike[str], network: str) -> bool:
    """Whether a network was trained to normalize by statistics of the batch in evaluation too.

    Args:
        path: of the checkpoint; empty, or a file that is none, says no: whoever reads it says what is wrong.
        network: name of the one that will start from it; of another one nothing is brought.
    """
    if not isinstance(path, (str, PathLike)) or not str(path):
        return False
    try:
        name, arguments = _network(Path(path).expanduser())
    except InputError:
        return False
    return name == network and arguments.get("batch_statistics") is True


def _network(path: Path) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the network of a file, of which those of a published one are what tells it apart.

    Raises:
        InputError: it is no checkpoint, or damaged.
    """
    content = read_content(path)
    if "format" in content:
        network = checkpoint.read_model(path)["network"]
        return str(network["name"]), dict(network["arguments"])
    known = recognize(content)
    return (known.network, dict(known.variants[0])) if known else ("", {})
