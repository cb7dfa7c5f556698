"""What a file of a target says of it, and what is handed to it; :mod:`segxfer3d.export` finds all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from segxfer3d import files
from segxfer3d.errors import InputError, installed_with
from segxfer3d.inference.engines.engine import Forward
from segxfer3d.inference.model import Model

SCRATCH = "segxfer3d-export-"  # how temporary folders begin


@dataclass(frozen=True)
class Work:
    """A model that is exported.

    Attributes:
        model: computed by torch in float32.
        about: what goes with it, see :func:`~segxfer3d.export.description.describe`.
        name: of the folder.
        external_data: ONNX keeps its weights in a file of their own.
        license: file that becomes ``LICENSE`` of a bundle; None for a few words.
        authors: of a bundle.
        progress: show bars.
    """

    model: Model
    about: dict[str, Any] = field(repr=False)
    name: str
    external_data: bool = False
    license: Path | None = None
    authors: str = ""
    progress: bool = False


@dataclass(frozen=True)
class Compared:
    """How a mask by what was exported differs from torch's.

    Attributes:
        voxels: of another class.
        of: voxels of the mask.
        foreground: of torch's mask.
        probability: largest difference.
    """

    voxels: int
    of: int
    foreground: int
    probability: float

    def __str__(self) -> str:
        return (
            f"{self.voxels} of {self.of} voxels of the mask differ ({self.foreground} are foreground), probabilities "
            f"by up to {self.probability:.2g}"
        )


def write_about(work: Work, folder: Path, checked: str) -> None:
    """``metadata.json``, with a sentence on how it was compared."""
    files.write_json(folder / "metadata.json", {**work.about, "checked": checked})


@dataclass(frozen=True)
class Target:
    """What a model is exported to; its file ends with one of these, called ``TARGET``.

    Attributes:
        name: on the command line.
        title: what it is, in words.
        write: writes the files into a folder.
        run: makes what was written there ready to compute; None where ``compare`` does more.
        compare: of what was written, a case's file and a folder for what it writes, with torch's mask; None for
            :func:`~segxfer3d.export.compare.by_forward`.
        refuse: raises InputError for a model or a case (None: a phantom) that it cannot take, before any work.
        finish: writes what says how it was compared.
        extra: of ``pyproject.toml``, that it needs; empty for none.
        packages: that the extra brings.
    """

    name: str
    title: str
    write: Callable[[Work, Path], None]
    run: Callable[[Path], Forward] | None = None
    compare: Callable[[Work, Path, Path, Path], Compared] | None = None
    refuse: Callable[[Work, Path | None], None] = lambda work, case: None
    finish: Callable[[Work, Path, str], None] = write_about
    extra: str = ""
    packages: tuple[str, ...] = ()

    def refuse_absent(self) -> None:
        """
        Raises:
            InputError: a package is not installed.
        """
        if missing := [package for package in self.packages if find_spec(package) is None]:
            raise InputError(f"--to {self.name}: {' and '.join(missing)} not installed ({installed_with(self.extra)})")
