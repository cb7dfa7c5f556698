"""Write bundles/*.json, bundles/options.json and docs/knobs.md from the recipes in the package.

python scripts/write_bundles.py             # writes them
python scripts/write_bundles.py --check     # exit status 1 where a file is not what would be written

Run it after a change of an option, of a base in ``segxfer3d/config``, or of a recipe (pretexts, networks, jobs).
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.config.bases import BASES, COMMON, DIMENSIONS
from segxfer3d.config.bundles import Recipe, as_json, compose
from segxfer3d.config.help import default_of
from segxfer3d.config.options import SHIPPED_TABLE, Group, OptionInfo, as_table, infos
from segxfer3d.data.case import NOUNS
from segxfer3d.data.layouts import layouts
from segxfer3d.errors import InputError
from segxfer3d.networks.named import choices

ROOT = Path(__file__).parent.parent
ROOMS = ("pretexts", "networks", "jobs")  # where recipes stand
HEAD = """# Knobs

Every knob of every bundle. This page is written by `scripts/write_bundles.py`; do not edit it by hand.

`--NAME VALUE` behind a bundle turns a knob, and `--help` behind it shows the same list:

```bash
python -m monai.bundle run --config_file bundles/genesis_finetune.json --init encoder --label_count 5
```

- A default such as `64 if dataset_dir else 8` depends on other knobs: here 64 with your own data and 8 with generated
  data. `folder.next_folder('runs/NAME', resume)` is a new folder `runs/NAME/001`, `002` and so on, or the newest one
  where a run is resumed. `none` is nothing, or an empty text.
- `strong: dice_ce (without data: dice); paper: dice` follows the [recipe](recipe.md) and, where brackets stand, whether
  data is given.
- To say none, write `'$None'`. A list is written `'[64, 64, 32]'`.
- A value that is not allowed, and a name that the bundle does not know, are refused before any work starts.
- Any other entry of a bundle can be replaced too, with `::` between the levels:
  `--train::trainer::_target_ my_package.MyTrainer`.
"""


def recipes() -> dict[str, Recipe]:
    """All recipes of the package, by the name of their bundle.

    Raises:
        InputError: two of one name.
    """
    known: dict[str, Recipe] = {}
    places: dict[str, str] = {}
    for room in ROOMS:
        package = importlib.import_module(f"segxfer3d.{room}")
        for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            recipe = getattr(importlib.import_module(entry.name), "RECIPE", None)
            if recipe is None:
                continue
            if recipe.name in known:
                raise InputError(f"two recipes are called {recipe.name}: {places[recipe.name]} and {entry.name}")
            known[recipe.name], places[recipe.name] = recipe, entry.name
    return dict(sorted(known.items()))


def groups_of(recipe: Recipe) -> list[type[Group]]:
    """The groups of options of a recipe's bundle."""
    layers = [BASES[recipe.base], *DIMENSIONS.get((recipe.base, recipe.dims), ())]
    return [*COMMON, *(group for layer in layers for group in layer.groups), *recipe.options]


def contents() -> dict[Path, str]:
    """Every file that is written, with its text."""
    known = recipes()
    bundles = {name: compose(recipe) for name, recipe in known.items()}
    groups = {name: groups_of(recipe) for name, recipe in known.items()}
    texts = {ROOT / "bundles" / f"{name}.json": as_json(bundle) for name, bundle in bundles.items()}
    table = as_table(dict.fromkeys(group for inner in groups.values() for group in inner))
    table["dataset"]["help"] = help_of_dataset()
    add_names(table)
    texts[ROOT / "bundles" / SHIPPED_TABLE] = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    index = "".join(f"- [{name}](#{name})\n" for name in bundles)
    sections = [section(name, bundles[name], groups[name]) for name in bundles]
    texts[ROOT / "docs" / "knobs.md"] = "\n".join([HEAD, index, *sections])
    return texts


def help_of_dataset() -> str:
    """What the option ``dataset`` means, with all layouts; its group stands below them and knows none."""
    names = {
        dims: ", ".join(name for name, layout in layouts().items() if dims in layout.DIMS) for dims in sorted(NOUNS)
    }
    kinds = "; ".join(f"{NOUNS[dims]}: {listed}" for dims, listed in names.items())
    return f"layout of dataset_dir ({kinds}); nothing: the one that fits"


def add_names(table: dict[str, Any]) -> None:
    """The names that options of networks and layouts may have, which their groups stand below, for study files."""
    found = {"network": [*choices(2), *choices(3)], "dataset": ["", *layouts()], "extra_dataset": ["", *layouts()]}
    for option, names in found.items():
        limits = {key: value for key, value in table[option]["limits"].items() if key != "text"}
        table[option]["limits"] = {"choices": sorted({*names}), **limits}


def section(name: str, bundle: Mapping[str, Any], groups: Sequence[type[Group]]) -> str:
    """A bundle's heading, description and table."""
    lines = [f"## {name}", "", str(bundle["description"]), "", "| knob | default | allowed | meaning |"]
    lines.append("| --- | --- | --- | --- |")
    known: dict[str, OptionInfo] = {option: info for group in groups for option, info in infos(group).items()}
    for option, info in known.items():
        default = default_of(option, bundle)
        meaning = help_of_dataset() if option == "dataset" else info.help
        cells = (f"`{option}`", default if default == "none" else f"`{default}`", info.expected, meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the files are up to date")
    check = parser.parse_args(arguments).check
    stale = []
    for path, text in contents().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"not up to date: {names}; run python scripts/write_bundles.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
