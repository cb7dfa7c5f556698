import random
from itertools import pairwise
from pathlib import Path

import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.split import Split, by_patient, labels_record
from segxfer3d.data.split_draws import round_half_up, take_labels
from segxfer3d.errors import InputError

PARTS = ("pretrain", "train", "validation", "test")
FRACTIONS = ("pretrain_fraction", "validation_fraction", "test_fraction")


def case(name, patient="", labeled=True, fold=None):
    return Case(name, Path(f"{name}.nii"), Path(f"{name}-label.nii") if labeled else None, patient, fold=fold)


def cohort(patients, scans=2, labeled=True, prefix="p"):
    return [case(f"{prefix}{i:03d}-{j}", f"{prefix}{i:03d}", labeled) for i in range(patients) for j in range(scans)]


def sizes(split):
    return {part: len(split.as_dict()[part]) for part in PARTS}


def test_no_patient_in_two_parts_and_every_case_somewhere():
    cases = cohort(40)
    split = by_patient(cases, pretrain_fraction=0.3)
    assert sizes(split) == {"pretrain": 12, "train": 12, "validation": 6, "test": 10}
    assert sorted(c.name for part in PARTS for c in getattr(split, part)) == [c.name for c in cases]


def test_same_split_whatever_the_order_of_files():
    cases = cohort(20)
    shuffled = random.Random(1).sample(cases, len(cases))
    assert by_patient(cases, split_seed=3) == by_patient(shuffled, split_seed=3)
    assert by_patient(cases, split_seed=3) != by_patient(cases, split_seed=4)


def test_test_patients_do_not_depend_on_the_other_fractions():
    cases = cohort(40)
    assert by_patient(cases).test == by_patient(cases, pretrain_fraction=0.4, validation_fraction=0.1).test


def test_training_part_pretrains_where_no_fraction_is_asked():
    split = by_patient(cohort(20))
    assert split.pretrain == split.train


def test_counts_are_rounded_half_up():
    assert [round_half_up(0.25, n) for n in (1, 2, 6, 10)] == [0, 1, 2, 3]
    assert round_half_up(0.145, 100) == 15  # 14.499999999999998 in binary
    assert sizes(by_patient(cohort(10), validation_fraction=0.15, test_fraction=0.25))["test"] == 3


def test_small_parts_get_at_least_one_patient():
    assert sizes(by_patient(cohort(3), validation_fraction=0.01, test_fraction=0.01)) == {
        "pretrain": 1,
        "train": 1,
        "validation": 1,
        "test": 1,
    }


def test_unlabeled_cases_pretrain_unless_their_patient_is_held_out():
    cases = (
        cohort(20) + cohort(5, labeled=False, prefix="u") + [case(f"p{i:03d}-x", f"p{i:03d}", False) for i in range(20)]
    )
    split = by_patient(cases)
    assert by_patient(cohort(20)).test == split.test
    assert {c.patient for c in split.pretrain} == {c.patient for c in split.train} | {f"u{i:03d}" for i in range(5)}
    assert all(c.label for part in ("train", "validation", "test") for c in getattr(split, part))
    assert len(split.pretrain) == 5 * 2 + 3 * len(split.as_dict()["train"])


def test_without_any_label_all_but_the_validation_part_pretrains():
    split = by_patient(cohort(10, labeled=False), pretrain_fraction=0.5)
    assert sizes(split) == {"pretrain": 8, "train": 8, "validation": 2, "test": 0}
    assert sizes(by_patient(cohort(1, labeled=False))) == {"pretrain": 1, "train": 1, "validation": 0, "test": 0}


def test_folds_of_luna16():
    cases = [case(f"c{i}{j}", labeled=False, fold=i) for i in range(10) for j in range(2)]
    split = by_patient(cases, **dict.fromkeys(FRACTIONS, 0.3))
    assert {c.fold for c in split.train} == {0, 1, 2, 3, 4}
    assert {c.fold for c in split.validation} == {5, 6}
    assert {c.fold for c in split.test} == {7, 8, 9}
    assert split.pretrain == split.train


def test_patient_in_two_folds_stays_together():
    cases = [case(f"c{i}", f"p{i}", fold=i) for i in range(10)] + [case("again", "p0", fold=9)]
    split = by_patient(cases)
    assert [c.name for c in split.train if c.patient == "p0"] == ["again", "c0"]
    assert "p0" not in split.as_dict()["test"]


def test_part_without_a_fold_is_refused_only_where_it_is_needed():
    labeled = [case(f"c{i}", fold=i) for i in range(5)]
    with pytest.raises(InputError, match=r"no cases in the folds 5-6, .*validation part; .* folds 0, 1, 2, 3, 4"):
        by_patient(labeled)
    assert sizes(by_patient([case(f"c{i}", labeled=False, fold=i) for i in range(5)]))["validation"] == 0
    with pytest.raises(InputError, match=r"no cases in the folds 0-4, .*train part"):
        by_patient([case("c", labeled=False, fold=9)])


@pytest.mark.parametrize(
    ("patients", "fractions", "message"),
    [
        (
            2,
            (0, 0.15, 0.25),
            r"2 patients are fewer than the split needs: at least 3 for train and test_fraction 0\.25",
        ),
        (3, (0.2, 0.15, 0.25), "3 patients .*: at least 4 for"),
        (5, (0, 0.5, 0.45), "5 patients .*: at least 12 for"),
        (0, (0, 0, 0), "0 patients .*: at least 1 for train$"),
        (9, (0, 0.5, 0.5), r"test_fraction 0\.5, validation_fraction 0\.5: expected less than 1 in all"),
        (9, (0, 1.5, 0), r"validation_fraction: expected at least 0 and less than 1, got 1\.5"),
        (9, (-0.1, 0, 0), r"pretrain_fraction: expected at least 0"),
    ],
)
def test_refused_splits(patients, fractions, message):
    with pytest.raises(InputError, match=message):
        by_patient(cohort(patients), **dict(zip(FRACTIONS, fractions, strict=True)))


def test_split_comes_back_from_its_dictionary():
    cases = cohort(20) + cohort(4, labeled=False, prefix="u")
    split = by_patient(cases, pretrain_fraction=0.2)
    assert Split.from_dict(split.as_dict(), cases) == split
    with pytest.raises(InputError, match=r"no case of 1 of its patients: u003"):
        Split.from_dict(split.as_dict(), cases[:-2])
    with pytest.raises(InputError, match=r"expected the parts .*; pretrain, validation, test missing"):
        Split.from_dict({"train": []}, cases)
    older = {part: patients for part, patients in split.as_dict().items() if part != "unit"}
    assert Split.from_dict(older, cases) == split
    with pytest.raises(InputError, match="unit 'scan'; expected patient or case"):
        Split.from_dict({**older, "unit": "scan"}, cases)


def test_labels_are_drawn_from_the_training_part():
    split = by_patient(cohort(20), label_count=3, split_seed=1, seed=5)
    assert split.labeled == take_labels(split.train, label_count=3, seed=5)
    assert by_patient(cohort(20), split_seed=1).labeled == split.train
    assert by_patient(cohort(20), split_seed=1, labels=False).labeled == ()
    record = labels_record(split)
    assert record["cases"] == [c.name for c in split.labeled]
    assert len(record["patients"]) == 3
    assert Split.from_dict(split.as_dict(), cohort(20), labels=record) == split
    with pytest.raises(InputError, match="official_split: patients are split by fractions"):
        by_patient(cohort(20), official=True)


def test_smaller_draws_are_part_of_larger_ones():
    train = cohort(20)
    draws = [take_labels(train, label_count=n, seed=2) for n in (1, 5, 20)] + [take_labels(train)]
    assert [len({c.patient for c in draw}) for draw in draws] == [1, 5, 20, 20]
    assert all(set(small) <= set(large) for small, large in pairwise(draws))
    assert take_labels(train[::-1], label_count=5, seed=2) == draws[1]
    assert take_labels(train, label_count=5, seed=3) != draws[1]
    assert take_labels(train, label_fraction=0.25, seed=2) == draws[1]
    assert all(len(draw) == 2 * len({c.patient for c in draw}) for draw in draws)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_fraction": 0.5, "label_count": 2}, "expected one of them, got 0.5 and 2"),
        ({"label_fraction": 0.0}, "label_fraction: expected a number above 0 and at most 1, got 0"),
        ({"label_fraction": 1.1}, r"got 1\.1"),
        ({"label_fraction": 0.01}, r"label_fraction 0\.01 of 20 training patients is none"),
        ({"label_count": 0}, r"label_count: expected 1 to 20 \(the training patients\), got 0"),
        ({"label_count": 21}, "expected 1 to 20"),
    ],
)
def test_refused_labels(arguments, message):
    with pytest.raises(InputError, match=message):
        take_labels(cohort(20), **arguments)
