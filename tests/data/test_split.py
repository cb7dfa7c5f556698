import random
from itertools import pairwise
from pathlib import Path

import pytest

from segxfer3d.data.case import Case
from segxfer3d.data.split import Split, round_half_up, split_by_patient, take_labels
from segxfer3d.errors import InputError

PARTS = ("pretrain", "train", "validation", "test")


def case(name, patient="", labeled=True, fold=None):
    return Case(name, Path(f"{name}.nii"), Path(f"{name}-label.nii") if labeled else None, patient, fold)


def cohort(patients, scans=2, labeled=True, prefix="p"):
    return [case(f"{prefix}{i:03d}-{j}", f"{prefix}{i:03d}", labeled) for i in range(patients) for j in range(scans)]


def sizes(split):
    return {part: len(ids) for part, ids in split.as_dict().items()}


def test_no_patient_in_two_parts_and_every_case_somewhere():
    cases = cohort(40)
    split = split_by_patient(cases, pretrain_fraction=0.3)
    assert sizes(split) == {"pretrain": 12, "train": 12, "validation": 6, "test": 10}
    assert sorted(c.name for part in PARTS for c in getattr(split, part)) == [c.name for c in cases]


def test_same_split_whatever_the_order_of_files():
    cases = cohort(20)
    shuffled = random.Random(1).sample(cases, len(cases))
    assert split_by_patient(cases, seed=3) == split_by_patient(shuffled, seed=3)
    assert split_by_patient(cases, seed=3) != split_by_patient(cases, seed=4)


def test_test_patients_do_not_depend_on_the_other_fractions():
    cases = cohort(40)
    assert split_by_patient(cases).test == split_by_patient(cases, 0.4, 0.1).test


def test_training_part_pretrains_where_no_fraction_is_asked():
    split = split_by_patient(cohort(20))
    assert split.pretrain == split.train


def test_counts_are_rounded_half_up():
    assert [round_half_up(0.25, n) for n in (1, 2, 6, 10)] == [0, 1, 2, 3]
    assert round_half_up(0.145, 100) == 15  # 14.499999999999998 in binary
    assert sizes(split_by_patient(cohort(10), validation_fraction=0.15, test_fraction=0.25))["test"] == 3


def test_small_parts_get_at_least_one_patient():
    assert sizes(split_by_patient(cohort(3), 0.0, 0.01, 0.01)) == {
        "pretrain": 1,
        "train": 1,
        "validation": 1,
        "test": 1,
    }


def test_unlabeled_cases_pretrain_unless_their_patient_is_held_out():
    cases = (
        cohort(20) + cohort(5, labeled=False, prefix="u") + [case(f"p{i:03d}-x", f"p{i:03d}", False) for i in range(20)]
    )
    split = split_by_patient(cases)
    assert split_by_patient(cohort(20)).test == split.test
    assert {c.patient for c in split.pretrain} == {c.patient for c in split.train} | {f"u{i:03d}" for i in range(5)}
    assert all(c.label for part in ("train", "validation", "test") for c in getattr(split, part))
    assert len(split.pretrain) == 5 * 2 + 3 * len(split.as_dict()["train"])


def test_without_any_label_all_but_the_validation_part_pretrains():
    split = split_by_patient(cohort(10, labeled=False), pretrain_fraction=0.5)
    assert sizes(split) == {"pretrain": 8, "train": 8, "validation": 2, "test": 0}
    assert sizes(split_by_patient(cohort(1, labeled=False))) == {"pretrain": 1, "train": 1, "validation": 0, "test": 0}


def test_folds_of_luna16():
    cases = [case(f"c{i}{j}", labeled=False, fold=i) for i in range(10) for j in range(2)]
    split = split_by_patient(cases, 0.3, 0.3, 0.3)
    assert {c.fold for c in split.train} == {0, 1, 2, 3, 4}
    assert {c.fold for c in split.validation} == {5, 6}
    assert {c.fold for c in split.test} == {7, 8, 9}
    assert split.pretrain == split.train


def test_patient_in_two_folds_stays_together():
    cases = [case(f"c{i}", f"p{i}", fold=i) for i in range(10)] + [case("again", "p0", fold=9)]
    split = split_by_patient(cases)
    assert [c.name for c in split.train if c.patient == "p0"] == ["again", "c0"]
    assert "p0" not in split.as_dict()["test"]


def test_part_without_a_fold_is_refused_only_where_it_is_needed():
    labeled = [case(f"c{i}", fold=i) for i in range(5)]
    with pytest.raises(InputError, match=r"no cases in the folds 5-6, .*validation part; .* folds 0, 1, 2, 3, 4"):
        split_by_patient(labeled)
    assert sizes(split_by_patient([case(f"c{i}", labeled=False, fold=i) for i in range(5)]))["validation"] == 0
    with pytest.raises(InputError, match=r"no cases in the folds 0-4, .*train part"):
        split_by_patient([case("c", labeled=False, fold=9)])


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
        split_by_patient(cohort(patients), *fractions)


def test_split_comes_back_from_its_dictionary():
    cases = cohort(20) + cohort(4, labeled=False, prefix="u")
    split = split_by_patient(cases, pretrain_fraction=0.2)
    assert Split.from_dict(split.as_dict(), cases) == split
    with pytest.raises(InputError, match=r"no case of 1 of its patients: u003"):
        Split.from_dict(split.as_dict(), cases[:-2])
    with pytest.raises(InputError, match=r"expected the parts .*; pretrain, validation, test missing"):
        Split.from_dict({"train": []}, cases)


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
        ({"label_fraction": 0.5, "label_count": 2}, "expected one of them, got both"),
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
