"""Folds, and splits by names, with the right parts written by hand."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.folds import Draws, by_fold, by_names, fold_count
from segxfer3d.errors import InputError


def case(name, patient="", labeled=True, fold=None):
    return Case(name, Path(f"{name}.nii"), Path("l.nii") if labeled else None, patient, fold=fold)


def cohort(patients, scans=2):
    return [case(f"p{i:03d}-{j}", f"p{i:03d}") for i in range(patients) for j in range(scans)]


def patients(cases):
    return {c.patient for c in cases}


@pytest.mark.parametrize(("number", "folds"), [(10, 5), (11, 5), (14, 3), (4, 4)])
def test_every_patient_is_tested_once_and_never_where_she_trains(number, folds):
    cases = cohort(number)
    splits = [by_fold(cases, Draws(validation_fraction=0.0), fold=k, folds=folds) for k in range(folds)]
    tested = [c.name for split in splits for c in split.test]
    assert sorted(tested) == sorted(c.name for c in cases)
    sizes = {len(patients(split.test)) for split in splits}
    assert max(sizes) - min(sizes) <= 1
    for split in splits:
        assert patients(split.train) == patients(cases) - patients(split.test)
        assert split.pretrain == split.labeled == split.train
        assert split.validation == ()


def test_folds_are_those_of_the_split_seed_whatever_the_order_of_files():
    cases = cohort(12)
    shuffled = random.Random(0).sample(cases, len(cases))
    one, other = (by_fold(each, Draws(split_seed=7), fold=1, folds=3) for each in (cases, shuffled))
    assert one == other
    assert one != by_fold(cases, Draws(split_seed=8), fold=1, folds=3)
    assert one.test == by_fold(cases, Draws(split_seed=7, validation_fraction=0.4, seed=3), fold=1, folds=3).test


def test_who_validates_is_neither_tested_nor_trained_on():
    split = by_fold(cohort(20), Draws(validation_fraction=0.15), fold=0, folds=5)
    assert [len(patients(part)) for part in (split.train, split.validation, split.test)] == [13, 3, 4]
    assert not patients(split.train) & patients(split.validation)
    assert not patients(split.test) & patients(split.train + split.validation)


def test_labels_are_drawn_from_the_training_part_of_the_fold():
    few, more = (by_fold(cohort(20), Draws(label_count=n, seed=5), fold=2, folds=4) for n in (2, 4))
    assert len(patients(few.labeled)) == 2
    assert patients(few.labeled) < patients(more.labeled) <= patients(more.train)
    with pytest.raises(InputError, match=r"label_count: expected 1 to 12 \(the training patients\), got 13"):
        by_fold(cohort(20), Draws(label_count=13), fold=2, folds=4)


def test_patients_who_only_pretrain_are_set_apart_before_there_are_folds():
    cases = [*cohort(20), case("u", labeled=False)]
    splits = [by_fold(cases, fold=k, folds=4, pretrain_fraction=0.2) for k in range(4)]
    (pretrain,) = {split.pretrain for split in splits}
    assert len(patients(pretrain) - {"u"}) == 4
    assert "u" in patients(pretrain)
    tested = [c.patient for split in splits for c in split.test]
    assert len(set(tested)) == 16
    assert not set(tested) & patients(pretrain)
    for split in splits:
        assert not patients(split.train + split.validation) & patients(pretrain)


def test_one_pretraining_of_those_set_apart_serves_every_fold():
    first, second = (
        by_fold(cohort(20), Draws(validation_fraction=0.2, labels=False), fold=k, folds=4, pretrain_fraction=0.5)
        for k in (0, 3)
    )
    assert (first.pretrain, first.validation) == (second.pretrain, second.validation)
    assert (len(patients(first.pretrain)), len(patients(first.validation))) == (8, 2)
    finetuned = by_fold(cohort(20), fold=0, folds=4, pretrain_fraction=0.5)
    assert patients(finetuned.pretrain) == patients(first.pretrain + first.validation)


def test_pretraining_without_a_fraction_sees_what_its_fold_trains_on():
    cases = [*cohort(10), case("u", labeled=False)]
    pretraining, finetuning = (by_fold(cases, Draws(labels=labels), fold=1, folds=5) for labels in (False, True))
    assert pretraining.pretrain == (*finetuning.train, cases[-1])
    assert pretraining.validation == finetuning.validation
    assert pretraining.labeled == ()


def test_folds_of_the_data_set():
    cases = [case(f"c{i}", f"p{i % 9}", fold=(1, 4, 7)[i % 3]) for i in range(18)]
    assert fold_count(cases, None) == fold_count(cases, 3) == 3
    split = by_fold(cases, Draws(validation_fraction=0.0), fold=1)
    assert {c.fold for c in split.test} == {4}
    assert {c.fold for c in split.train} == {1, 7}
    with pytest.raises(InputError, match=r"folds 5: the data set has 3 of its own"):
        by_fold(cases, fold=1, folds=5)
    with pytest.raises(InputError, match=r"fold: expected 0 to 2 \(of 3 folds\), got 3"):
        by_fold(cases, fold=3)


def test_a_patient_in_two_folds_of_the_data_set_counts_to_the_first():
    cases = [*(case(f"c{i}", f"p{i}", fold=i) for i in range(4)), case("again", "p0", fold=3)]
    assert [c.name for c in by_fold(cases, Draws(validation_fraction=0), fold=0).test] == ["again", "c0"]


@pytest.mark.parametrize(
    ("number", "how", "message"),
    [
        (10, {"fold": 5, "folds": 5}, r"fold: expected 0 to 4 \(of 5 folds\), got 5"),
        (10, {"fold": 0}, "folds: how many"),
        (3, {"fold": 0, "folds": 5}, "3 patients leave nobody in fold 3, 4 of 5"),
        (4, {"draws": Draws(0.8), "fold": 0, "folds": 4}, "leaves none of 3 to train on"),
        (4, {"fold": 0, "folds": 2, "pretrain_fraction": 0.75}, "1 patients leave nobody in fold 1 of 2"),
    ],
)
def test_folds_that_cannot_be(number, how, message):
    with pytest.raises(InputError, match=message):
        by_fold(cohort(number), **how)


NAMED = {"train": {"p000-0", "p000-1", "p001-0", "p001-1", "p002-0"}, "validation": {"p003-0"}, "test": {"p004-0"}}


def test_parts_by_name():
    cases = [*cohort(6), case("u", labeled=False)]
    split = by_names(cases, NAMED)
    for part in ("train", "validation", "test"):
        assert {c.name for c in getattr(split, part)} == NAMED[part]
    assert {c.name for c in split.pretrain} == NAMED["train"] | {"u"}
    assert split.labeled == split.train
    assert split.unit == "case"  # half of a patient is in no part


def test_parts_of_whole_patients_are_noted_by_patient():
    cases = cohort(4)
    split = by_names(cases, {"train": {"p000-0", "p000-1"}, "validation": set(), "test": {"p001-0", "p001-1"}})
    assert split.as_dict() == {
        "unit": "patient", "pretrain": ["p000"], "train": ["p000"], "validation": [], "test": ["p001"],
    }  # fmt: skip


def test_validation_is_drawn_where_the_file_has_none():
    named = {"train": {c.name for c in cohort(10)}, "test": set()}
    split = by_names(cohort(10), named, Draws(validation_fraction=0.25))
    assert (len(patients(split.train)), len(patients(split.validation))) == (7, 3)  # 2.5 is rounded up
    assert by_names(cohort(10), named, Draws(validation_fraction=0.0)).validation == ()
    assert by_names(cohort(10), {**named, "validation": set()}).validation == ()


def test_pretraining_part_of_the_file():
    split = by_names(cohort(6), {**NAMED, "pretrain": {"p005-0", "p005-1"}}, Draws(labels=False))
    assert {c.name for c in split.pretrain} == {"p005-0", "p005-1"}
    assert split.labeled == ()


def test_who_is_tested_or_validates_does_not_pretrain_without_a_label_either():
    """A pretraining's file may name patients without labels."""
    scans = [case(f"u{i}-{j}", f"u{i}", labeled=False) for i in range(4) for j in range(2)]
    named = {"train": NAMED["train"], "validation": {"u0-0"}, "test": {"p004-0", "u1-0", "u1-1"}}
    split = by_names([*cohort(6), *scans], named, Draws(labels=False))
    assert patients(split.pretrain) == patients(split.train) | {"u2", "u3"}
    drawn = {"train": {c.name for c in scans}, "test": {"p004-0"}}
    split = by_names([*cohort(6), *scans], drawn, Draws(validation_fraction=0.25, labels=False))
    assert len(patients(split.validation)) == 1
    assert patients(split.pretrain) == patients(split.train) == patients(scans) - patients(split.validation)


def test_nobody_left_to_train_on():
    with pytest.raises(InputError, match=r"not one case of its train part can be used"):
        by_names(cohort(2), {"train": {"x"}, "test": {"p000-0"}})


@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_images_without_masks_pretrain_and_change_no_fold(fraction):
    """Which a pretext sees beside those that fine-tuning does."""
    labeled, others = cohort(12), [case(f"a{i}", labeled=False) for i in range(20)]
    masked = [replace(c, label=None, masked=True) for c in labeled]
    draws = Draws(validation_fraction=0.0)
    for fold in range(4):
        tuned = by_fold(labeled, draws, fold=fold, folds=4, pretrain_fraction=fraction)
        pretext = by_fold(
            [*masked, *others], replace(draws, labels=False), fold=fold, folds=4, pretrain_fraction=fraction
        )
        assert patients(pretext.pretrain) == patients(tuned.pretrain) | patients(others)
