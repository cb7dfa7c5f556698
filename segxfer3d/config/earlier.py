"""What a run that is there was started with, for the one that goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segxfer3d.config.learning import recipe_in
from segxfer3d.schema.kinds import refuse
from segxfer3d.schema.own_files import KINDS
from segxfer3d.schema.parsing import parse

# what options of today mean to a run that was made before there were any
MEANT = {"augmentation": "flips", "interpolation": "antialiased", "initial_weights": "torch"}


def as_today(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run, with those of today whose meaning it had without knowing them."""
    return {"recipe": recipe_in(knobs), **MEANT, **knobs}


def knobs_of(folder: str) -> dict[str, Any]:
    """The options of the run in a folder; nothing where none can be read: whoever opens the run says why."""
    try:
        content = parse((Path(folder) / "run.json").read_text(encoding="utf-8"))
        refuse(KINDS["run.json"], content)
    except (OSError, ValueError):
        return {}
    return as_today(content["knobs"])
