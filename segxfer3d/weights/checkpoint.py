"""The only reader and writer of this project's checkpoints.

Two kinds of file, both plain tensors and Python values, so that ``torch.load(weights_only=True)`` reads them:

* a *model* (``model.pt``): weights, how to build the network again, preprocessing, classes and provenance;
* a *training state* (``checkpoints/epoch-00012.pt``, ``epoch-00012-step-00003.pt`` within an epoch): everything that a
  killed run needs to go on bit for bit.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.schema.kinds import shown
from segxfer3d.weights.checksums import refuse_changed, refuse_packed
from segxfer3d.weights.model_kind import problem_of

logger = logging.getLogger(__name__)

MODEL_FORMAT = "segxfer3d-model"
STATE_FORMAT = "segxfer3d-training-state"
VERSION = 1
_STATE_NAME = re.compile(r"^epoch-(\d+)(?:-step-(\d+))?\.pt$")


def write(content: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write ``content`` so that ``path`` is at every moment either the old file or the whole new one.

    Raises:
        InputError: the file cannot be written (disk full, no permission); the old file is untouched.
    """
    path = Path(path)
    try:
        with files.replacing(path, sync=True) as file:
            torch.save(dict(content), file)
    except (InputError, RuntimeError) as error:
        # torch wraps a failed write in a RuntimeError of its own
        said = str(error) if isinstance(error, InputError) else f"{path} could not be saved ({error})"
        kept = "; the file that was there before is kept" if path.exists() else ""
        raise InputError(f"{said}{kept}") from error


def read_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a dictionary that ``torch.save`` wrote, without executing code from the file.

    Raises:
        InputError: no such file, damaged, not a dictionary, or a pickle with code in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path}: no such file")
    refuse_packed(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of a bare pickle before it refuses it
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise InputError(
                f"checkpoint {path}: refused, the file is not plain tensors (it holds code or foreign objects, "
                "or it is no checkpoint); expected a model.pt written by this package"
            ) from error
        raise InputError(f"checkpoint {path}: not a checkpoint, or damaged ({_first_sentence(error)})") from error
    except Exception as error:  # damaged bytes end in whatever error of torch and zipfile
        raise InputError(f"checkpoint {path}: not a checkpoint, or damaged ({_first_sentence(error)})") from error
    if not isinstance(content, dict):
        raise InputError(f"checkpoint {path}: expected a dictionary, found {type(content).__name__}")
    if content.get("format") in (MODEL_FORMAT, STATE_FORMAT):  # files from elsewhere may come without checksums
        refuse_changed(path)
    return content


def _first_sentence(error: Exception) -> str:
    """What torch says of a file; behind it stands what may have happened to any."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return first_line.split(". ")[0][:300].rstrip(".")


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a model file.

    Returns:
        dict with ``network`` (how to build it), ``state_dict``, ``preprocessing``, ``classes`` (label value to
        name), ``provenance`` and ``inference`` (how outputs become masks, see
        :class:`~segxfer3d.inference.settings.InferenceSettings`; empty where a file has none).

    Raises:
        InputError: the file is not a model written by this package.
    """
    content = read_file(path)
    if not _is(content.get("format"), MODEL_FORMAT):
        kind = shown(content["format"]) if "format" in content else "a foreign checkpoint"
        raise InputError(f"checkpoint {path}: expected a {MODEL_FORMAT} file (model.pt of a run), found {kind}")
    if not _is(content.get("version"), VERSION):
        raise InputError(f"checkpoint {path}: format version {shown(content.get('version'))}, expected {VERSION}")
    content.setdefault("inference", {})
    if problem := problem_of(content):
        raise InputError(f"checkpoint {path}: damaged ({problem}); expected model.pt of a run")
    content["classes"] = {int(value): name for value, name in content["classes"].items()}
    return content


def _is(value: Any, expected: Any) -> bool:
    """Whether they are the same; a tensor, whose comparison is one too, is not."""
    return type(value) is type(expected) and value == expected


def write_model(
    path: str | os.PathLike[str],
    state_dict: Mapping[str, Tensor],
    network: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    classes: Mapping[int, str],
    provenance: Mapping[str, Any],
    inference: Mapping[str, Any] | None = None,
) -> None:
    """Write a model file; see :func:`read_model` for what is in it."""
    entry = {} if inference is None else {"inference": dict(inference)}
    write(
        {
            "format": MODEL_FORMAT,
            "version": VERSION,
            "network": dict(network),
            "state_dict": {key: tensor.detach().cpu().contiguous() for key, tensor in state_dict.items()},
            "preprocessing": dict(preprocessing),
            "classes": {str(value): name for value, name in classes.items()},
            "provenance": dict(provenance),
            **entry,
        },
        path,
    )


class StateFolder:
    """The training states of one run: the last ``keep`` of them, newest first when read."""

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        self.folder = Path(folder)
        self.keep = keep

    def files(self) -> list[tuple[int, Path]]:
        """``(epoch, file)`` of every state, newest first."""
        if not self.folder.is_dir():
            return []
        found = [(match, path) for path in self.folder.iterdir() if (match := _STATE_NAME.match(path.name))]
        states = sorted(((int(match[1]), int(match[2] or 0), path) for match, path in found), reverse=True)
        return [(epoch, path) for epoch, _, path in states]

    def make(self) -> None:
        """Make the folder where it is missing.

        Raises:
            InputError: it cannot be made.
        """
        files.make_folder(self.folder, parents=False)

    def write(self, epoch: int, content: Mapping[str, Any], *, step: int = 0) -> None:
        """Write the state after ``epoch`` epochs and ``step`` steps of the next one; drop those that are too old.

        Raises:
            InputError: it cannot be written.
        """
        self.make()
        header = {"format": STATE_FORMAT, "version": VERSION, "epoch": epoch, "step": step}
        within = f"-step-{step:05d}" if step else ""
        write({**header, **content}, self.folder / f"epoch-{epoch:05d}{within}.pt")
        for _, path in self.files()[self.keep :]:
            path.unlink(missing_ok=True)

    def newest(self, use: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any] | None:
        """The newest state that can be read, or None where there is none.

        A state that a crash left damaged is passed over with a warning: that is why more than one is kept.

        Args:
            use: takes a state over; one that it cannot use (KeyError, TypeError, ValueError, RuntimeError) is passed
                over too.

        Raises:
            InputError: there are states, and none of them can be used.
        """
        damaged: InputError | None = None
        for _, path in self.files():
            try:
                content = read_file(path)
                if not _is(content.get("format"), STATE_FORMAT):
                    continue
                if use is not None:
                    _used(content, path, use)
            except InputError as error:
                logger.warning("%s; going back to the state before it", error)
                damaged = error
                continue
            return content
        if damaged is not None:
            raise InputError(f"no readable training state in {self.folder}: {damaged}")
        return None


def _used(content: dict[str, Any], path: Path, use: Callable[[dict[str, Any]], None]) -> None:
    try:
        use(content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no training state of this run ({type(error).__name__}: {said})") from error


def dims_of(path: str | os.PathLike[str]) -> int:
    """2 where a file is a model of images, else 3; also where it is none, which whoever reads it says better."""
    try:
        return 2 if "image_size" in read_model(Path(path).expanduser())["preprocessing"] else 3
    except InputError:
        return 3


def amp_of(path: str | os.PathLike[str], *, unknown: bool) -> bool:
    """Whether a model was trained and measured in bf16.

    Args:
        path: of ``model.pt``.
        unknown: the answer where a file of an earlier version does not say, or is none.
    """
    try:
        amp = read_model(Path(path).expanduser())["provenance"].get("amp")
    except InputError:
        return unknown
    return amp if isinstance(amp, bool) else unknown


def network_of(path: str | os.PathLike[str]) -> str:
    """The network of a model of volumes, by name; that of Models Genesis where a file is none of this package; empty
    where there is no such file, or a model of images, which whoever reads it says better."""
    content = _content(path)
    if not content or _is_of_images(content):
        return ""
    return str(_network(content).get("name", "")) if "format" in content else "genesis_unet"


def of_images(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Options that a model of images brings: ``network``, ``image_size`` and, where its network has one, ``width``;
    nothing where a file is no such model, which whoever reads it says better."""
    content = _content(path)
    if "format" not in content or not _is_of_images(content):
        return {}
    network = _network(content)
    arguments = network.get("arguments") or {}
    # the networks on a ResNet are called by it
    brought = {
        "network": arguments.get("backbone") or network.get("name"),
        "image_size": content["preprocessing"]["image_size"],
        "width": width_of(arguments),
    }
    return {name: value for name, value in brought.items() if value}


def width_of(arguments: Mapping[str, Any]) -> int | None:
    """Channels of a network's finest stage, from the arguments of its definition; None where it has one width only."""
    width: int | None = arguments.get("width") or next(iter(arguments.get("features") or ()), None)
    return width


def _content(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a checkpoint holds; nothing of one that is none, or a damaged model."""
    if not isinstance(path, (str, os.PathLike)):
        return {}  # of an option that is no text, which whoever reads the options says
    try:
        content = read_file(Path(path).expanduser()) if str(path) else {}
    except InputError:
        return {}
    return {} if "format" in content and problem_of(content) else content


def _is_of_images(content: Mapping[str, Any]) -> bool:
    preprocessing = content.get("preprocessing")
    return isinstance(preprocessing, Mapping) and "image_size" in preprocessing


def _network(content: Mapping[str, Any]) -> dict[str, Any]:
    network = content.get("network")
    return network if isinstance(network, dict) else {}
