"""The short table of a summary, for the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

POOLED = "(voxels pooled)"
LESION_MEASURES = ("lesion_sensitivity", "false_positives_per_scan", "lesion_f1", "lesion_surface_dice")


def format_table(title: str, summary: Mapping[str, Any]) -> str:
    """A short table of a summary for the console."""
    cases, patients = summary["cases"], summary["patients"]
    lines = [f"{title}: {cases} case{'s' * (cases != 1)}"]
    if patients != cases:
        lines[0] += f" of {patients} patient{'s' * (patients != 1)}"
    if summary["empty_labels"]:
        lines[0] += f", {summary['empty_labels']} with an empty label"
    lines.append(f"  {'measure':<24}{'mean':>8}{'std over cases':>18}")
    for name, value in summary.items():
        if name.startswith(("dice", "iou")) and not name.endswith("_std"):
            lines.append(f"  {name:<24}{value:>8.3f}{summary[f'{name}_std']:>18.3f}")
    for name in ("patient_dice", "patient_iou"):
        if name in summary:
            lines.append(f"  {name:<24}{summary[name]:>8.3f}{summary[f'{name}_std']:>18.3f} over patients")
    for name, how in (("genesis_dice", "(batches of 16)"), ("pooled_dice", POOLED), ("genesis_iou", POOLED)):
        if name not in summary:  # of several runs together
            continue
        lines.append(f"  {name:<24}{summary[name]:>8.3f}{how:>18}")
    if "lesions" in summary:
        lines.append(f"  {summary['lesions']} lesions, {summary['false_positives']} false positives")
        for name in LESION_MEASURES:
            value = summary[name]
            lines.append(f"  {name:<32}{'–' if value is None else f'{value:.3f}'}")
    return "\n".join(lines)
