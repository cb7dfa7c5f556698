import nibabel
import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.io.volumes import read_volume
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.synthetic import phantoms
from segxfer3d.data.synthetic.phantoms import write_phantoms


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_phantoms(tmp_path_factory.mktemp("data"), patients=5)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout(root):
    found = find_cases(root)
    assert (found.layout, found.modality, found.classes) == ("decathlon", "CT", {1: "nodule"})
    assert [case.patient[-1] for case in found.cases] == list("0012344")
    report = check(found, progress=False)
    assert report.empty_labels == []
    assert set(report.shapes.values()) == {phantoms.SHAPE}
    assert nibabel.aff2axcodes(read_volume(found.cases[0].image).affine) == ("L", "P", "S")


def test_same_bytes_for_the_same_seed(root, tmp_path):
    assert content(write_phantoms(tmp_path, patients=5)) == content(root)
    other = content(write_phantoms(tmp_path, patients=5, seed=1))
    assert not set(content(root).values()) & set(other.values())


def test_patients_do_not_depend_on_their_number(root, tmp_path):
    few = content(write_phantoms(tmp_path, patients=2))
    assert all(content(root)[name] == data for name, data in few.items() if name != "dataset.json")


def test_written_phantoms_are_used_again(tmp_path, monkeypatch):
    first = write_phantoms(tmp_path / "new", patients=1)
    assert first == tmp_path / "new" / "phantoms-v1-1-0"
    monkeypatch.setattr(phantoms, "_write", None)
    assert write_phantoms(tmp_path / "new", patients=1) == first
    assert list((tmp_path / "new").iterdir()) == [first]


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(nibabel, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_phantoms(tmp_path, patients=1)
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_be_faster(tmp_path, monkeypatch):
    write = phantoms._write

    def write_while_another_does(folder, patients, seed):
        write(folder, patients, seed)
        write(folder.parent / "phantoms-v1-1-0", patients, seed)

    (tmp_path / "phantoms-v1-1-0").mkdir()
    monkeypatch.setattr(phantoms, "_write", write_while_another_does)
    assert len(find_cases(write_phantoms(tmp_path, patients=1)).cases) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["phantoms-v1-1-0"]


def test_hu_are_those_of_a_chest(root):
    for case in find_cases(root).cases:
        hu = read_volume(case.image).array
        nodules = read_volume(case.label).array > 0
        middle = hu[:, :, hu.shape[2] // 2]
        assert hu.dtype == np.int16
        assert np.median(hu[0]) == pytest.approx(-1000, abs=40)  # air around the patient
        assert 0.1 < np.mean((middle > -950) & (middle < -700)) < 0.5  # lung
        assert 0.15 < np.mean((middle > -50) & (middle < 130)) < 0.6  # soft tissue
        assert -100 < np.median(hu[nodules]) < 80
        assert 20 < nodules.sum() < 1200


def test_no_threshold_finds_the_nodules(root):
    hu = np.stack([read_volume(case.image).array for case in find_cases(root).cases])
    nodules = np.stack([read_volume(case.label).array for case in find_cases(root).cases]) > 0
    edges = np.arange(-1000, 301, 50)
    scores = []
    for low in edges:
        for high in edges[edges > low]:
            found = (hu >= low) & (hu < high)
            scores.append(2 * (found & nodules).sum() / (found.sum() + nodules.sum()))
    assert max(scores) < 0.1


def test_scans_of_a_patient_differ_in_place_and_noise_only(root):
    first, second = (read_volume(case.label).array for case in find_cases(root).cases[:2])
    boxes = [np.argwhere(label) for label in (first, second)]
    assert len(boxes[0]) == len(boxes[1])
    shift = boxes[1] - boxes[0]
    assert (shift == shift[0]).all()
    assert np.abs(shift[0]).max() <= phantoms.MARGIN
    images = [read_volume(case.image).array for case in find_cases(root).cases[:2]]
    assert np.abs(images[0].astype(int) - images[1]).mean() > 10


def test_synthetic_ct():
    image = phantoms.synthetic_ct((100, 90, 50), seed=1)
    assert image.shape == (100, 90, 50)
    assert image.dtype == np.int16
    np.testing.assert_array_equal(image, phantoms.synthetic_ct((100, 90, 50), seed=1))
    assert not np.array_equal(image, phantoms.synthetic_ct((100, 90, 50), seed=2))
    assert np.median(image[0]) == pytest.approx(-1000, abs=40)
