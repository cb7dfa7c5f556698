"""The options that say how a trained model goes through what it is applied to."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

STEPS, EVEN, AUTO = "steps", "even", "auto"
MANY = 16  # classes, from whose layers between windows on memory counts more than masks as they were


@dataclass(frozen=True)
class WindowSize(Group):
    """The windows of a trained model of volumes."""

    window: tuple[int, int, int] | None = option(
        None, "voxels of an inference window; none: the patch of training, which the network knows best", least=1,
        most=2048, text="three whole numbers up to 2048",
    )  # fmt: skip
    spread: str = option(
        STEPS, "how windows lie; steps: each a step further, the last as far back as it has to be; even: evenly, at no "
        f"more cost; auto: steps, but of more than {MANY} classes even", choices=(STEPS, EVEN, AUTO),
    )  # fmt: skip


@dataclass(frozen=True)
class SkippedAir(Group):
    """What a trained model does not look at."""

    skip_air: bool = option(
        True, "of a CT, compute one window of nothing but air in each layer, and pass over the others where the "
        "network is sure that it is empty; not where probabilities are written",
    )  # fmt: skip


@dataclass(frozen=True)
class Mirroring(Group):
    """What a trained model sees turned around too."""

    mirroring: bool | None = option(
        None, "see everything mirrored too, at 2, 4 or 8 times the time; none: along the axes that the model says; "
        "True: along these or, where it says none, all; False: not at all",
    )  # fmt: skip


def spread_of(spread: str, classes: int) -> str:
    """How the windows of a model of so many classes lie: what is asked for, or by :data:`MANY`."""
    if spread != AUTO:
        return spread
    return EVEN if classes > MANY else STEPS
