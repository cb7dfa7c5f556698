"""Which arms are compared with which: planned by the question, before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol, TypeVar

BASELINE = "random"
ENCODER, BOTH = "encoder", "encoder+decoder"  # the paper's question: is the decoder worth transferring


class Start(Protocol):
    """What is known of an arm: its name, the name of its initialization, what it starts from, and what else it sets.

    ``source`` names the pretraining or the checkpoint, not its pretext: of one pretext a study may have several.
    """

    @property
    def name(self) -> str: ...
    @property
    def init(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def knobs(self) -> Mapping[str, Any]: ...


AnyStart = TypeVar("AnyStart", bound=Start)


@dataclass(frozen=True)
class NamedStart:
    """An arm that is called as its initialization, as in the paper's tables."""

    name: str
    source: str = ""
    knobs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def init(self) -> str:
        """The name of the initialization."""
        return self.name


def planned_pairs(arms: Sequence[Start], reference: str = BASELINE) -> list[tuple[str, str]]:
    """(arm, reference): the questions of the paper.

    Each arm against the reference; the encoder against encoder and decoder of one pretraining (:func:`decoder_pairs`);
    every pretraining's encoder against every other's. Two arms are one comparison, whichever way round: where one of
    them is the reference, it is against that.

    Args:
        arms: all of them.
        reference: name of the arm that the others are compared with.

    Example:
        >>> planned_pairs([NamedStart("random"), NamedStart("encoder"), NamedStart("encoder+decoder")])
        [('encoder', 'random'), ('encoder+decoder', 'random'), ('encoder', 'encoder+decoder')]
    """
    pairs = [(arm.name, reference) for arm in arms if arm.name != reference]
    pairs += [(encoder.name, both.name) for encoder, both in decoder_pairs(arms)]
    encoders = [arm for arm in arms if arm.init == ENCODER]
    pairs += [(one.name, other.name) for one, other in combinations(encoders, 2) if one.source != other.source]
    once: dict[frozenset[str], tuple[str, str]] = {}
    for pair in pairs:
        once.setdefault(frozenset(pair), pair)
    return list(once.values())


def decoder_pairs(arms: Sequence[AnyStart]) -> list[tuple[AnyStart, AnyStart]]:
    """(encoder, encoder and decoder) of one pretraining, those that are compared.

    Each may have a tuned learning rate of its own; of several, those with the same settings are a pair.

    Args:
        arms: all of them.
    """
    pairs = []
    for of_source in _by_source(arms):
        encoders, both = ([arm for arm in of_source if arm.init == init] for init in (ENCODER, BOTH))
        alone = len(encoders) == len(both) == 1
        pairs += [(one, other) for one in encoders for other in both if alone or _alike(one, other)]
    return pairs


def unpaired_decoders(arms: Sequence[AnyStart]) -> list[tuple[AnyStart, AnyStart]]:
    """(encoder, encoder and decoder) of each pretraining that has both, of which none are compared: no two of them have
    the same settings. One pair stands for all of a pretraining.

    Args:
        arms: all of them.
    """
    unpaired = []
    for of_source in _by_source(arms):
        encoders, both = ([arm for arm in of_source if arm.init == init] for init in (ENCODER, BOTH))
        if encoders and both and not decoder_pairs(of_source):
            unpaired.append((encoders[0], both[0]))
    return unpaired


def _by_source(arms: Sequence[AnyStart]) -> list[list[AnyStart]]:
    return [[arm for arm in arms if arm.source == source] for source in dict.fromkeys(arm.source for arm in arms)]


def _alike(one: Start, other: Start) -> bool:
    return dict(one.knobs) == dict(other.knobs)
