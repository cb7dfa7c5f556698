import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import load_image
from segxfer3d.data.split import few_of_all
from segxfer3d.errors import InputError
from tests.data.image_files import find_images, noise, save, square

LISTED = {"Abyssinian_1": 1, "Abyssinian_2": 1, "beagle_1": 2, "beagle_2": 2, "pug_10": 2}
NAMES = [*LISTED, "pug_11"]  # in the archives, but not of the data set


def trimap():
    values = 2 - square()
    values[2] = 3
    return values


@pytest.fixture
def pets(tmp_path):
    for name in NAMES:
        save(tmp_path / "images" / f"{name}.jpg", noise())
        save(tmp_path / "annotations" / "trimaps" / f"{name}.png", trimap())
    (tmp_path / "annotations" / "trimaps" / "._beagle_1.png").write_bytes(b"Mac")
    (tmp_path / "images" / "Abyssinian_100.mat").write_bytes(b"in the archive too")
    lines = ["#Image CLASS-ID SPECIES BREED ID", *(f"{name} 1 {kind} 1" for name, kind in LISTED.items())]
    (tmp_path / "annotations" / "list.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "annotations" / "trainval.txt").write_text("Abyssinian_1 1 1 1\nbeagle_1 2 2 1\npug_10 3 2 2\n")
    (tmp_path / "annotations" / "test.txt").write_text("Abyssinian_2 1 1 1\nbeagle_2 2 2 1\n")
    return tmp_path


def test_every_pet_with_a_trimap(pets):
    found = find_images("oxford_pets", pets)
    assert [case.name for case in found.cases] == sorted(NAMES)
    assert found.notes == (
        "oxford_pets, pet: 6 images; the paper had 7375",
        "oxford_pets, pet: 3 breeds; the data set has 37",
    )
    assert (found.target, found.published) == ("pet", 7375)
    assert check(found, progress=False).good == found.cases


@pytest.mark.parametrize(
    ("border", "pet", "valid"), [("ignore", 20, 176), ("foreground", 36, 192), ("background", 20, 192)]
)
def test_borders(pets, border, pet, valid):
    found = find_images("oxford_pets", pets, border=border)
    mask = load_image(found.cases[0], found).label
    assert (mask.label.sum(), mask.valid.sum()) == (pet, valid)
    np.testing.assert_array_equal(mask.label[0, 3:], square()[3:])


@pytest.mark.parametrize(("values", "said"), [(trimap() + 1, "4"), (square(value=255), "0, 255")])
def test_a_value_that_no_trimap_has(pets, values, said):
    save(pets / "annotations" / "trimaps" / "pug_10.png", values)
    with pytest.raises(InputError, match=rf"pug_10\.png: mask values {said}; expected 1, 2, 3"):
        check(find_images("oxford_pets", pets), progress=False)


def test_a_trimap_without_a_pet_counts(pets):
    save(pets / "annotations" / "trimaps" / "pug_10.png", np.full((12, 16), 2, np.uint8))
    report = check(find_images("oxford_pets", pets), progress=False)
    assert (len(report.good), report.empty_labels) == (6, ["pug_10"])


@pytest.mark.parametrize("breed", ["abyssinian", "Abyssinian", "ABYSSINIAN"])
def test_breeds_in_any_case_of_letters(pets, breed):
    found = find_images("oxford_pets", pets, target=breed)
    assert [case.name for case in found.cases] == ["Abyssinian_1", "Abyssinian_2"]
    assert found.target == "abyssinian"


def test_species_and_breeds(pets):
    dogs = find_images("oxford_pets", pets, target="dog")
    assert [case.name for case in dogs.cases] == ["beagle_1", "beagle_2", "pug_10"]
    assert dogs.published == 4978
    assert "oxford_pets, dog: 3 images; the paper had 4978" in dogs.notes
    assert "oxford_pets, dog: 2 breeds; the data set has 25" in dogs.notes
    breeds = find_images("oxford_pets", pets, target="dog", task="classification")
    assert breeds.categories == ("beagle", "pug")
    assert [case.category for case in breeds.cases] == [0, 0, 1]
    listed = find_images("oxford_pets", pets, task="classification")
    assert listed.categories == ("abyssinian", "beagle", "pug")
    assert len(listed.cases) == 5
    assert len(find_images("oxford_pets", pets, target="pug").cases) == 2
    assert len(find_images("oxford_pets", pets, target="cat", task="images").cases) == 2
    with pytest.raises(InputError, match=r"target 'beagel': unknown; did you mean beagle\?"):
        find_images("oxford_pets", pets, target="beagel")


def test_official_parts(pets):
    split = few_of_all(find_images("oxford_pets", pets, target="cat").cases, official=True)
    assert [case.name for case in (*split.train, *split.test)] == ["Abyssinian_1", "Abyssinian_2"]


def test_odd_files_are_converted(pets):
    save(pets / "images" / "pug_10.jpg", noise(channels=1))
    save(pets / "images" / "pug_11.jpg", noise(), "CMYK")
    Image.fromarray(noise()).convert("P").save(pets / "images" / "beagle_1.jpg", "GIF")
    Image.fromarray(noise()).convert("RGBA").save(pets / "images" / "beagle_2.jpg", "PNG")
    report = check(find_images("oxford_pets", pets), progress=False)
    assert report.good == find_images("oxford_pets", pets).cases
    assert report.converted == {"beagle_1": "P", "beagle_2": "RGBA", "pug_10": "L", "pug_11": "CMYK"}


def test_listed_images_that_are_not_there_are_named_at_once(pets):
    for name in ("pug_10", "Abyssinian_2"):
        (pets / "images" / f"{name}.jpg").unlink()
        (pets / "annotations" / "trimaps" / f"{name}.png").unlink()
    with pytest.raises(InputError, match="2 images are listed and not there:") as error:
        find_images("oxford_pets", pets)
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == ["Abyssinian_2", "pug_10"]
    found = find_images("oxford_pets", pets, skip_bad=True)
    assert len(found.cases) == 4
    assert found.notes[0] == "left out 2 images that are listed and not there: Abyssinian_2; pug_10"
    option = "--skip_bad_cases True"
    with pytest.raises(InputError, match="2 images are listed and not there; --skip_bad_cases True goes on without"):
        find_images("oxford_pets", pets, skip_option=option)


def test_refused(pets):
    (pets / "annotations" / "list.txt").write_text("Abyssinian_1 1 7 1\n")
    with pytest.raises(
        InputError, match=r"list\.txt: the line 'Abyssinian_1 1 7 1'; expected a name, a class, a species"
    ):
        find_images("oxford_pets", pets)
    with pytest.raises(
        InputError,
        match=r"no images, no annotations/list\.txt, no annotations/trimaps; unpack images\.tar\.gz and annot",
    ):
        find_images("oxford_pets", pets / "annotations")
