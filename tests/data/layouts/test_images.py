import pytest

from segxfer3d.config.knobs import KNOBS
from segxfer3d.data.layouts.images import DATASETS, find_images
from segxfer3d.errors import InputError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "flower17"}, r"dataset 'flower17': unknown; did you mean flowers17\? expected one of flowers17, "),
        ({"dataset": "VOC"}, r"did you mean voc\?"),
        ({"dataset": "imagenet"}, r"dataset 'imagenet': unknown; .*expected one of"),
        ({"task": "classify"}, r"task 'classify': unknown; did you mean classification\?"),
        ({"border": "skip"}, r"border 'skip': unknown; expected one of ignore, foreground, background"),
        ({"dataset_dir": "/nowhere/at/all"}, "dataset_dir /nowhere/at/all: no such folder"),
        ({"dataset_dir": __file__}, r"dataset_dir .*test_images\.py: not a folder"),
    ],
)
def test_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        find_images(**({"dataset": "flowers17", "dataset_dir": tmp_path} | options))


@pytest.mark.parametrize("dataset", sorted(set(DATASETS) - {"folder"}))
@pytest.mark.parametrize("task", ["segmentation", "images"])
def test_an_empty_folder_says_what_is_missing_and_where_it_is_had(tmp_path, dataset, task):
    target = {"voc": "cat", "cityscapes": "bus"}.get(dataset, "")
    with pytest.raises(InputError, match=rf"{tmp_path}: not the layout of .*: no .*; unpack .* there"):
        find_images(dataset, tmp_path, target, task)


def test_the_help_of_the_knob_names_every_data_set():
    words = KNOBS["dataset"].help.replace(",", " ").split()
    assert [name for name in DATASETS if name not in words] == []
