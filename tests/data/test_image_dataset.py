import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from segxfer3d.data import image_dataset
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.image_case import ImageCase, ImageSet
from segxfer3d.data.image_dataset import ImageDataset
from segxfer3d.data.io.images import MaskRule
from segxfer3d.errors import InputError
from tests.data.image_files import noise, save, square

RULE = MaskRule(foreground=(1,), background=(0,), ignore=(9,))


@pytest.fixture
def images(tmp_path):
    """Four images of 12x16 with masks and classes."""
    cases = []
    for number in range(4):
        mask = square()
        mask[0, :2] = 9
        cases.append(
            ImageCase(
                f"i{number}",
                save(tmp_path / f"i{number}.png", noise(seed=number)),
                save(tmp_path / f"m{number}.png", mask),
                number % 2,
            )
        )
    return ImageSet(tmp_path, "folder", tuple(cases), ("even", "odd"), RULE)


def test_items(images):
    dataset = ImageDataset(images, 16, progress=False)
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
    bare = [ImageCase(case.name, case.image) for case in images.cases[:2]]
    dataset = ImageDataset(images, 8, bare)
    assert set(dataset[0]) == {"image", "content", "index"}
    assert len(list(iter(dataset))) == 2


def test_loaders_and_seeded_datasets_take_it(images):
    dataset = ImageDataset(images, 8, progress=False)
    seeded = SeededDataset(dataset, seed=1, length=8)
    batches = list(DataLoader(seeded, batch_size=4))
    assert batches[0]["image"].shape == (4, 3, 8, 8)
    assert batches[0]["content"].shape == (4, 4)
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    again = pickle.loads(pickle.dumps(dataset))
    assert all(torch.equal(again[2][key], dataset[2][key]) for key in dataset[2])


def test_refused(images, monkeypatch):
    with pytest.raises(InputError, match="there are no images to load"):
        ImageDataset(images, 8, [])
    with pytest.raises(InputError, match="image_size is 0"):
        ImageDataset(images, 0)
    (images.root / "i2.png").unlink()
    with pytest.raises(InputError, match=r"i2\.png: no such file"):
        ImageDataset(images, 8, progress=False)
    monkeypatch.setattr(image_dataset, "MEMORY_SHARE", 1e-9)
    with pytest.raises(InputError, match=r"do not fit in memory \(4 take .* GiB, .*\); give a smaller --image_size"):
        ImageDataset(images, 512, progress=False)
