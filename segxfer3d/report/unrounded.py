"""The numbers of all results unrounded, row by row: what the CSV files of a report hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segxfer3d.cells import class_column
from segxfer3d.report.claims import Claim
from segxfer3d.report.results import ArmResult, Result, level
from segxfer3d.statistics.verdict import Verdict

Rows = list[dict[str, Any]]
STATISTICS = ("std", "over_patients", "low", "high")  # of a measure, behind its name


def claims(found: Sequence[Claim]) -> Rows:
    """The comparisons behind the answers to the paper's claims; a claim without any has a row, too."""
    rows = []
    for number, claim in enumerate(found, 1):
        head = {"claim": number, "question": claim.question, "answer": claim.answer, "margin": claim.margin}
        for one in claim.findings:
            low, high = one.interval or (None, None)
            rows.append({
                **head, "data": one.data, "labels": one.labels, "arm": one.arm, "reference": one.reference,
                "unit": one.unit, "difference": one.difference, "bound": one.bound, "low": low, "high": high,
                "p_holm": one.p_holm, "says": one.answer, "why": one.verdict,
            })  # fmt: skip
        rows += [] if claim.findings else [{**head, "why": claim.why}]
    return rows


def scores(results: Sequence[Result]) -> Rows:
    """All arms of all results, in percent."""
    return [_score_row(result, arm) for result in results for arm in result.arms]


def lesions(results: Sequence[Result]) -> Rows:
    """Measures of lesions of all arms that have them."""
    rows = []
    for result in results:
        for arm in result.arms:
            row: dict[str, Any] = {**_which(result), "arm": arm.arm.name}
            for name, (mean, std) in arm.lesions.items():
                low, high = arm.intervals.get(name) or (None, None)
                row |= {name: mean, f"{name}_std": std, f"{name}_low": low, f"{name}_high": high}
            rows += [row] if arm.lesions else []
    return rows


def comparisons(results: Sequence[Result]) -> Rows:
    """All comparisons of all results, in percentage points."""
    rows = []
    for result in results:
        for pair, verdict in result.comparisons:
            low, high = pair.interval or (None, None)
            rows.append({
                **_which(result), "arm": pair.arm, "reference": pair.reference, "difference": pair.difference,
                "low": low, "high": high, "p": pair.p_value, "p_holm": pair.p_holm, "family": pair.family,
                "scope": pair.scope, "pretrainings": pair.pretrainings,
                "seeds": pair.seeds, "patients": pair.patients, "cases": pair.cases, "margin": result.margin,
                "verdict": verdict.kind, **_needed(verdict, pair.units),
                **{f"difference_{level(pair)}_{k}": value for k, value in enumerate(pair.seed_differences)},
            })  # fmt: skip
    return rows


def convergence(results: Sequence[Result]) -> Rows:
    """All times to converge: to an arm's own final dice, and to the reference's."""
    rows = []
    for result in results:
        for level_of, arms in (("own", result.convergence), ("reference", result.to_reference)):
            for arm in arms:
                low, high = arm.interval or (None, None)
                less_low, less_high = arm.difference_interval or (None, None)
                rows.append({
                    **_which(result), "arm": arm.arm, "level_of": level_of, "steps": arm.steps, "low": low,
                    "high": high, "difference": arm.difference, "difference_bound": arm.bound,
                    "difference_low": less_low, "difference_high": less_high, "difference_of": arm.levels,
                    "never": len(arm.never), "seeds": len(arm.seeds), "final_dice": arm.final,
                })  # fmt: skip
    return rows


def _needed(verdict: Verdict, units: str) -> dict[str, int | None]:
    """The range of what would be needed; nothing where none is named."""
    row: dict[str, int | None] = {}
    for name in ("seeds", "pretrainings", "patients"):
        low, high = verdict.needed.get(units if name == "patients" else name, (None, None))
        row |= {f"{name}_needed_low": low, f"{name}_needed_high": high}
    return row


def _which(result: Result) -> dict[str, Any]:
    return {"data": result.data, "budget": result.budget, "budget_name": result.budget_name}


def _score_row(result: Result, arm: ArmResult) -> dict[str, Any]:
    low, high = arm.interval or (None, None)
    row = {
        **_which(result), "arm": arm.arm.name, "init": arm.arm.init, "scenario": arm.arm.scenario,
        "pretext": arm.arm.pretext, "seeds": len(arm.seeds), "cases": arm.cases, "dice_low": low, "dice_high": high,
        "dice_over_patients": arm.over_patients.get("dice"),
    }  # fmt: skip
    if arm.arm.recipe:
        row["recipe"] = arm.arm.recipe
    for name, (mean, std) in arm.measures.items():
        column = class_column(name, STATISTICS)
        row |= {column: mean, f"{column}_std": std}
        if name in arm.over_patients:
            row[f"{column}_over_patients"] = arm.over_patients[name]
        if limits := arm.intervals.get(name):
            row |= {f"{column}_low": limits[0], f"{column}_high": limits[1]}
    if arm.published:
        row |= {"published": arm.published.mean, "published_std": arm.published.std}
        row |= {"published_measure": arm.published.measure, "published_where": arm.published.where}
    return row
