"""The tables of a report: numbers for further work as CSV, and for reading as Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segxfer3d.files import write_text
from segxfer3d.report import unrounded
from segxfer3d.report.cells import (
    NONE,
    between,
    differs,
    p_value,
    plus_minus,
    signed,
    steps,
    steps_less,
    verdict_words,
    with_interval,
)
from segxfer3d.report.claims import Claim
from segxfer3d.report.markup import latex, markdown, one_line
from segxfer3d.report.results import LESIONS, Result, level
from segxfer3d.report.table import Table

MEASURE_NAMES = {"iou": "IoU"}  # others stand in tables as they are called


def score_table(result: Result) -> Table:
    """Every arm in words: scenario, measures as mean ± standard deviation over seeds, interval, published figure.

    Intervals are around the mean over patients, which stands there, too, where it differs from that over cases.
    """
    published = dict.fromkeys(name for arm in result.arms if arm.published for name in arm.published.measures)
    names = list(dict.fromkeys(name for arm in result.arms for name in arm.measures))
    rows = []
    for arm in result.arms:
        row = {"arm": arm.arm.name, "scenario": arm.arm.scenario or NONE, "pretext": arm.arm.pretext or NONE}
        if any(other.arm.recipe for other in result.arms):
            row["recipe"] = arm.arm.recipe
        row["dice"] = plus_minus(arm.measures["dice"])
        if any(differs(other.measures["dice"], other.over_patients.get("dice")) for other in result.arms):
            row["over patients"] = f"{arm.over_patients['dice']:.1f}"
        row["95 % interval"] = between(arm.interval)
        for measure in published:
            figure = arm.published.of(measure) if arm.published else None
            shown = plus_minus((figure.mean, figure.std)) if figure else NONE
            row[f"published {MEASURE_NAMES.get(measure, measure)}"] = shown
        for name in names:
            if name != "dice":
                around = (arm.intervals.get(name), arm.over_patients.get(name))
                row[MEASURE_NAMES.get(name, name)] = with_interval(arm.measures.get(name), *around)
        rows.append(row | {"seeds": str(len(arm.seeds)), "cases": str(arm.cases)})
    return Table.of(rows)


def lesion_table(result: Result) -> Table:
    """Lesions found and made up, of every arm whose runs measured them; in percent, but for the false positives."""
    rows = []
    for arm in result.arms:
        if arm.lesions:
            cells = {
                title: with_interval(arm.lesions.get(name), arm.intervals.get(name))
                for name, (title, _) in LESIONS.items()
            }
            rows.append({"arm": arm.arm.name, **cells})
    return Table.of(rows)


def comparison_table(result: Result) -> Table:
    """Every comparison in words: difference of dice, its interval, that of each seed (or pretraining where that is
    repeated), p-value after Holm, margin, verdict."""
    each = f"each {' or '.join(levels([result]))}"
    columns = ["arm", "against", "difference", "95 % interval", each, "p (Holm)", "margin", "verdict"]
    rows = [
        [pair.arm, pair.reference, signed(pair.difference), between(pair.interval, sign=True),
         ", ".join(map(signed, pair.seed_differences)),
         p_value(None if verdict.kind == "no verdict" else pair.p_holm), f"{result.margin:g}", verdict_words(verdict)]
        for pair, verdict in result.comparisons
    ]  # fmt: skip
    return Table(tuple(columns), tuple(map(tuple, rows)))


def levels(results: Sequence[Result]) -> list[str]:
    """What a comparison has a difference of: each ``seed``, or each ``pretraining`` where those are repeated."""
    kinds = {level(pair) for result in results for pair, _ in result.comparisons}
    return [kind for kind in ("seed", "pretraining") if kind in kinds] or ["seed"]


def convergence_table(result: Result) -> Table:
    """Steps to 95 % of the final dice, an arm's own and the reference's, with the difference to the reference."""
    columns = [
        "arm", "final dice", "steps to 95 % of its own", f"less {result.reference}'s",
        f"steps to 95 % of {result.reference}'s", f"less {result.reference}'s ",
    ]  # fmt: skip
    rows = []
    for to_itself, to_reference in zip(result.convergence, result.to_reference, strict=True):
        differences = [NONE if c.arm == result.reference else steps_less(c) for c in (to_itself, to_reference)]
        row = [to_itself.arm, f"{to_itself.final:.1f}", steps(to_itself), differences[0], steps(to_reference)]
        rows.append([*row, differences[1]])
    return Table(tuple(columns), tuple(map(tuple, rows)))


def claim_table(claims: Sequence[Claim]) -> Table:
    """The comparisons behind the answers to the paper's claims, in words."""
    columns = [
        "claim", "data", "labels", "arm", "against", "difference", "95 % interval", "p (Holm)", "margin", "answer",
        "why",
    ]  # fmt: skip
    rows = []
    for number, claim in enumerate(claims, 1):
        margin = NONE if claim.margin is None else f"{claim.margin:g}"
        for one in claim.findings:
            rows.append((
                str(number), one.data, one.labels, one.arm, one.reference, one.number, one.between,
                p_value(one.p_holm), margin, one.answer, one.verdict,
            ))  # fmt: skip
    return Table(tuple(columns), tuple(rows))


def write_tables(folder: Path, results: Sequence[Result], claims: Sequence[Claim] = ()) -> list[Path]:
    """``claims``, ``scores``, ``lesions``, ``comparisons``, ``convergence``: .csv (all numbers), .md, .tex (as shown).

    Raises:
        InputError: the folder cannot be written.
    """
    written = []
    if claims:
        of_claims = claim_table(claims)
        lines = [f"{number}. {claim.question} {claim.sentence}\n" for number, claim in enumerate(claims, 1)]
        content = {
            ".csv": Table.of(unrounded.claims(claims)).csv(),
            ".md": "".join(lines) + (f"\n{markdown(of_claims)}" if len(of_claims) else ""),
            ".tex": latex("Answers", of_claims),
        }
        written += _written(folder, "claims", content)
    for name, numbers, words in (
        ("scores", unrounded.scores, score_table),
        ("lesions", unrounded.lesions, lesion_table),
        ("comparisons", unrounded.comparisons, comparison_table),
        ("convergence", unrounded.convergence, convergence_table),
    ):
        tables = {result.title: words(result) for result in results}
        tables = {title: table for title, table in tables.items() if len(table)}
        if not tables:
            continue
        content = {
            ".csv": Table.of(numbers(results)).csv(),
            ".md": "\n".join(f"### {one_line(title)}\n\n{markdown(table)}" for title, table in tables.items()),
            ".tex": "\n".join(latex(title, table) for title, table in tables.items()),
        }
        written += _written(folder, name, content)
    return written


def _written(folder: Path, name: str, content: Mapping[str, str]) -> list[Path]:
    for suffix, text in content.items():
        write_text(folder / f"{name}{suffix}", text)
    return [folder / f"{name}{suffix}" for suffix in content]
