"""What a run that is there was started with, for the one that goes on with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segxfer3d.config.learning import recipe_in


def as_today(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run, with those of today whose meaning it had without knowing them."""
    return {"recipe": recipe_in(knobs), "augmentation": "flips", "interpolation": "antialiased", **knobs}


def knobs_of(folder: str) -> dict[str, Any]:
    """The options of the run in a folder; nothing where none can be read: whoever opens the run says why."""
    try:
        return as_today(json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))["knobs"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
