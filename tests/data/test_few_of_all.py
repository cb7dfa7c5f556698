import doctest
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from segxfer3d.data import split_draws
from segxfer3d.data.case import Case
from segxfer3d.data.split import Split, few_of_all, labels_record
from segxfer3d.data.split_draws import hold_out, labeled_count
from segxfer3d.errors import InputError


def cases(number, per_group=1, parts=False):
    return [
        Case(
            f"i{i:05d}",
            Path(f"{i}.png"),
            patient=f"g{i // per_group}" if per_group > 1 else "",
            part=("train" if i % 3 else "val") if parts else "",
        )
        for i in range(number)
    ]


def sizes(split):
    return [len(part) for part in (split.pretrain, split.train, split.validation, split.test)]


def test_doctest():
    assert doctest.testmod(split_draws).failed == 0


@pytest.mark.parametrize(
    ("number", "fraction", "count"),
    [(849, 0.01, 8), (849, 0.05, 42), (849, 0.2, 170), (7375, 0.01, 74), (7375, 0.05, 368), (7375, 0.2, 1475)],
)
def test_published_counts(number, fraction, count):
    assert labeled_count(fraction, number) == count
    assert sizes(few_of_all(cases(number), label_fraction=fraction)) == [0, count, 0, number - count]


def test_other_counts_are_rounded_half_up():
    assert [labeled_count(0.05, number) for number in (7374, 7376, 10, 9)] == [369, 369, 1, 0]
    assert labeled_count(0.1, 849) == 85
    assert [labeled_count(0.05, number, "half-up") for number in (7375, 849)] == [369, 42]


def test_the_rest_of_all_is_evaluated():
    split = few_of_all(cases(50), label_count=7)
    assert sizes(split) == [0, 7, 0, 43]
    assert sorted(split.train + split.test, key=lambda case: case.name) == cases(50)
    shuffled = random.Random(0).sample(cases(50), 50)
    assert few_of_all(shuffled, label_count=7) == split
    assert few_of_all(cases(50), label_count=7, seed=1) != split


def test_smaller_training_parts_are_part_of_larger_ones():
    for validation in (0.0, 0.2):
        splits = [
            few_of_all(cases(100), label_fraction=f, validation_fraction=validation, seed=4)
            for f in (0.05, 0.2, 0.5, 0.9)
        ]
        assert all(set(a.train) < set(b.train) for a, b in pairwise(splits))
        assert all(not set(s.train + s.validation) & set(s.test) for s in splits)


def test_validation_is_taken_from_the_training_side():
    split = few_of_all(cases(100), label_fraction=0.2, validation_fraction=0.25)
    assert sizes(split) == [0, 15, 5, 80]
    assert split.test == few_of_all(cases(100), label_fraction=0.2).test


def test_pretraining_share_is_set_apart_first():
    split = few_of_all(cases(100), label_fraction=0.1, pretrain_fraction=0.4)
    assert sizes(split) == [40, 6, 0, 54]
    assert len({case.name for part in (split.pretrain, split.train, split.test) for case in part}) == 100
    assert split.pretrain == few_of_all(cases(100), label_fraction=0.5, pretrain_fraction=0.4).pretrain


def test_groups_stay_together():
    split = few_of_all(cases(90, per_group=3), label_fraction=0.2, pretrain_fraction=0.2, validation_fraction=0.3)
    groups = [{case.patient for case in part} for part in (split.pretrain, split.train, split.validation, split.test)]
    assert [len(group) for group in groups] == [6, 3, 2, 19]
    assert len(set().union(*groups)) == 30


def test_official_split():
    split = few_of_all(cases(30, parts=True), official=True)
    assert sizes(split) == [0, 20, 0, 10]
    assert {case.part for case in split.train} == {"train"}
    few = few_of_all(cases(30, parts=True), label_fraction=0.25, validation_fraction=0.2, official=True)
    assert sizes(few) == [0, 4, 1, 10]
    assert few.test == split.test
    with pytest.raises(InputError, match="the official split: no image of its training part"):
        few_of_all(cases(30), official=True)
    with pytest.raises(InputError, match="images of one group in both parts: g0"):
        few_of_all(cases(4, per_group=2, parts=True), official=True)


def test_hold_out():
    rest, held = hold_out(cases(20), 0.1, seed=2)
    assert (len(rest), len(held)) == (18, 2)
    assert sorted(rest + held, key=lambda case: case.name) == cases(20)
    with pytest.raises(InputError, match=r"above 0 and less than 1, got 1"):
        hold_out(cases(20), 1)
    with pytest.raises(InputError, match="of 1 images apart leaves none"):
        hold_out(cases(1), 0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "label_fraction or label_count: expected one of them, to say"),
        ({"label_fraction": 0.5, "label_count": 2}, "expected one of them, got 0.5 and 2"),
        ({"label_fraction": 0.01}, r"label_fraction 0\.01 of 20 images is none; expected at least one"),
        ({"label_fraction": 0.0}, "above 0 and at most 1, got 0"),
        ({"label_fraction": 1.0}, "20 of 20 images to train on leave nothing to evaluate on"),
        ({"label_count": 0}, r"label_count: expected 1 to 20 \(the images\), got 0"),
        ({"label_count": 21}, "expected 1 to 20"),
        ({"label_count": 1, "validation_fraction": 0.5}, "of 1 training images leaves none"),
        (
            {"label_count": 1, "validation_fraction": 1},
            "validation_fraction: expected at least 0 and less than 1, got 1",
        ),
        ({"label_count": 1, "pretrain_fraction": -0.1}, r"pretrain_fraction: .* got -0\.1"),
    ],
)
def test_refused(options, message):
    with pytest.raises(InputError, match=message):
        few_of_all(cases(20), **options)


def test_labels_of_a_split():
    split = few_of_all(cases(90, per_group=3), label_count=2)
    assert split.labeled == split.train
    assert len(labels_record(split)["cases"]) == 6
    assert len(labels_record(split)["patients"]) == 2
    assert few_of_all(cases(20), labels=False).labeled == ()


def test_for_pretraining():
    split = few_of_all(cases(100), pretrain_fraction=0.4, validation_fraction=0.2, split_seed=3, labels=False)
    assert sizes(split) == [32, 0, 8, 0]
    tuned = few_of_all(cases(100), pretrain_fraction=0.4, label_count=5, split_seed=3)
    assert sorted(split.pretrain + split.validation, key=lambda case: case.name) == list(tuned.pretrain)
    assert sizes(few_of_all(cases(10), labels=False)) == [10, 0, 0, 0]
    assert sizes(few_of_all(cases(30, parts=True), labels=False, official=True)) == [20, 0, 10, 0]


def test_parts_that_are_set_apart():
    first, second = (
        few_of_all(cases(50), pretrain_fraction=0.2, test_fraction=0.5, label_count=count, seed=seed)
        for count, seed in ((4, 0), (8, 7))
    )
    assert (sizes(first), sizes(second)) == ([10, 4, 0, 20], [10, 8, 0, 20])
    assert first.test == second.test
    with pytest.raises(InputError, match="test_fraction and official_split: expected one of them"):
        few_of_all(cases(30, parts=True), test_fraction=0.2, official=True)
    with pytest.raises(InputError, match="official_split and pretrain_fraction: expected one of them"):
        few_of_all(cases(30, parts=True), pretrain_fraction=0.2, official=True)


@pytest.mark.parametrize("per_group", [1, 3])
def test_the_older_form_names_cases(per_group):
    split = few_of_all(cases(90, per_group), label_fraction=0.2, pretrain_fraction=0.2, validation_fraction=0.3)
    assert split.as_dict()["unit"] == "case"
    older = {part: names for part, names in split.as_dict().items() if part != "unit"}
    assert Split.from_dict(older, cases(90, per_group)).as_dict() | {"unit": "case"} == split.as_dict()
    assert Split.from_dict(older, cases(90, per_group)).test == split.test


def test_split_comes_back_from_its_dictionary():
    split = few_of_all(cases(40), label_fraction=0.2, pretrain_fraction=0.2, validation_fraction=0.2)
    assert Split.from_dict(split.as_dict(), cases(40)) == split
    with pytest.raises(InputError, match=r"split: 1 of its cases are not there: i00039"):
        Split.from_dict(split.as_dict(), cases(39))
    with pytest.raises(InputError, match="train, validation, test missing"):
        Split.from_dict({"pretrain": []}, cases(2))


def test_images_without_masks_pretrain_and_change_nobody_s_part():
    """A pretext may see more images than fine-tuning, which sees those with a mask."""
    masked = [replace(case, masked=True) for case in cases(25)]
    labeled = [replace(case, label=Path("mask.png")) for case in cases(25)]
    others = [Case(f"a{i}", Path(f"a{i}.png")) for i in range(40)]
    pretext = few_of_all([*masked, *others], pretrain_fraction=0.4, labels=False)
    tuned = few_of_all(labeled, pretrain_fraction=0.4, test_fraction=0.5, label_count=3)
    names = {case.name for case in pretext.pretrain}
    assert names == {case.name for case in (*tuned.pretrain, *others)}
    assert len(tuned.pretrain) == 10
    assert not names & {case.name for case in (*tuned.train, *tuned.test)}
