import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import HeldImages, load_image
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, square


@pytest.fixture
def horses(tmp_path):
    root = tmp_path / "weizmann_horse_db"
    for number in (1, 2):
        save(root / "rgb" / f"horse{number:03d}.jpg", noise((48, 64)))
        save(root / "figure_ground" / f"horse{number:03d}.jpg", square(value=255), quality=95)
    return root


def test_masks_are_enlarged_to_their_images(horses):
    for root in (horses, horses.parent):
        found = find_images("horses", root)
        assert [case.name for case in found.cases] == ["horse001", "horse002"]
    assert found.notes == ("horses: 2 images; the data set has 328",)
    assert check(found, progress=False).good == found.cases
    label = load_image(found.cases[0], found).label.label[0]
    assert (label == square().repeat(4, 0).repeat(4, 1)).mean() > 0.97
    assert len(find_images("horses", horses, task="images").cases) == 2


def test_refused(horses):
    save(horses / "figure_ground" / "horse002.jpg", square((12, 30), 255))
    with pytest.raises(InputError, match=r"horse002\.jpg: the mask is 30x12, its image 64x48 .* of another shape"):
        check(find_images("horses", horses), progress=False)
    with pytest.raises(InputError, match="one class only"):
        find_images("horses", horses, task="classification")
    (horses / "rgb" / "horse001.jpg").unlink()
    with pytest.raises(InputError, match=r"horse001\.jpg \(mask without image\)"):
        find_images("horses", horses)
    with pytest.raises(InputError, match="not the layout of the Weizmann horses: no rgb, no figure_ground"):
        find_images("horses", horses / "rgb")


@pytest.mark.data
def test_real_horses(real_data):
    found = find_images("horses", real_data / "weizmann_horse_db")
    assert (len(found.cases), found.notes) == (328, ())
    report = check(found, progress=False)
    assert report.good == found.cases
    assert report.empty_labels == []
    dataset = HeldImages(found, 64, cases=found.cases[:40], progress=False)
    shares = [dataset[i]["label"].float().mean().item() for i in range(40)]
    assert 0.1 < np.mean(shares) < 0.35
