"""The tables of a report: numbers for further work as CSV, and for reading as Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segxfer3d.errors import InputError
from segxfer3d.files import write_text
from segxfer3d.report.results import LESIONS, ArmResult, Result, Spread
from segxfer3d.statistics.convergence import Convergence
from segxfer3d.statistics.interval import Interval
from segxfer3d.statistics.verdict import Verdict

try:
    import pandas as pd
except ImportError as error:
    raise InputError("a report needs pandas: pip install 'segxfer3d[report]'") from error

NONE = "–"
MEASURE_NAMES = {"dice": "dice", "iou": "IoU", "genesis_dice": "genesis_dice", "genesis_iou": "genesis_iou"}
VERDICTS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equivalent",
    "undecided": "undecided",
    "no verdict": "too few seeds or patients",
}


def score_table(result: Result) -> pd.DataFrame:
    """Every arm in words: scenario, measures as mean ± standard deviation over seeds, interval, published figure."""
    published = {arm.published.measure: None for arm in result.arms if arm.published}
    names = list(dict.fromkeys(name for arm in result.arms for name in arm.measures))
    rows = []
    for arm in result.arms:
        row = {"arm": arm.arm.name, "scenario": arm.arm.scenario or NONE, "pretext": arm.arm.pretext or NONE}
        row["dice"] = plus_minus(arm.measures["dice"])
        row["95 % interval"] = between(arm.interval)
        for measure in published:
            fits = arm.published is not None and arm.published.measure == measure
            figure = plus_minus((arm.published.mean, arm.published.std)) if arm.published and fits else NONE
            row[f"published {MEASURE_NAMES.get(measure, measure)}"] = figure
        for name in names:
            if name != "dice":
                row[MEASURE_NAMES.get(name, name)] = plus_minus(arm.measures[name]) if name in arm.measures else NONE
        rows.append(row | {"seeds": str(len(arm.seeds)), "cases": str(arm.cases)})
    return pd.DataFrame(rows)


def lesion_table(result: Result) -> pd.DataFrame:
    """Lesions found and made up, of every arm whose runs measured them; in percent, but for the false positives."""
    rows = []
    for arm in result.arms:
        if arm.lesions:
            cells = {
                title: plus_minus(arm.lesions[name]) if name in arm.lesions else NONE
                for name, (title, _) in LESIONS.items()
            }
            rows.append({"arm": arm.arm.name, **cells})
    return pd.DataFrame(rows)


def comparison_table(result: Result) -> pd.DataFrame:
    """Every comparison in words: difference of dice, interval, p-value after Holm, verdict."""
    columns = ["arm", "against", "difference", "95 % interval", "p (Holm)", "verdict"]
    rows = [
        [made.arm, made.reference, signed(made.difference), between(made.interval, sign=True), p_value(made.p_holm),
         verdict_words(verdict)]
        for made, verdict in result.comparisons
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def convergence_table(result: Result) -> pd.DataFrame:
    """Steps to 95 % of the final dice, an arm's own and the reference's, with the difference to the reference."""
    columns = [
        "arm", "final dice", "steps to 95 % of its own", f"less {result.reference}'s",
        f"steps to 95 % of {result.reference}'s", f"less {result.reference}'s ",
    ]  # fmt: skip
    rows = []
    for own, shared in zip(result.convergence, result.to_reference, strict=True):
        differences = [NONE if c.arm == result.reference else _steps_less(c) for c in (own, shared)]
        rows.append([own.arm, f"{own.final:.1f}", _steps(own), differences[0], _steps(shared), differences[1]])
    return pd.DataFrame(rows, columns=columns)


def score_numbers(results: Sequence[Result]) -> pd.DataFrame:
    """All arms of all results with unrounded numbers, in percent."""
    return pd.DataFrame([_score_row(result, arm) for result in results for arm in result.arms])


def lesion_numbers(results: Sequence[Result]) -> pd.DataFrame:
    """Measures of lesions of all arms with unrounded numbers."""
    rows = []
    for result in results:
        for arm in result.arms:
            row: dict[str, Any] = {**_which(result), "arm": arm.arm.name}
            for name, (mean, std) in arm.lesions.items():
                row |= {name: mean, f"{name}_std": std}
            rows += [row] if arm.lesions else []
    return pd.DataFrame(rows)


def comparison_numbers(results: Sequence[Result]) -> pd.DataFrame:
    """All comparisons of all results with unrounded numbers, in percent points."""
    rows = []
    for result in results:
        for made, verdict in result.comparisons:
            low, high = made.interval or (None, None)
            rows.append({
                **_which(result), "arm": made.arm, "reference": made.reference, "difference": made.difference,
                "low": low, "high": high, "p": made.p_value, "p_holm": made.p_holm, "family": made.family,
                "seeds": made.seeds, "patients": made.patients, "cases": made.cases, "verdict": verdict.kind,
                "patients_needed": verdict.patients_needed, "seeds_needed": verdict.seeds_needed,
            })  # fmt: skip
    return pd.DataFrame(rows)


def convergence_numbers(results: Sequence[Result]) -> pd.DataFrame:
    """All times to converge with unrounded numbers."""
    rows = []
    for result in results:
        for level, found in (("own", result.convergence), ("reference", result.to_reference)):
            for one in found:
                low, high = one.interval or (None, None)
                less_low, less_high = one.difference_interval or (None, None)
                rows.append({
                    **_which(result), "arm": one.arm, "level_of": level, "steps": one.steps, "low": low, "high": high,
                    "difference": one.difference, "difference_low": less_low, "difference_high": less_high,
                    "never": len(one.never), "seeds": len(one.seeds), "final_dice": one.final,
                })  # fmt: skip
    return pd.DataFrame(rows)


def write_tables(folder: Path, results: Sequence[Result]) -> list[Path]:
    """``scores``, ``lesions``, ``comparisons`` and ``convergence``: .csv (all numbers), .md and .tex (as shown).

    Raises:
        InputError: the folder cannot be written.
    """
    written = []
    for name, numbers, words in (
        ("scores", score_numbers, score_table),
        ("lesions", lesion_numbers, lesion_table),
        ("comparisons", comparison_numbers, comparison_table),
        ("convergence", convergence_numbers, convergence_table),
    ):
        tables = {result.title: words(result) for result in results}
        tables = {title: table for title, table in tables.items() if len(table)}
        if not tables:
            continue
        content = {
            ".csv": numbers(results).to_csv(index=False),
            ".md": "\n".join(f"### {_one_line(title)}\n\n{markdown(table)}" for title, table in tables.items()),
            ".tex": "\n".join(latex(title, table) for title, table in tables.items()),
        }
        for suffix, text in content.items():
            write_text(folder / f"{name}{suffix}", text)
            written.append(folder / f"{name}{suffix}")
    return written


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown; names cannot break out of their cell."""

    def cell(value: Any) -> str:
        text = _one_line(str(value)).replace("\\", "\\\\")
        return text.replace("|", "\\|").replace("<", "&lt;").strip()

    lines = [[cell(name) for name in table.columns], ["---"] * len(table.columns)]
    lines += [[cell(value) for value in row] for row in table.itertuples(index=False)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(title: str, table: pd.DataFrame) -> str:
    """A table in LaTeX (package booktabs), with its title as caption."""
    escaped = table.rename(columns=lambda name: _latex(str(name).strip())).map(lambda value: _latex(str(value)))
    body = escaped.to_latex(index=False, escape=False, column_format="l" * len(table.columns))
    return f"\\begin{{table}}\n\\caption{{{_latex(title)}}}\n{body}\\end{{table}}\n"


def plus_minus(value: Spread) -> str:
    """Mean ± standard deviation, one decimal."""
    mean, std = value
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def between(interval: Interval | None, sign: bool = False) -> str:
    """An interval, one decimal."""
    if interval is None:
        return NONE
    low, high = (signed(value) if sign else f"{value:.1f}" for value in interval)
    return f"{low} to {high}"


def signed(value: float) -> str:
    """With its sign and one decimal; what rounds to 0 has none."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:+.1f}" if rounded else "0.0"


def p_value(value: float) -> str:
    """Two digits, or that it is very small; what is below 0.05 never looks like 0.05."""
    text = "< 0.001" if value < 0.001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
    return "< 0.05" if text == "0.05" and value < 0.05 else text


def verdict_words(verdict: Verdict) -> str:
    """What was found, and about what would decide it where it is open."""
    needed = [
        f"{number} {name}"
        for number, name in ((verdict.patients_needed, "patients"), (verdict.seeds_needed, "seeds"))
        if number is not None
    ]
    words = VERDICTS[verdict.kind]
    return f"{words} (about {' or '.join(needed)} would decide)" if needed else words


def _steps(found: Convergence) -> str:
    bound = "> " if found.never else ""
    interval = f" ({found.interval[0]:.0f} to {found.interval[1]:.0f})" if found.interval else ""
    never = f", {len(found.never)} of {len(found.seeds)} seeds never" if found.never else ""
    return f"{bound}{found.steps:.0f}{interval}{never}"


def _steps_less(found: Convergence) -> str:
    interval = found.difference_interval
    words = f" ({interval[0]:+.0f} to {interval[1]:+.0f})" if interval else ""
    return f"{found.difference:+.0f}{words}"


def _which(result: Result) -> dict[str, Any]:
    return {"data": result.data, "budget": result.budget, "budget_name": result.budget_name}


def _score_row(result: Result, arm: ArmResult) -> dict[str, Any]:
    low, high = arm.interval or (None, None)
    row = {
        **_which(result), "arm": arm.arm.name, "init": arm.arm.init, "scenario": arm.arm.scenario,
        "pretext": arm.arm.pretext, "seeds": len(arm.seeds), "cases": arm.cases, "dice_low": low, "dice_high": high,
    }  # fmt: skip
    for name, (mean, std) in arm.measures.items():
        row |= {name: mean, f"{name}_std": std}
    if arm.published:
        row |= {"published": arm.published.mean, "published_std": arm.published.std}
        row |= {"published_measure": arm.published.measure, "published_where": arm.published.where}
    return row


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$",
    "–": "--", "\n": " ",
}  # fmt: skip


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", escaped)  # a minus sign, not a hyphen


def _one_line(text: str) -> str:
    return " ".join(text.split())
