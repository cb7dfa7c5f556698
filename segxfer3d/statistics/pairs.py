"""Which arms are compared with which: planned by the question, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

BASELINE = "random"
ENCODER, BOTH = "encoder", "encoder+decoder"  # the paper's question: is the decoder worth transferring


class Start(Protocol):
    """What is known of an arm: its name, the name of its initialization, its pretext, and what else it sets."""

    @property
    def name(self) -> str: ...
    @property
    def init(self) -> str: ...
    @property
    def pretext(self) -> str: ...
    @property
    def knobs(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class NamedStart:
    """An arm that is called as its initialization, as in the paper's tables."""

    name: str
    pretext: str = ""
    knobs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def init(self) -> str:
        """The name of the initialization."""
        return self.name


def planned_pairs(arms: Sequence[Start], reference: str = BASELINE) -> list[tuple[str, str]]:
    """(arm, reference): the questions of the paper.

    Each arm against the reference; the encoder against encoder and decoder of one pretext; every pretext's encoder
    against every other's.

    Args:
        arms: all of them.
        reference: name of the arm that the others are compared with.

    Example:
        >>> planned_pairs([NamedStart("random"), NamedStart("encoder"), NamedStart("encoder+decoder")])
        [('encoder', 'random'), ('encoder+decoder', 'random'), ('encoder', 'encoder+decoder')]
    """
    pairs = [(arm.name, reference) for arm in arms if arm.name != reference]
    for encoder in (arm for arm in arms if arm.init == ENCODER):
        both = [arm for arm in arms if arm.init == BOTH and arm.pretext == encoder.pretext]
        # each may have a tuned learning rate of its own; of several, those with the same settings are a pair
        alike = [arm for arm in both if dict(arm.knobs) == dict(encoder.knobs)]
        alone = sum((arm.init, arm.pretext) == (ENCODER, encoder.pretext) for arm in arms) == len(both) == 1
        pairs += [(encoder.name, arm.name) for arm in (both if alone else alike)]
    encoders = [arm for arm in arms if arm.init == ENCODER]
    pairs += [(one.name, other.name) for one, other in combinations(encoders, 2) if one.pretext != other.pretext]
    return list(dict.fromkeys(pairs))
