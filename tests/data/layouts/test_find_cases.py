from types import SimpleNamespace

import pytest

from segxfer3d.data import layouts as package
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.layouts import Request, find_cases, layouts
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, save_paletted, square
from tests.data.volumes import ct, write_nifti

from .test_luna16 import make


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "flower17"}, r"dataset 'flower17': unknown; did you mean flowers17\? expected one of cityscapes, "),
        ({"layout": "VOC"}, r"did you mean voc\?"),
        ({"layout": "imagenet"}, r"dataset 'imagenet': unknown; .*expected one of"),
        ({"task": "classify"}, r"task 'classify': unknown; did you mean classification\?"),
        ({"border": "skip"}, r"border 'skip': unknown; expected one of ignore, foreground, background"),
        ({"root": "/nowhere/at/all"}, "dataset_dir /nowhere/at/all: no such folder"),
        ({"root": __file__}, r"dataset_dir .*test_find_cases\.py: not a folder"),
    ],
)
def test_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        find_images(**({"layout": "flowers17", "root": tmp_path} | options))


def fill(root, *names):
    for name in names:
        save(root / name, noise())
    return root


def volumes(root, *names):
    for name in names:
        write_nifti(root / name, ct((4, 4, 4)))
    return root


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["subset3/1.3.6.mhd"], "luna16"),
        (["images/a.nii"], "folder"),
        (["a.nii"], "folder"),
    ],
)
def test_the_layout_of_volumes_that_fits(tmp_path, files, layout):
    assert find_cases(make(tmp_path, files)).layout == layout
    assert find_cases(tmp_path, Request(layout=layout)).layout == layout


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["rgb/horse001.jpg", "figure_ground/horse001.jpg"], "horses"),
        (["weizmann_horse_db/rgb/horse001.jpg", "weizmann_horse_db/figure_ground/horse001.jpg"], "horses"),
        (["jpg/image_0001.jpg"], "flowers17"),
        (["jpg/image_00001.jpg"], "flowers102"),
        (["jpg/flower.jpg"], "folder"),
        (["leftImg8bit/train/bochum/a_leftImg8bit.png"], "cityscapes"),
        (["images/Beagle_1.jpg", "annotations/trimaps/Beagle_1.png"], "folder"),
        (["JPEGImages/a.jpg", "SegmentationClass/a.png"], "folder"),
        (["rgb/horse001.jpg"], "folder"),
        (["cat/a.jpg", "dog/a.jpg"], "folder"),
    ],
)
def test_the_layout_of_images_that_fits(tmp_path, files, layout):
    assert find_images("", fill(tmp_path, *files), task="images").layout == layout


def test_pets_and_voc_are_known_by_their_lists(tmp_path):
    pets = fill(tmp_path / "pets", "images/Beagle_1.jpg")
    (pets / "annotations").mkdir()
    (pets / "annotations" / "list.txt").write_text("Beagle_1 1 2 1\n")
    assert find_images("", pets, task="images").layout == "oxford_pets"
    voc = fill(tmp_path / "VOC2012", "JPEGImages/a.jpg")
    save_paletted(voc / "SegmentationClass" / "a.png", square(value=8))
    (voc / "ImageSets" / "Segmentation").mkdir(parents=True)
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("")
    for root in (voc, tmp_path):
        assert find_images("", root, task="images", progress=False).layout == "voc"
    assert find_images("", voc, "cat", progress=False).layout == "voc"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"border": "foreground"},
            "border foreground: dataset folder has no pixels that were left open; expected ignore",
        ),
        ({"extent": "trainval"}, "extent trainval: it is of images that pretrain without a target; expected all"),
        (
            {"extent": "trainval", "task": "images"},
            "extent trainval: {root} has no training and validation part (layout folder); expected all",
        ),
    ],
)
def test_options_that_would_change_nothing_are_refused(tmp_path, options, message):
    root = fill(tmp_path, "images/a.png", "masks/a.png")
    with pytest.raises(InputError) as error:
        find_images("", root, **options)
    assert str(error.value) == message.format(root=root)


def test_the_extent_of_a_folder_with_parts(tmp_path):
    root = fill(tmp_path, "train/a.png", "val/b.png", "test/c.png")
    assert len(find_images("", root, task="images").cases) == 3
    assert [case.name for case in find_images("", root, task="images", extent="trainval").cases] == ["train_a", "val_b"]


def test_two_layouts_that_fit_are_refused(tmp_path):
    root = make(tmp_path / "volumes", ["subset0/1.3.6.mhd", "dataset.json"])
    with pytest.raises(InputError, match=r"has the layouts of decathlon and of luna16; say which with --dataset"):
        find_cases(root)
    assert find_cases(root, Request(layout="luna16")).layout == "luna16"
    root = fill(tmp_path / "images", "jpg/image_0001.jpg", "leftImg8bit/a_leftImg8bit.png")
    with pytest.raises(InputError, match="has the layouts of cityscapes and of flowers17; say which with --dataset"):
        find_images("", root, task="images")


def test_images_are_not_taken_for_volumes_nor_the_other_way_round(tmp_path):
    images, scans = (
        fill(tmp_path / "images", "images/a.png", "masks/a.png"),
        volumes(tmp_path / "scans", "images/a.nii"),
    )
    with pytest.raises(InputError, match="scans: holds volumes; this bundle takes images: use genesis_finetune"):
        find_images("", scans)
    with pytest.raises(InputError, match=r"scans: holds volumes; .*: use genesis_pretrain\.json$"):
        find_images("folder", scans, task="images")
    with pytest.raises(InputError, match="images: holds images; this bundle takes volumes: use unet2d_finetune"):
        find_cases(images)
    with pytest.raises(InputError, match=r"images: holds images; .*: use simclr_pretrain\.json$"):
        find_cases(images, Request(task="images"))
    (images / "dataset.json").write_text('{"labels": {"background": 0, "disc": 1}}')
    with pytest.raises(InputError, match="holds images; this bundle takes volumes"):
        find_cases(images)
    with pytest.raises(InputError, match="holds images; this bundle takes volumes"):
        find_cases(fill(tmp_path / "horses", "rgb/horse001.jpg", "figure_ground/horse001.jpg"))
    with pytest.raises(InputError, match="holds volumes; this bundle takes images"):
        find_images("", volumes(tmp_path / "luna", "subset0/a.nii"), task="images")


def test_two_cases_of_one_name_are_refused(tmp_path, monkeypatch):
    twice = CaseSet(tmp_path, "twice", 3, (Case("a", tmp_path / "1"), Case("a", tmp_path / "2")))
    layout = SimpleNamespace(TITLE="", SOURCE="", DIMS=(3,), fits=lambda root: True, read=lambda root, request: twice)
    monkeypatch.setattr(package, "layouts", lambda: {"twice": layout, "folder": layouts()["folder"]})
    with pytest.raises(InputError, match="several cases of one name: a"):
        find_cases(tmp_path)


def test_a_data_set_in_a_folder_of_the_one_that_was_named(tmp_path):
    for place in ("imagesTr/a", "imagesTr/b", "labelsTr/a", "labelsTr/b"):
        write_nifti(tmp_path / "Task01_X" / f"{place}.nii.gz", ct())
    (tmp_path / "Task01_X" / "dataset.json").write_text('{"labels": {"1": "x"}, "training": []}')
    with pytest.raises(InputError, match=r"Task01_X: a data set of its own; is it the one that is meant\?$"):
        find_cases(tmp_path)
