"""Nodule cubes from small files in the layouts of LUNA16 and of the LIDC-IDRI archive."""

import csv
import json

import nibabel
import numpy as np
import pytest

from segxfer3d.data.check import check
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.lidc import consensus, luna16
from segxfer3d.data.lidc.luna16 import cube_start, cut_cube, prepare_luna16
from segxfer3d.data.split import by_patient
from segxfer3d.errors import InputError
from tests.data.lidc_files import (
    box,
    disk,
    nodule,
    non_nodule,
    ring,
    roi,
    small_nodule,
    write_radiograph_reading,
    write_reading,
)
from tests.data.volumes import write_itk

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001."
SHAPE = (48, 44, 20)
SIZE = (16, 16, 8)
# LUNA16's axes run left, posterior, superior
AFFINE = np.array([[-0.7, 0, 0, 160.5], [0, -0.7, 0, 150.25], [0, 0, 1.25, -300], [0, 0, 0, 1.0]])


def height(k):
    return AFFINE[2, 3] + 1.25 * k


def volume(seed, shape=SHAPE):
    """Every voxel tells its place."""
    return (np.arange(np.prod(shape)).reshape(shape) % 3000 - 1024 + seed).astype(np.int16)


def slab(name, x, y, slices):
    return nodule(name, *[roi(height(k), box(x, y)) for k in slices])


def write_luna(folder):
    """Three patients in two subsets; "1" has two nodules of three and four readers, "3" none by enough readers."""
    luna, xml = folder / "luna", folder / "LIDC-XML-only"
    for number, subset in ((1, 0), (2, 7), (3, 7)):
        write_itk(luna / f"subset{subset}" / f"{UID}{number}.mhd", volume(number), AFFINE)
    (luna / "seg-lungs-LUNA16").mkdir()
    write_itk(luna / "seg-lungs-LUNA16" / f"{UID}1.mhd", volume(0), AFFINE)
    mask = disk(SHAPE[:2], (16, 20), 3)
    common = [nodule("a", *[roi(height(k), ring(mask)) for k in (6, 7)])] * 3 + [non_nodule("x", height(3), 9, 9)]
    others = [slab("b", (3 + i, 8 + i), (20, 22), [1, 2]) for i in range(4)]
    sessions = [one + other + small_nodule("c", height(4), 9, 9) for one, other in zip(common, others, strict=True)]
    write_reading(xml / "tcia-lidc-xml" / "157" / "158.xml", f"{UID}1", sessions)
    write_radiograph_reading(xml / "tcia-lidc-xml" / "157" / "159.xml", f"{UID}1")
    write_reading(xml / "tcia-lidc-xml" / "158" / "001.xml", f"{UID}2", [slab("0", (40, 45), (38, 41), [18])] * 3)
    write_reading(xml / "tcia-lidc-xml" / "158" / "002.xml", f"{UID}3", [slab("0", (20, 22), (20, 22), [9])] * 2)
    write_reading(xml / "tcia-lidc-xml" / "158" / "003.xml", f"{UID}not-in-LUNA16", [""])
    return luna, xml


def prepare(luna, xml, output, **options):
    return prepare_luna16(luna, xml, output_dir=output, **{"cube_size": SIZE, **options})


def read(path):
    image = nibabel.load(path)
    return np.asarray(image.dataobj), image.affine


def contents(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("luna16")
    luna, xml = write_luna(folder)
    result = prepare(luna, xml, folder / "out")
    assert (result.patients, result.nodules, result.bad) == (3, 3, {})
    return luna, xml, folder / "out"


def test_cubes_are_the_volume_around_the_nodule(made):
    output = made[2]
    expected = {"1_01": (0, 13, 0), "1_02": (8, 12, 2), "2_01": (32, 28, 12)}
    assert {path.name for path in (output / "imagesTr").iterdir()} == {f"{UID}{name}.nii.gz" for name in expected}
    for name, start in expected.items():
        image, affine = read(output / "imagesTr" / f"{UID}{name}.nii.gz")
        label, label_affine = read(output / "labelsTr" / f"{UID}{name}.nii.gz")
        window = tuple(slice(a, a + n) for a, n in zip(start, SIZE, strict=True))
        np.testing.assert_array_equal(image, volume(int(name[0]))[window])
        assert (image.dtype, label.dtype) == (np.int16, np.uint8)
        np.testing.assert_allclose(affine @ [0, 0, 0, 1], AFFINE @ [*start, 1], atol=1e-4)
        np.testing.assert_allclose(affine[:3, :3], AFFINE[:3, :3], atol=1e-6)
        np.testing.assert_array_equal(affine, label_affine)


def test_labels_are_the_consensus_of_all_nodules_in_the_cube(made):
    whole = np.zeros(SHAPE, np.uint8)
    whole[disk(SHAPE[:2], (16, 20), 3), 6:8] = 1
    whole[4:11, 20:23, 1:3] = 1  # x of the four: 3-8, 4-9, 5-10, 6-11; two of them or more: 4-10
    first, _ = read(made[2] / "labelsTr" / f"{UID}1_01.nii.gz")
    second, _ = read(made[2] / "labelsTr" / f"{UID}1_02.nii.gz")
    np.testing.assert_array_equal(first, whole[:16, 13:29, :8])
    np.testing.assert_array_equal(second, whole[8:24, 12:28, 2:10])
    assert first[13:, :, 6].any()  # the neighbor
    third, _ = read(made[2] / "labelsTr" / f"{UID}2_01.nii.gz")
    assert third.sum() == 6 * 4
    assert third[8:14, 10:14, 6].all()


def test_table_of_nodules(made):
    with (made[2] / "nodules.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    row = rows[f"{UID}1_02"]
    assert (row["patient"], row["fold"], row["readers"]) == (f"{UID}1", "0", "3")
    assert [row[f"center_{axis}"] for axis in "xyz"] == ["16", "20", "6"]  # 6.5 goes to the even one
    world = AFFINE @ [16, 20, 6.5, 1]
    np.testing.assert_allclose([float(row[f"center_{axis}_mm"]) for axis in "xyz"], world[:3], atol=1e-3)
    cubic_millimeters = 2 * disk(SHAPE[:2], (16, 20), 3).sum() * 0.7 * 0.7 * 1.25
    assert float(row["diameter_mm"]) == pytest.approx((6 * cubic_millimeters / np.pi) ** (1 / 3), abs=1e-3)
    assert rows[f"{UID}1_01"]["readers"] == "4"
    assert rows[f"{UID}2_01"]["fold"] == "7"
    assert list(rows) == [f"{UID}1_01", f"{UID}1_02", f"{UID}2_01"]


def test_the_bundles_can_read_it(made):
    found = find_cases(made[2])
    assert (found.layout, found.modality, found.classes) == ("decathlon", "CT", {1: "nodule"})
    assert [(case.patient, case.fold) for case in found.cases] == [(f"{UID}1", 0), (f"{UID}1", 0), (f"{UID}2", 7)]
    assert check(found, progress=False).bad == {}
    with pytest.raises(ValueError, match="validation"):  # folds 5 and 6 have nobody here
        by_patient(found.cases)


def test_done_patients_are_passed_over_and_unfinished_ones_done_again(made, tmp_path, monkeypatch):
    luna, xml, before = made
    output = tmp_path / "out"
    written = luna16._write_cube

    def killed(folder, row, *rest):
        if row["name"].endswith("1_02"):
            raise KeyboardInterrupt
        written(folder, row, *rest)

    monkeypatch.setattr(luna16, "_write_cube", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(luna, xml, output)
    monkeypatch.undo()
    assert not (output / "dataset.json").exists()
    assert list((output / "patients").iterdir()) == []
    assert prepare(luna, xml, output).bad == {}
    assert contents(output).keys() == contents(before).keys()
    assert (output / "nodules.csv").read_text(encoding="utf-8") == (before / "nodules.csv").read_text(encoding="utf-8")

    times = contents(output)
    monkeypatch.setattr(consensus, "annotation_region", None)  # nothing is to be computed again
    assert prepare(luna, xml, output).bad == {}
    same = [path for path, time in contents(output).items() if time == times[path]]
    assert {path.parts[0] for path in same} == {"imagesTr", "labelsTr", "patients"}
    assert len(same) == 3 + 3 + 3
    monkeypatch.undo()

    (output / "labelsTr" / f"{UID}2_01.nii.gz").unlink()
    assert prepare(luna, xml, output).bad == {}
    assert (output / "labelsTr" / f"{UID}2_01.nii.gz").is_file()


def test_bad_patients_are_given_back_and_the_good_ones_kept(tmp_path):
    luna, xml = write_luna(tmp_path)
    raw = luna / "subset7" / f"{UID}2.raw"
    whole = raw.read_bytes()
    raw.write_bytes(whole[:-100])
    for number, seed in ((4, 4), (5, 5), (6, 6)):
        write_itk(luna / "subset9" / f"{UID}{number}.mhd", volume(seed), AFFINE)
    write_reading(xml / "5.xml", f"{UID}5", [nodule("far", roi(999, box((3, 5), (3, 5))))] * 3)
    write_reading(xml / "6.xml", f"{UID}6", ["", ""])
    write_reading(xml / "6-again.xml", f"{UID}6", [""])
    (xml / "cut.xml").write_text("<LidcReadMessage>")
    output = tmp_path / "out"
    result = prepare(luna, xml, output)
    assert list(result.bad) == [f"{UID}{number}" for number in (2, 4, 5, 6)]
    truncated, unread, outside, several = result.bad.values()
    assert truncated.startswith(f"{luna}")
    assert "truncated" in truncated
    assert unread.startswith(f"no annotations of this series in {xml}; files that cannot be read: {xml / 'cut.xml'}")
    assert outside.startswith(f"{xml / '5.xml'}: nodule far has an outline at z = 999 mm")
    assert several == f"different annotation files of one series: {xml / '6-again.xml'}; {xml / '6.xml'}"
    assert result.text() == f"{output}: 2 nodules of 2 patients; could not be used: 4"
    assert {case.patient for case in find_cases(output).cases} == {f"{UID}1"}

    raw.write_bytes(whole)
    assert prepare(luna, xml, output).text().endswith("3 nodules of 3 patients; could not be used: 3")
    assert {case.patient for case in find_cases(output).cases} == {f"{UID}1", f"{UID}2"}


def test_fewer_readers_are_enough_where_asked_for(tmp_path):
    luna, xml = write_luna(tmp_path)
    assert prepare(luna, xml, tmp_path / "out", min_readers=2).bad == {}
    assert f"{UID}3" in {case.patient for case in find_cases(tmp_path / "out").cases}


def test_errors_come_before_the_work(made, tmp_path):
    luna, xml, output = made
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    before = contents(output)
    for arguments, options, message in [
        ((tmp_path / "none", xml, tmp_path / "o"), {}, "luna_dir .*none: no such folder"),
        ((tmp_path / "empty", xml, tmp_path / "o"), {}, "expected subset0 to subset9"),
        ((luna, tmp_path / "none", tmp_path / "o"), {}, "xml_dir .*none: no such folder"),
        ((luna, tmp_path / "empty", tmp_path / "o"), {}, "no LIDC-IDRI annotations"),
        ((luna, xml, tmp_path / "full"), {}, "expected a new or empty folder"),
        ((luna, xml, output), {"min_readers": 4}, "was begun with"),
        ((luna, xml, tmp_path / "none-found"), {"min_readers": 5}, "no nodules"),
        ((luna, xml, tmp_path / "o"), {"min_readers": 0}, "min_readers: expected at least 1, got 0"),
        ((luna, xml, tmp_path / "o"), {"cube_size": (8, 0, 8)}, "cube_size: expected three whole numbers"),
    ]:
        with pytest.raises(InputError, match=message):
            prepare(*arguments, **options)
    assert contents(output) == before
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("center", "size", "expected"),
    [((20, 5), (8, 8), [16, 1]), ((1, 9), (8, 8), [0, 2]), ((39, 9), (8, 10), [32, 0]), ((20, 5), (8, 13), [16, -1])],
)
def test_cubes_stay_inside(center, size, expected):
    assert cube_start(center, size, (40, 10)) == expected


def test_short_volumes_are_padded_with_air():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    cube = cut_cube(array, (-1, 0, -2), (5, 3, 7))
    assert cube.dtype == np.int16
    np.testing.assert_array_equal(cube[1:3, :, 2:6], array)
    assert (cube == -1000).sum() == 5 * 3 * 7 - 24
    floats = cut_cube(np.array([[[1.6, -4e4]]]), (0, 0, 0), (1, 1, 2))
    assert floats.ravel().tolist() == [2, -32768]


def test_options_are_kept(made):
    assert json.loads((made[2] / "options.json").read_text(encoding="utf-8")) == {
        "cube_size": list(SIZE),
        "min_readers": 3,
    }
