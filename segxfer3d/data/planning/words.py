"""A plan for people: each value with its reason, in lines of a width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from segxfer3d.data.planning.plan import Intensity, Plan

_INDENT = "    "


def plan_text(plan: Plan, *, width: int = 80) -> str:
    """The values of a plan under their options' names, in the form that an option takes, each with its reason.

    Args:
        plan: to be shown.
        width: longest line.
    """
    shown = {
        "spacing": _list([f"{value:.4g}" for value in plan.spacing]) + " mm",
        "intensity": "; ".join(map(_intensity, plan.intensities)),
        "patch_size": _list(plan.patch_size),
        "batch_size": str(plan.batch_size),
        "strides": _list([_list(stride) for stride in plan.strides]),
        "kernels": _list([_list(kernel) for kernel in plan.kernels]),
        "features": _list(plan.features),
        "stem": _list(plan.stem),
        "mirror_axes": ", ".join("xyz"[axis] for axis in plan.mirror_axes) or "none",
        "memory": f"{plan.memory:.2g} GiB",
    }
    if plan.steps is not None:
        shown["steps"] = str(plan.steps)
    if "deep_supervision" in plan.reasons:  # of a run that leaves it out
        shown["deep_supervision"] = "False"
    lines: list[str] = []
    for name, value in shown.items():
        lines += textwrap.wrap(f"{name}: {value}", width, subsequent_indent=_INDENT, break_on_hyphens=False)
        lines += textwrap.wrap(
            plan.reasons.get(name, ""), width, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False
        )
    return "\n".join(lines)


def _list(values: Sequence[object]) -> str:
    """As an option takes it, with room to wrap between levels only."""
    inner = ", " if values and str(values[0]).startswith("[") else ","
    return f"[{inner.join(map(str, values))}]"


def _intensity(scale: Intensity) -> str:
    if scale.mean is not None and scale.sd is not None:
        return f"{scale.rule}, {scale.low:.4g} to {scale.high:.4g}, less {scale.mean:.4g}, over {scale.sd:.4g}"
    if scale.low is not None and scale.high is not None:
        return f"{scale.rule}, {scale.low:g} to {scale.high:g}"
    return f"{scale.rule}, nonzero voxels" if scale.nonzero else scale.rule
