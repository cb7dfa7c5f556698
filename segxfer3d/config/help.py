"""What ``--help`` shows: the options of a bundle with their defaults, in words."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from typing import Any

from segxfer3d.config import recipes
from segxfer3d.config.options import OptionInfo, load_table


def help_text(config: Mapping[str, Any], known: Mapping[str, OptionInfo]) -> str:
    """The options of a bundle with their defaults; of those that are shipped, as ``options.json`` says."""
    shipped = load_table()
    width = max(60, shutil.get_terminal_size().columns)
    lines = [textwrap.fill(str(config.get("description", "")), width), "", "knobs (--name value):"]
    for name, info in known.items():
        lines += textwrap.wrap(
            f"{shipped.get(name, info).help} [{default_of(name, config)}]",
            width,
            initial_indent=f"  --{name:<22} ",
            subsequent_indent=" " * 27,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def default_of(name: str, config: Mapping[str, Any]) -> str:
    """What a bundle says for an option, in words."""
    default = config.get(name)
    return "none" if default in ("", None) else recipes.explained(str(default).lstrip("$")).replace("@", "")
