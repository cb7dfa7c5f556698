import json

import pytest

from segxfer3d.data.class_names import refuse_other_order
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.errors import InputError
from tests.data.volumes import ct, write_nifti


def told(root, labels):
    write_nifti(root / "images" / "a.nii.gz", ct())
    write_nifti(root / "labels" / "a.nii.gz", (ct() > 0).astype("uint8"))
    (root / "dataset.json").write_text(labels if isinstance(labels, str) else json.dumps({"labels": labels}))
    return root


def test_two_classes_of_one_name(tmp_path):
    told(tmp_path, {"0": "background", "1": "Tumor ", "2": "tumor"})
    message = r"the classes 1 and 2 have one name, tumor; .*--label_map 2:1 to make them one"
    with pytest.raises(InputError, match=message):
        find_cases(tmp_path)
    assert find_cases(tmp_path, Request(label_map="2:1")).classes == {1: "Tumor "}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"labels": {"background": 0, "tumor": 1, "tumor": 2}}', "two classes are called tumor"),
        ('{"labels": {"0": "background", "1": "a", "1": "b"}}', "two classes are called 1"),
        ('{"labels": {"background": 0, "a": 1, "b": 1}}', "two classes, a and b, have the value 1"),
    ],
)
def test_what_a_json_file_says_twice(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"dataset\.json: .*{message}"):
        find_cases(told(tmp_path, text))


def order(data, model):
    return refuse_other_order(data, model, place="dataset_dir d", checkpoint="m.pt")


def test_the_same_names_at_other_values():
    message = (
        r"dataset_dir d: classes in another order than checkpoint m\.pt knows them: b is 1, the model's is 2; "
        r"a is 2, the model's is 1; --label_map 1:2,2:1 reads"
    )
    with pytest.raises(InputError, match=message):
        order({1: "b", 2: "a"}, {1: "a", 2: "b"})
    with pytest.raises(InputError, match=r"the model's is 1; expected another file$"):
        refuse_other_order({2: "a"}, {1: "a"}, place="p", checkpoint="m.pt", way_on="expected another file")
    with pytest.raises(InputError, match="b is 3, the model's is 2; --label_map 3:2"):
        order({1: "a", 3: "b"}, {1: "a", 2: "b"})


def test_the_same_order_says_nothing():
    assert order({1: "a", 2: "Edema "}, {1: "a", 2: "edema"}) == ""
    assert (
        order({1: "nodule"}, {1: "foreground"})
        == "classes have other names than the model's: 1 nodule (the model's: foreground)"
    )


def test_all_names_that_are_there_twice(tmp_path):
    told(tmp_path, {"0": "background", "1": "tumor", "2": "liver", "3": "Tumor", "4": "Liver"})
    message = r"the classes 1 and 3 have one name, tumor; 2 and 4 have one name, liver; .*--label_map 3:1,4:2 to make"
    with pytest.raises(InputError, match=message):
        find_cases(tmp_path)
    assert find_cases(tmp_path, Request(label_map="3:1,4:2")).classes == {1: "tumor", 2: "liver"}
