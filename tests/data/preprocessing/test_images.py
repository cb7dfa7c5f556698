import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.dataset import SeededDataset, WholeCases
from segxfer3d.data.preprocessing import from_dict, protocol
from segxfer3d.data.preprocessing.images import HeldImages, ImagePreprocessing
from segxfer3d.errors import InputError
from tests.data.image_files import noise, save, square

RULE = LabelRule(foreground=(1,), background=(0,), ignore=(9,))


@pytest.fixture
def images(tmp_path):
    """Four images of 12x16 with masks and classes."""
    cases = []
    for number in range(4):
        mask = square()
        mask[0, :2] = 9
        cases.append(
            Case(
                f"i{number}",
                save(tmp_path / f"i{number}.png", noise(seed=number)),
                save(tmp_path / f"m{number}.png", mask),
                category=number % 2,
            )
        )
    return CaseSet(tmp_path, "folder", 2, tuple(cases), label_rule=RULE, categories=("even", "odd"))


def test_items(images):
    dataset = HeldImages(images, 16, progress=False)
    assert (len(dataset), dataset.cases, dataset.size) == (4, images.cases, 16)
    item = dataset[-1]
    assert {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in item.items()} == {
        "image": (torch.uint8, (3, 16, 16)),
        "content": (torch.int64, (4,)),
        "label": (torch.uint8, (1, 16, 16)),
        "valid": (torch.uint8, (1, 16, 16)),
        "category": (torch.int64, ()),
        "index": (torch.int64, ()),
    }
    assert (item["index"], item["category"], item["content"].tolist()) == (3, 1, [2, 0, 12, 16])
    np.testing.assert_array_equal(item["image"][:, 2:14], noise(seed=3).transpose(2, 0, 1))
    np.testing.assert_array_equal(item["label"][0, 2:14], square())
    assert item["image"].sum() == item["image"][:, 2:14].sum()
    assert item["label"].sum() == 20
    ignored = (item["valid"] == 0).nonzero().tolist()
    assert ignored == [[0, 2, 0], [0, 2, 1]]  # the padding counts
    with pytest.raises(IndexError):
        dataset[4]


def test_a_part_without_masks_or_classes(images):
    bare = [Case(case.name, case.image) for case in images.cases[:2]]
    dataset = HeldImages(images, 8, cases=bare, labels=False)
    assert set(dataset[0]) == {"image", "content", "index"}
    assert len(list(iter(dataset))) == 2


def test_loaders_and_seeded_datasets_take_it(images):
    dataset = HeldImages(images, 8, progress=False)
    seeded = SeededDataset(dataset, seed=1, length=8)
    batches = list(DataLoader(seeded, batch_size=4))
    assert batches[0]["image"].shape == (4, 3, 8, 8)
    assert batches[0]["content"].shape == (4, 4)
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    again = pickle.loads(pickle.dumps(dataset))
    assert all(torch.equal(again[2][key], dataset[2][key]) for key in dataset[2])


def test_refused(images, monkeypatch):
    with pytest.raises(InputError, match="there are no images to load"):
        HeldImages(images, 8, cases=[])
    with pytest.raises(InputError, match="image_size is 0"):
        HeldImages(images, 0)
    (images.root / "i2.png").unlink()
    with pytest.raises(InputError, match=r"i2\.png: no such file"):
        HeldImages(images, 8, progress=False)
    monkeypatch.setattr(protocol, "MEMORY_SHARE", 1e-9)
    with pytest.raises(InputError, match=r"do not fit in memory \(4 take 5\.24 MB, .*\); give a smaller --image_size"):
        HeldImages(images, 512, progress=False)


def test_labels_are_held_where_they_are_wanted(images):
    held = ImagePreprocessing(16, 3).hold(images.cases, images, labels=True, progress=False)
    assert (held.size, held[0]["label"].shape) == (16, (1, 16, 16))
    held = ImagePreprocessing(16, 3).hold(images.cases[:2], images, labels=False, progress=False, size=8)
    assert (held.size, len(held), "label" in held[0]) == (8, 2, False)
    bare = [Case(case.name, case.image) for case in images.cases]
    with pytest.raises(InputError, match=r"i0\.png: no label, which is needed here"):
        ImagePreprocessing(16, 3).hold(bare, images, labels=True, progress=False)
    with pytest.raises(InputError, match=r"i0\.png: no label, which is needed here"):
        ImagePreprocessing(16, 3).read(bare[0], images, label=True)


def test_several_classes_are_channels(tmp_path):
    values = square(value=2)
    values[8:11, :5] = 5
    values[0, :2] = 9
    case = Case("a", save(tmp_path / "a.png", noise()), save(tmp_path / "m.png", values))
    rule = LabelRule(foreground=(2, 5), several=True, ignore=(9,))
    found = CaseSet(tmp_path, "folder", 2, (case,), {2: "disc", 5: "cup"}, rule)
    item = HeldImages(found, 16, progress=False)[0]
    assert (item["label"].shape, item["label"].dtype) == ((2, 16, 16), torch.uint8)
    np.testing.assert_array_equal(item["label"][:, 2:14], [values == 2, values == 5])
    assert (item["valid"] == 0).sum() == 2
    small = HeldImages(found, 8, progress=False)[0]["label"]
    assert small.shape == (2, 8, 8)
    assert small.flatten(1).sum(1).min() > 0
    whole = ImagePreprocessing(8, 3).read(case, found, label=True)
    np.testing.assert_array_equal(whole["label"], [values == 2, values == 5])
    assert whole["valid"].shape == (1, 12, 16)


def test_a_whole_image_and_back(images):
    preprocessing = ImagePreprocessing(8, 3)
    dataset = WholeCases(images.cases, images, preprocessing)
    item = dataset[1]
    assert item is dataset[1]
    assert (len(dataset), item["case"], item["patient"]) == (4, "i1", "i1")
    held = preprocessing.hold(images.cases, images, labels=True, progress=False)[1]
    assert torch.equal(item["image"], held["image"].float().mul_(1 / 255))
    assert item["label"].shape == (1, 12, 16)
    prediction = torch.rand(2, 8, 8)
    prediction[:, :1], prediction[:, -1:] = 9, 9  # padding
    restored = preprocessing.restore(prediction, item)
    assert restored.shape == (2, 12, 16)
    assert 0 <= restored.min() <= restored.max() <= 1
    same = ImagePreprocessing(16, 3)
    prediction = torch.rand(1, 16, 16)
    back = same.restore(prediction, same.read(images.cases[0], images, label=False))
    assert torch.equal(back, prediction[:, 2:14])


def test_as_dict_and_back():
    preprocessing = ImagePreprocessing(64, 1)
    assert preprocessing.as_dict() == {"image_size": 64, "channels": 1}
    assert from_dict(preprocessing.as_dict()) == preprocessing
    with pytest.raises(InputError, match="channels: is missing"):
        from_dict({"image_size": 64})
    with pytest.raises(InputError, match="preprocessing: "):
        from_dict({"image_size": "wide", "channels": 3})
