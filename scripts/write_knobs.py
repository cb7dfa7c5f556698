"""Write docs/knobs.md: every knob of every bundle, from the bundles and from the table that ``--help`` shows.

python scripts/write_knobs.py             # writes the page
python scripts/write_knobs.py --check     # exit status 1 where the page is not what would be written

Run it after a change of ``segxfer3d/knobs.py`` or of a bundle.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segxfer3d.config.knobs import listed

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "knobs.md"
HEAD = """# Knobs

Every knob of every bundle. This page is written by `scripts/write_knobs.py`; do not edit it by hand.

`--NAME VALUE` behind a bundle turns a knob, and `--help` behind it shows the same list:

```bash
python -m monai.bundle run --config_file bundles/genesis_finetune.json --init encoder --label_count 5
```

- A default such as `64 if dataset_dir else 8` depends on other knobs: here 64 with your own data and 8 with generated
  data. `runs.next_folder('runs/NAME', resume)` is a new folder `runs/NAME/001`, `002` and so on, or the newest one
  where a run is resumed. `none` is nothing, or an empty text.
- To say none, write `'$None'`. A list is written `'[64, 64, 32]'`.
- A value that is not allowed, and a name that the bundle does not know, are refused before any work starts.
- Any other entry of a bundle can be replaced too, with `::` between the levels:
  `--train::trainer::_target_ my_package.MyTrainer`.
"""


def page(folder: Path = ROOT / "bundles") -> str:
    """The whole page: a section for each bundle of the folder that has knobs (overlays have none)."""
    bundles = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    bundles = {name: config for name, config in bundles.items() if "knobs" in config}
    index = "".join(f"- [{name}](#{name})\n" for name in bundles)
    return "\n".join([HEAD, index, *(section(name, config) for name, config in bundles.items())])


def section(name: str, config: Mapping[str, Any]) -> str:
    """A bundle's heading, description and table."""
    lines = [f"## {name}", "", str(config["description"]), "", "| knob | default | allowed | meaning |"]
    lines.append("| --- | --- | --- | --- |")
    for knob, (default, known) in listed(config).items():
        shown = default if default == "none" else f"`{default}`"
        cells = (f"`{knob}`", shown, known.expected, known.help)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the page is up to date")
    options = parser.parse_args(arguments)
    text = page()
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE}: not up to date; run python scripts/write_knobs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
