"""What the scripts that simulate studies share: their options, the processes, and the two files that they write."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

Records = Sequence[dict[str, Any]]  # of {"setting", "studies", "found"}


def command(
    about: str | None,
    output: Path,
    *,
    studies: int,
    settings: Sequence[Any],
    simulate: Callable[[Any, int], dict[str, Any]],
    page: Callable[[Records], str],
) -> None:
    """Simulate each setting, and write what came out and the page beside it.

    Args:
        about: the script, for its help.
        output: file of the records; the page has its name and ends in ``.md``.
        studies: of each setting, by default.
        settings: dataclasses.
        simulate: what came out of so many studies of a setting.
        page: of the records, in Markdown.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=studies, help="of each setting")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    options = parser.parse_args()
    if not options.page:
        with ProcessPoolExecutor(options.jobs) as pool:
            found = list(pool.map(simulate, settings, [options.studies] * len(settings)))
        records = [
            {"setting": asdict(setting), "studies": options.studies, "found": each}
            for setting, each in zip(settings, found, strict=True)
        ]
        output.write_text("[\n" + ",\n".join(json.dumps(record) for record in records) + "\n]\n", encoding="utf-8")
    output.with_suffix(".md").write_text(page(json.loads(output.read_text(encoding="utf-8"))), encoding="utf-8")
