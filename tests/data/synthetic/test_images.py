import numpy as np
import pytest
from PIL import Image

from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.images import HeldImages
from segxfer3d.data.synthetic import images as generated_images
from segxfer3d.data.synthetic.images import CLASSES, draw_image, write_images
from tests.data.image_files import find_images


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data"), 60, size=64)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout(root):
    masked = find_images("folder", root)
    assert len(masked.cases) == 60
    assert check(masked, progress=False).empty_labels == []
    labels = HeldImages(masked, 64, progress=False)
    shares = [labels[i]["label"].float().mean().item() for i in range(60)]
    assert min(shares) > 0.03
    assert max(shares) < 0.4
    classes = find_images("folder", root, task="classification")
    assert classes.categories == CLASSES
    assert check(classes, progress=False).good == classes.cases
    assert [sum(case.category == i for case in classes.cases) for i in range(5)] == [12] * 5


def test_same_bytes_for_the_same_seed_and_however_many(root, tmp_path):
    first = content(root)
    assert content(write_images(tmp_path, 60, size=64)) == first
    few = content(write_images(tmp_path, 7, size=64))
    assert len(few) == 15
    assert few.items() <= first.items()
    other = content(write_images(tmp_path, 60, seed=1, size=64))
    assert [name for name in other if name.endswith("png") and other[name] == first[name]] == []


def test_written_images_are_used_again_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    first = write_images(tmp_path, 3, size=16, channels=1)
    assert first == tmp_path / "shapes-v1-3-0-16x1"
    assert find_images("folder", first).channels == 1

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(generated_images, "_write", fail)
    assert write_images(tmp_path, 3, size=16, channels=1) == first
    with pytest.raises(OSError, match="disk full"):
        write_images(tmp_path, 4)
    assert list(tmp_path.iterdir()) == [first]


def test_another_process_may_be_faster(tmp_path, monkeypatch):
    write = generated_images._write

    def write_while_another_does(folder, *arguments):
        write(folder, *arguments)
        write(folder.parent / "shapes-v1-2-0-16x3", *arguments)

    monkeypatch.setattr(generated_images, "_write", write_while_another_does)
    assert len(find_images("folder", write_images(tmp_path, 2, size=16)).cases) == 2


def test_no_threshold_finds_the_shapes(root):
    names = sorted(path.relative_to(root / "images") for path in (root / "images").rglob("*.png"))
    pictures = np.stack([np.asarray(Image.open(root / "images" / name)) for name in names]).astype(int)
    masks = np.stack([np.asarray(Image.open(root / "masks" / name)) for name in names]) > 0
    scores = []
    for values in [*np.moveaxis(pictures, -1, 0), pictures.mean(-1), pictures[..., 0] - pictures[..., 2]]:
        edges = np.arange(-225, 301, 25)
        inside = np.histogram(values[masks], edges)[0].cumsum()
        all_of_them = np.histogram(values, edges)[0].cumsum()
        for low in range(len(inside)):
            found, hit = all_of_them[low:] - all_of_them[low], inside[low:] - inside[low]
            scores.append((2 * hit / (found + masks.sum())).max())
    assert max(scores) < 0.4  # everything: 0.26


@pytest.mark.parametrize("kind", CLASSES)
def test_shapes(kind):
    picture, mask = draw_image(np.random.default_rng(3), kind, 96)
    assert picture.shape == (96, 96, 3)
    assert set(np.unique(mask)) == {0, 1}
    rows, columns = np.nonzero(mask)
    filled = mask.sum() / (np.ptp(rows) + 1) / (np.ptp(columns) + 1)
    assert 0.2 < filled < 0.85
    assert draw_image(np.random.default_rng(3), kind, 96, 1)[0].shape == (96, 96)
