import numpy as np
import pytest
from scipy.io import savemat

from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, save_paletted, square


@pytest.fixture
def flowers17(tmp_path):
    """Six images of four classes as unpacked from the official archives; three have a trimap."""
    for number in (1, 80, 81, 500, 501, 1360):
        save(tmp_path / "jpg" / f"image_{number:04d}.jpg", noise(seed=number))
    (tmp_path / "jpg" / "files.txt").write_text("image_0001.jpg\n")
    for number in (1, 80, 500):
        trimap = 3 - 2 * square()
        trimap[0] = 0
        save_paletted(tmp_path / "trimaps" / f"image_{number:04d}.png", trimap)
    (tmp_path / "trimaps" / "imlist.mat").write_bytes(b"not needed")
    return tmp_path


def test_flowers17_segmentation(flowers17):
    found = find_images("flowers17", flowers17)
    assert [case.name for case in found.cases] == ["image_0001", "image_0080", "image_0500"]
    assert (found.layout, found.target, found.channels, found.published) == ("flowers17", "flower", 3, 849)
    assert found.notes == ("flowers17 with a trimap: 3 images; the paper had 849",)
    assert check(found, progress=False).good == found.cases
    label, valid, _ = load_image(found.cases[0], found).label
    np.testing.assert_array_equal(label[0], square())
    assert valid.all()


def test_flowers17_trimaps_saved_as_rgb(flowers17):
    colors = np.where(square()[..., None] > 0, np.uint8([128, 0, 0]), np.uint8([128, 128, 128]))
    save(flowers17 / "trimaps" / "image_0001.png", colors)
    found = find_images("flowers17", flowers17)
    np.testing.assert_array_equal(load_image(found.cases[0], found).label.label[0], square())


def test_flowers17_other_tasks(flowers17):
    classes = find_images("flowers17", flowers17, task="classification")
    assert [classes.categories[case.category] for case in classes.cases] == [
        "daffodil",
        "daffodil",
        "snowdrop",
        "tigerlily",
        "tigerlily",
        "pansy",
    ]
    assert not any(case.label for case in classes.cases)
    with pytest.raises(InputError, match="no image of 13 of its classes: lily of the valley, "):
        check(classes, progress=False)
    images = find_images("flowers17", flowers17, task="images")
    assert len(images.cases) == 6
    assert [case.name for case in images.cases if case.masked] == ["image_0001", "image_0080", "image_0500"]
    assert not images.has_categories
    assert images.notes == ("flowers17: 6 images; the data set has 1360",)


def test_flowers17_refused(flowers17):
    with pytest.raises(InputError, match="target 'rose': flowers17 has one target only"):
        find_images("flowers17", flowers17, target="rose")
    (flowers17 / "jpg" / "image_0001.jpg").unlink()
    with pytest.raises(InputError, match=r"image_0001\.png \(mask without image\)"):
        find_images("flowers17", flowers17)
    save(flowers17 / "jpg" / "image_1361.jpg", noise())
    with pytest.raises(InputError, match=r"image_1361\.jpg: not an image of Oxford Flowers 17"):
        find_images("flowers17", flowers17, task="images")
    with pytest.raises(
        InputError, match=r"not the layout of Oxford Flowers 17: no jpg, no trimaps; unpack 17flowers\.tgz"
    ):
        find_images("flowers17", flowers17 / "trimaps")


@pytest.fixture
def flowers102(tmp_path):
    """Three images of Flowers 102."""
    for number in (1, 2, 3):
        save(tmp_path / "jpg" / f"image_{number:05d}.jpg", noise((40, 40), seed=number))
        segmented = np.where(square((40, 40))[..., None] > 0, np.uint8([220, 40, 60]), np.uint8([0, 0, 254]))
        save(tmp_path / "segmim" / f"segmim_{number:05d}.jpg", segmented, quality=95, subsampling=0)
    return tmp_path


def test_flowers102_segmentation(flowers102):
    found = find_images("flowers102", flowers102)
    assert [case.name for case in found.cases] == ["image_00001", "image_00002", "image_00003"]
    assert found.notes == ("flowers102: 3 images; the data set has 8189",)
    assert (load_image(found.cases[0], found).label.label[0] == square((40, 40))).mean() > 0.99
    save(flowers102 / "segmim" / "segmim_00009.jpg", noise())
    with pytest.raises(InputError, match=r"segmim_00009\.jpg \(mask without image\)"):
        find_images("flowers102", flowers102)
    assert len(find_images("flowers102", flowers102, task="images").cases) == 3


def test_flowers102_classification(flowers102):
    with pytest.raises(InputError, match=r"no imagelabels\.mat; unpack 102flowers\.tgz"):
        find_images("flowers102", flowers102, task="classification")
    savemat(flowers102 / "imagelabels.mat", {"labels": np.uint8([[77, 1, 102]])})
    found = find_images("flowers102", flowers102, task="classification")
    assert [found.categories[case.category] for case in found.cases] == ["077", "001", "102"]
    savemat(flowers102 / "imagelabels.mat", {"labels": np.uint8([[77, 1]])})
    with pytest.raises(InputError, match="has 2 labels, none for this image"):
        find_images("flowers102", flowers102, task="classification")
    savemat(flowers102 / "imagelabels.mat", {"labels": np.uint8([[77, 0, 103]])})
    with pytest.raises(InputError, match="labels from 0 to 103; expected 1 to 102"):
        find_images("flowers102", flowers102, task="classification")
    for content in ("no labels", "no labels" * 1000, ""):
        (flowers102 / "imagelabels.mat").write_text(content)
        with pytest.raises(InputError, match="not the labels of Oxford Flowers 102"):
            find_images("flowers102", flowers102, task="classification")
    savemat(flowers102 / "imagelabels.mat", {"setid": [1]})
    with pytest.raises(InputError, match="not the labels of Oxford Flowers 102"):
        find_images("flowers102", flowers102, task="classification")


@pytest.mark.data
def test_real_flowers17(real_data):
    found = find_images("flowers17", real_data / "flowers17", task="classification")
    assert (len(found.cases), found.notes) == (1360, ())
    assert all(sum(case.category == i for case in found.cases) == 80 for i in range(17))
    report = check(found, progress=False)
    assert report.good == found.cases
    assert report.converted == {}
    # of the 849 images with a trimap that the paper had
    masked = find_images("flowers17", real_data / "flowers17")
    assert (len(masked.cases), masked.notes) == (846, ("flowers17 with a trimap: 846 images; the paper had 849",))
