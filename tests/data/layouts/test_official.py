"""A dataset.json that says who validates, or which fold a case is of."""

import json
import re

import pytest

from segxfer3d.data.layouts import find_cases
from segxfer3d.data.split import by_patient
from segxfer3d.errors import InputError


def entry(name, **others):
    return {"image": f"images/{name}.nii.gz", "label": f"labels/{name}.nii.gz", **others}


def write(root, **content):
    for entries in content.values():
        for item in entries:
            for name in [item] if isinstance(item, str) else [item[key] for key in ("image", "label") if key in item]:
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).touch()
    (root / "dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, "labels": {"1": "x"}, **content}))
    return root


def names(cases):
    return [case.name for case in cases]


def test_validation_of_the_data_set_validates(tmp_path):
    training = [entry(f"t{i}") for i in range(8)]
    found = find_cases(write(tmp_path, training=training, validation=[entry("v0"), entry("v1")]))
    assert names(found.cases) == [f"t{i}" for i in range(8)] + ["v0", "v1"]
    assert '2 cases in "validation"' in found.notes[0]
    split = by_patient(found.cases, validation_fraction=0.5)
    assert names(split.validation) == ["v0", "v1"]
    assert len(split.test) == 2  # a quarter of the 8 others
    assert sorted(names(split.train) + names(split.test)) == [f"t{i}" for i in range(8)]
    assert split.pretrain == split.train


def test_validation_of_the_data_set_is_kept_from_pretraining_and_test(tmp_path):
    root = write(tmp_path, training=[entry(f"t{i}") for i in range(8)], validation=[entry("v0")], test=["images/u.nii"])
    split = by_patient(find_cases(root).cases, pretrain_fraction=0.25)
    assert names(split.validation) == ["v0"]
    assert (len(split.pretrain), len(split.train), len(split.test)) == (3, 4, 2)  # the unlabeled case pretrains, too
    assert "u" in names(split.pretrain)
    assert "v0" not in names(split.pretrain + split.test)


def test_validation_without_labels_is_as_test(tmp_path):
    found = find_cases(write(tmp_path, training=[entry("a")], validation=["images/u.nii.gz"]))
    assert (names(found.labeled), names(found.unlabeled), found.notes) == (["a"], ["u"], ())


def test_unlabeled_cases_without_a_fold_do_not_undo_the_folds_of_the_others(tmp_path):
    root = write(tmp_path, training=[entry(f"c{i}", fold=i) for i in range(10)], test=["images/u.nii.gz"])
    cases = find_cases(root).cases
    split = by_patient(cases)
    assert names(split.test) == ["c7", "c8", "c9"]
    assert names(split.pretrain) == ["c0", "c1", "c2", "c3", "c4", "u"]
    assert names(by_patient([c for c in cases if c.label]).test) == ["c7", "c8", "c9"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"training": [entry("a", fold=0), entry("b"), entry("c")]}, '2 of 3 .* no "fold".*(b, c)'),
        ({"training": [entry("a", fold="x"), entry("b", fold=-1), entry("c", fold=1)]}, '"fold" of a, b: expected'),
        ({"training": [entry("a", fold=True)]}, '"fold" of a: expected a whole number'),
        (
            {"training": [entry("a", patient="p"), entry("b")], "validation": [entry("c", patient="p")]},
            'patients in "training" and in "validation": p',
        ),
        ({"training": [entry("a", fold=0)], "validation": [entry("b", fold=1)]}, '"validation" and "fold"'),
        ({"training": [entry("a")], "validation": [entry("a")]}, 'in "training" and in "validation": a'),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(InputError) as caught:
        find_cases(write(tmp_path, **content))
    assert re.search(message, str(caught.value)), str(caught.value)
