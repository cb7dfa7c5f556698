"""Which arms are compared with which."""

from dataclasses import dataclass, field

import pytest

from segxfer3d.statistics.pairs import decoder_pairs, planned_pairs, unpaired_decoders


@dataclass
class Named:
    name: str
    init: str
    source: str = ""
    knobs: dict = field(default_factory=dict)


def test_every_pretrainings_encoder_is_compared_with_every_others():
    names = [("random", "random", ""), ("a", "encoder", "conrec"), ("b", "encoder", "reconstruction")]
    arms = [Named(*each) for each in (*names, ("c", "encoder+decoder", "conrec"), ("d", "frozen-encoder", "simclr"))]
    assert planned_pairs(arms)[-2:] == [("a", "c"), ("a", "b")]
    assert len(planned_pairs(arms)) == 6


def test_encoder_and_decoder_of_one_pretraining_are_compared():
    arms = [
        Named("random", "random"),
        Named("a", "encoder", "conrec"),
        Named("b", "encoder+decoder", "conrec"),
        Named("c", "encoder", "simclr"),
        Named("d", "encoder", "conrec", {"decoder_warmup_epochs": 2}),
    ]
    assert planned_pairs(arms, "random")[4:] == [("a", "b"), ("a", "c"), ("c", "d")]
    encoder = Named("e", "encoder", knobs={"lr": 0.1}, source="x")
    tuned = [Named("random", "random"), encoder, Named("f", "encoder+decoder", source="x")]
    assert planned_pairs(tuned, "random")[2:] == [("e", "f")]
    assert unpaired_decoders(tuned) == []
    several = [*tuned, Named("g", "encoder", knobs={"lr": 0.2}, source="x")]  # which of them is meant nobody says
    assert decoder_pairs(several) == []
    assert unpaired_decoders(several) == [(encoder, tuned[2])]


def test_decoders_are_paired_within_a_pretraining_not_a_pretext():
    arms = [Named("random", "random")] + [
        Named(f"{name}-{length}", init, length)
        for length in ("short", "long")
        for name, init in (("enc", "encoder"), ("both", "encoder+decoder"))
    ]
    assert planned_pairs(arms, "random")[4:] == [
        ("enc-short", "both-short"), ("enc-long", "both-long"), ("enc-short", "enc-long")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("a", [("b", "a"), ("c", "a")]),
        ("b", [("a", "b"), ("c", "b"), ("a", "c")]),
        ("c", [("a", "c"), ("b", "c"), ("a", "b")]),
    ],
)
def test_where_an_encoder_or_a_decoder_is_the_reference_no_pair_is_there_twice(reference, expected):
    arms = [Named("a", "encoder", "conrec"), Named("b", "encoder+decoder", "conrec"), Named("c", "encoder", "simclr")]
    assert planned_pairs(arms, reference) == expected
