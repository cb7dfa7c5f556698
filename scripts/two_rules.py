"""Judge the recorded studies by today's rule and by that of commit 24e1449, side by side.

``python scripts/two_rules.py`` writes ``docs/results/rules.md`` from the records of the three studies beside it, or of
those that are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from old_rule import OldVerdict, old_pairs, old_verdicts

from segxfer3d.report.cells import between, p_value, signed
from segxfer3d.report.collect import Collection, collect
from segxfer3d.report.results import Result, results
from segxfer3d.statistics.compare import Comparison
from segxfer3d.statistics.verdict import Verdict

RESULTS = Path(__file__).parents[1] / "docs" / "results"
STUDIES = ("lidc", "hippocampus", "horses")
CALLED = ("better", "worse")

Row = tuple[Comparison, OldVerdict, Verdict]


def judged(collection: Collection) -> list[tuple[Result, list[Row]]]:
    """The comparisons that both rules make, of each data set and label budget."""
    found = []
    for result in results(collection):
        assert result.scores is not None, f"{collection.name}, {result.title}: scores that cannot be paired"
        pairs = old_pairs([arm.arm for arm in result.arms], result.reference)
        rows = []
        for pair, old in zip(pairs, old_verdicts(result.scores, pairs), strict=True):
            both = result.against(*pair)
            assert both is not None, f"{collection.name}: {pair} is compared no longer"
            rows.append((both[0], old, both[1]))
        found.append((result, rows))
    return found


def page(studies: Mapping[str, Sequence[tuple[Result, Sequence[Row]]]]) -> str:
    """The page in Markdown."""
    lines = [HEAD, "| study | comparisons | old: called | new: called | called by the old alone | by the new alone |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name, parts in studies.items():
        rows = [row for _, of_budget in parts for row in of_budget]
        lines.append(f"| {name} | {len(rows)} | {' | '.join(map(str, _counted(rows)))} |")
    for name, parts in studies.items():
        family = parts[0][1][0][0].family
        lines += ["", f"## {name}", "", f"The new rule corrects over all {family} comparisons of the study."]
        for result, of_budget in parts:
            lines += ["", f"### {result.title}", "", *_table(of_budget)]
    return "\n".join(lines) + "\n"


def _counted(rows: Sequence[Row]) -> tuple[int, int, int, int]:
    calls = Counter((old.kind in CALLED, new.kind in CALLED) for _, old, new in rows)
    old, new, both = calls[True, False], calls[False, True], calls[True, True]
    return old + both, new + both, old, new


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| arm | against | old: difference | old: 95 % interval | old: p (Holm) | old verdict "
        "| new: difference | new: 95 % interval | new: p (Holm) | new verdict |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for pair, old, new in rows:
        changed = (old.kind in CALLED or new.kind in CALLED) and old.kind != new.kind
        mark = "**" if changed else ""
        cells = [
            pair.arm, pair.reference, signed(old.difference), between(old.interval, sign=True),
            p_value(None if old.kind == "no verdict" else old.p_holm),
            f"{mark}{old.kind}{mark}", signed(pair.difference), between(pair.interval, sign=True),
            p_value(None if new.kind == "no verdict" else pair.p_holm), f"{mark}{new.kind}{mark}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


HEAD = """# The same trainings under the old and the new rule

Written by `python scripts/two_rules.py` from the records beside this page. Differences are in dice points.

- Old (commit 24e1449): better or worse where a bootstrap interval over patients and seeds excludes 0 and a signed-rank
  test over patients, seeds averaged, has p at most 0.05 after Holm over one label budget. The difference weighs cases
  alike. It was asked no margin, so nothing was called equivalent.
- New: interval and p from one model of crossed seeds and patients, Holm over the whole study; the difference weighs
  patients alike ([reading the report](../reading_the_report.md), [how often each is wrong](verdicts.md)).

Verdicts in bold differ in what is called better or worse.
"""


def recorded() -> dict[str, list[tuple[Result, list[Row]]]]:
    """The studies that are recorded, judged."""
    return {name: judged(collect(RESULTS / name)) for name in STUDIES if (RESULTS / name).is_dir()}


def main() -> None:
    """Write the page."""
    (RESULTS / "rules.md").write_text(page(recorded()), encoding="utf-8")


if __name__ == "__main__":
    main()
