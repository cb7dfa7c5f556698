"""``segxfer3d check`` of images: everything that is wrong is a problem, and the rest is looked over."""

import pytest

from tests.cli.test_cli import call
from tests.data.image_files import noise, save, save_paletted, square


@pytest.fixture
def pets(tmp_path):
    """A copy of Oxford-IIIT Pets with two of its five images."""
    root = tmp_path / "pets"
    for name in ("beagle_1", "pug_2"):
        save(root / "images" / f"{name}.jpg", noise())
        save(root / "annotations" / "trimaps" / f"{name}.png", 2 - square())
    names = ("Abyssinian_1", "Bengal_1", "beagle_1", "beagle_2", "pug_2")
    (root / "annotations" / "list.txt").write_text("".join(f"{name} 1 2 1\n" for name in names))
    (root / "annotations" / "trainval.txt").write_text("".join(f"{name} 1 2 1\n" for name in names))
    return root


def test_images_that_are_listed_and_not_there(pets, tmp_path):
    status, said = call("check", pets)
    assert status == 1
    lines = said.splitlines()
    assert lines[1] == "cases: 2 of 2 patients or scenes, 2 with a mask of pet"
    assert lines[-5:-1] == [
        "3 cannot be used:",
        *(
            f"  {name}: a list of the data set names it, and there is no such image"
            for name in ("Abyssinian_1", "Bengal_1", "beagle_2")
        ),
    ]
    save(pets / "annotations" / "trimaps" / "pug_2.png", square((8, 8)))
    status, said = call("check", pets, "--dataset", "oxford_pets")
    assert (status, "4 cannot be used:\n" in said, "the mask is 8x8" in said) == (1, True, True), said
    status, said = call("gallery", "data", "--dataset-dir", pets, "-o", tmp_path / "g.svg")
    assert (status, "3 images are listed and not there:\n" in said, "skip" in said) == (1, True, False), said


def test_masks_of_another_size_in_a_gallery(tmp_path):
    for number in range(3):
        save(tmp_path / "images" / f"{number}.png", noise())
        save(tmp_path / "masks" / f"{number}.png", square((8, 8) if number else (12, 16)))
    status, said = call("gallery", "data", "--dataset-dir", tmp_path, "-o", tmp_path / "g.svg")
    assert (status, said.splitlines()[0]) == (1, "2 of 3 images cannot be used:")
    status, said = call("check", tmp_path)
    assert (status, "2 cannot be used:\n" in said, "cases: 3 of 3" in said) == (1, True, True)


def test_masks_that_have_to_be_opened(tmp_path):
    for name, value in (("a", 8), ("b", 8), ("c", 12)):
        save(tmp_path / "JPEGImages" / f"{name}.jpg", noise())
        save_paletted(tmp_path / "SegmentationClass" / f"{name}.png", square(value=value))
    for part, names in (("train", "a\nb\nx\n"), ("val", "c\n")):
        path = tmp_path / "ImageSets" / "Segmentation" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(names)
    (tmp_path / "SegmentationClass" / "b.png").write_bytes(b"broken")
    status, said = call("check", tmp_path, "--target", "cat")
    assert status == 1
    assert "cases: 1 of 1 patients or scenes, 1 with a mask of cat" in said
    assert said.split("2 cannot be used:\n")[1].splitlines()[:-1] == [
        f"  {tmp_path}/SegmentationClass/b.png: not an image, or damaged",
        f"  {tmp_path}/JPEGImages/x.jpg: no such file, though a list of the data set names it",
    ]
    status, said = call("check", tmp_path, "--target", "horse")
    assert status == 1
    assert (
        "no images for segmentation of horse in it: its masks have the values 0, 8, 12; expected 13 (horse)\n" in said
    )
    assert "x.jpg: no such file, though a list of the data set names it" in said
