"""Cases in a store: the bits that are held in memory and read from files, made once, whole or not at all."""

import dataclasses
import multiprocessing
import pickle
import time

import nibabel
import numpy as np
import pytest
import torch

from segxfer3d import files
from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.check import check
from segxfer3d.data.preprocessing.class_masks import stacked_masks
from segxfer3d.data.preprocessing.loaded_volumes import KeptVolumes
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.store.cases import StoredCases
from segxfer3d.data.store.place import VolumeStore
from segxfer3d.errors import InputError

# axes flipped and a little oblique, as scanners leave them
AFFINE = np.array([[-1.3, 0, 0.05, 3], [0, 2, 0, 1], [0.04, 0, -2.2, 5], [0, 0, 0, 1.0]])
PREPROCESSINGS = [
    VolumePreprocessing(),
    VolumePreprocessing(scales=(Scale("percentile"),)),
    VolumePreprocessing(scales=(Scale("zscore"),)),
    VolumePreprocessing(scales=(Scale("foreground", -900.0, 400.0, mean=3.0, sd=200.0),)),
    VolumePreprocessing((1.0, 1.5, 2.0)),
    VolumePreprocessing((2.0, 2.0, 3.0), (Scale("percentile"),)),
]
fork = multiprocessing.get_context("fork")


def write_cases(root, count, classes=4):
    rng = np.random.default_rng(count)
    cases = []
    for number in range(count):
        shape = (20, 22 + number, 14)
        for name, array in (
            (f"i{number}", rng.integers(-1000, 1000, shape).astype(np.int16)),
            (f"l{number}", rng.integers(0, classes, shape).astype(np.uint8)),
        ):
            nibabel.save(nibabel.Nifti1Image(array, AFFINE), root / f"{name}.nii.gz")
        cases.append(Case(f"c{number}", root / f"i{number}.nii.gz", root / f"l{number}.nii.gz"))
    return cases


@pytest.fixture(scope="module")
def case_set(tmp_path_factory):
    """Three cases of two classes and a value that is ignored."""
    root = tmp_path_factory.mktemp("cases")
    cases = write_cases(root, 3)
    return CaseSet(root, "folder", 3, tuple(cases), {1: "a", 2: "b"}, label_rule=LabelRule(ignore=(3,)))


def stored(folder, case_set, preprocessing=PREPROCESSINGS[0]):
    report = check(case_set, progress=False, identify=True)
    return StoredCases(VolumeStore(folder), case_set, preprocessing, report.identities)


def make(cases, of):
    return cases.make(of, labels=True, kept=KeptVolumes(0), progress=False, needed=1e5)


def assert_held_alike(memory, item):
    assert memory.keys() == item.keys()
    for key, value in memory.items():
        on_disk = item[key] if key == "image" else item[key][:, :]
        assert on_disk.dtype == value.dtype
        assert torch.equal(on_disk, value)


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_values_are_those_in_memory_and_those_of_files(case_set, preprocessing, tmp_path):
    cases = stored(tmp_path / "s", case_set, preprocessing)
    assert make(cases, case_set.cases).number == 3
    memory = preprocessing.hold(case_set.cases, case_set, labels=True, progress=False)
    for expected, item in zip(memory, cases.items(case_set.cases, labels=True), strict=True):
        assert_held_alike(expected, item)
    read, whole = preprocessing.read(case_set.cases[1], case_set, label=True), cases.whole(case_set.cases[1])
    assert read.keys() == whole.keys()
    assert (whole["case"], whole["patient"]) == ("c1", "c1")
    assert torch.equal(torch.as_tensor(whole["image"]), torch.as_tensor(read["image"]))
    assert torch.equal(whole["image"].affine, read["image"].affine)
    assert whole["image"].meta["filename_or_obj"] == read["image"].meta["filename_or_obj"]
    labels = whole["label"], read["label"]
    assert torch.equal(*map(stacked_masks, labels))
    for made, expected in zip(*((label.valid, label.affine) for label in labels), strict=True):
        np.testing.assert_array_equal(made, expected)
    probabilities = torch.rand(2, *read["image"].shape[1:])
    back = [preprocessing.restore(probabilities, item) for item in (read, whole)]
    assert tuple(back[0].shape[1:]) == read["label"].shape[1:]
    assert torch.equal(*back)


def test_without_ignored_values_nothing_is_masked(tmp_path):
    cases = write_cases(tmp_path, 1, classes=3)
    case_set = CaseSet(tmp_path, "folder", 3, tuple(cases), {1: "a", 2: "b"})
    on_disk = stored(tmp_path / "s", case_set)
    make(on_disk, cases)
    (item,) = on_disk.items(cases, labels=True)
    assert [*item] == ["image", "label"]
    (image_only,) = on_disk.items(cases, labels=False)
    assert [*image_only] == ["image"]


def test_regions_overlap(tmp_path):
    cases = write_cases(tmp_path, 1, classes=5)
    case_set = CaseSet(
        tmp_path, "folder", 3, tuple(cases), {1: "all", 2: "core"}, label_rule=LabelRule(ignore=(4,)),
        regions=((1, (1, 2, 3)), (2, (2, 3))),
    )  # fmt: skip
    on_disk = stored(tmp_path / "s", case_set)
    make(on_disk, cases)
    (expected,) = PREPROCESSINGS[0].hold(cases, case_set, labels=True, progress=False)
    assert (expected["label"][0] * expected["label"][1]).any()
    assert_held_alike(expected, on_disk.items(cases, labels=True)[0])
    whole, read = (on_disk.whole(cases[0]), PREPROCESSINGS[0].read(cases[0], case_set, label=True))
    np.testing.assert_array_equal(whole["label"].valid, read["label"].valid)
    assert torch.equal(stacked_masks(whole["label"]), stacked_masks(read["label"]))


@pytest.mark.parametrize("spacing", [None, (1.5, 2.0, 2.5)])
def test_several_channels_lie_side_by_side(spacing, tmp_path):
    first, second = write_cases(tmp_path, 2, classes=3)
    rng = np.random.default_rng(9)
    other = nibabel.Nifti1Image(rng.integers(0, 500, (20, 22, 14)).astype(np.int16), AFFINE)
    nibabel.save(other, second.image)
    case = dataclasses.replace(first, further=(second.image,))
    names = ("CT", "PET")
    case_set = CaseSet(tmp_path, "folder", 3, (case,), {1: "a", 2: "b"}, channel_names=names)
    preprocessing = VolumePreprocessing.for_modality("CT", "MR", spacing=spacing, channel_names=names)
    on_disk = stored(tmp_path / "s", case_set, preprocessing)
    make(on_disk, [case])
    (expected,) = preprocessing.hold([case], case_set, labels=True, progress=False)
    assert len(expected["image"]) == 2
    assert_held_alike(expected, on_disk.items([case], labels=True)[0])
    assert torch.equal(on_disk.whole(case)["image"], preprocessing.read(case, case_set, label=True)["image"])


def test_items_go_to_another_process(case_set, tmp_path):
    cases = stored(tmp_path / "s", case_set)
    make(cases, case_set.cases)
    items = cases.items(case_set.cases, labels=True)
    again = pickle.loads(pickle.dumps(items))
    assert len(again) == 3
    assert torch.equal(again[-1]["image"], items[2]["image"])
    assert torch.equal(again[1:][0]["label"][:, 3], items[1]["label"][:, 3])


def test_images_are_shared_by_jobs_with_other_labels(case_set, tmp_path):
    cases = stored(tmp_path / "s", case_set)
    cases.make(case_set.cases, labels=False, kept=KeptVolumes(0), progress=False, needed=1e5)
    assert not (tmp_path / "s" / "labels").exists()
    images = sorted((tmp_path / "s" / "images").iterdir())
    written = [(path / "image.npy").stat().st_mtime_ns for path in images]
    assert make(cases, case_set.cases).number == 3
    assert sorted((tmp_path / "s" / "images").iterdir()) == images
    assert [(path / "image.npy").stat().st_mtime_ns for path in images] == written
    assert len([*(tmp_path / "s" / "labels").iterdir()]) == 3


def test_what_is_looked_at_is_not_written_to(case_set, tmp_path):
    cases = stored(tmp_path / "s", case_set)
    make(cases, case_set.cases)
    items = cases.items(case_set.cases, labels=True)
    items[0]["image"].zero_()
    assert items[0]["image"].any()
    assert make(cases, case_set.cases).again == {}


def test_an_entry_under_another_name_is_not_taken_for_it(case_set, tmp_path):
    cases = stored(tmp_path / "s", case_set)
    make(cases, case_set.cases)
    first, second = sorted((tmp_path / "s" / "images").iterdir())[:2]
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    made = make(cases, case_set.cases)
    assert list(made.again.values()) == ["made by another preprocessing"] * 2
    memory = PREPROCESSINGS[0].hold(case_set.cases, case_set, labels=True, progress=False)
    for expected, item in zip(memory, cases.items(case_set.cases, labels=True), strict=True):
        assert_held_alike(expected, item)


def test_a_damaged_case_is_not_read_whole(case_set, tmp_path):
    make(stored(tmp_path / "s", case_set), case_set.cases)
    path = next((tmp_path / "s" / "labels").glob("*/values.npy"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    cases = stored(tmp_path / "s", case_set)
    assert sorted(cases.whole(case) is None for case in case_set.cases) == [False, False, True]


def test_a_store_that_is_cleared_while_it_is_used_is_named(case_set, tmp_path):
    cases = stored(tmp_path / "s", case_set)
    make(cases, case_set.cases)
    items = cases.items(case_set.cases, labels=True)
    next((tmp_path / "s" / "images").glob("*/image.npy")).unlink()
    with pytest.raises(InputError, match=r"image\.npy: was changed or removed while it was in use"):
        [item["image"] for item in items]


def _make_and_count(folder, case_set, begin, log):
    """Make all cases, noting each that was read."""
    read = VolumePreprocessing.read

    def slow(self, case, *args, **options):
        time.sleep(0.1)
        files.append_line(log, case.name)
        return read(self, case, *args, **options)

    VolumePreprocessing.read = slow
    cases = stored(folder, case_set)
    begin.wait()
    make(cases, case_set.cases)
    assert all(cases.whole(case) is not None for case in case_set.cases)


def test_two_programs_make_one_store_together(case_set, tmp_path):
    begin = fork.Barrier(2)
    arguments = (tmp_path / "s", case_set, begin, tmp_path / "log")
    programs = [fork.Process(target=_make_and_count, args=arguments) for _ in range(2)]
    for program in programs:
        program.start()
    for program in programs:
        program.join(60)
    assert [program.exitcode for program in programs] == [0, 0]
    assert sorted((tmp_path / "log").read_text().split()) == ["c0", "c1", "c2"]  # each by one of them


def test_a_disk_that_fills_up_leaves_nothing_of_the_case(case_set, tmp_path, monkeypatch):
    save = np.save
    written = []

    def full(file, array, **options):
        written.append(file)
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        save(file, array, **options)

    cases = stored(tmp_path / "s", case_set)
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(InputError, match=r"could not be saved \(\[Errno 28\] No space left on device\)"):
        make(cases, case_set.cases)
    assert len([*(tmp_path / "s" / "images").iterdir()]) == 1
    assert not [*(tmp_path / "s" / "labels").iterdir()]


def test_without_room_nothing_is_begun(case_set, tmp_path):
    cases = stored(tmp_path / "s", case_set)
    with pytest.raises(InputError, match=r"store .*/s: 1000\.00 GiB are needed, .* are free; --store DIR .* --clear"):
        cases.make(case_set.cases, labels=True, kept=KeptVolumes(0), progress=False, needed=1000 * 2**30)
    assert not (tmp_path / "s" / "images").exists()


def test_identity_is_of_voxels_and_place_not_of_files(case_set, tmp_path):
    case = case_set.cases[0]
    image = nibabel.load(case.image)
    moved = tmp_path / "elsewhere.nii"
    nibabel.save(image, moved)
    voxels = np.asarray(image.dataobj).copy()
    voxels[3, 4, 5] += 1
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), tmp_path / "voxel.nii.gz")
    shifted = image.affine.copy()
    shifted[0, 3] += 1
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), shifted), tmp_path / "shifted.nii.gz")
    paths = [case.image, moved, tmp_path / "voxel.nii.gz", tmp_path / "shifted.nii.gz"]
    cases = tuple(Case(f"n{number}", path) for number, path in enumerate(paths))
    report = check(CaseSet(tmp_path, "folder", 3, cases), progress=False, identify=True)
    same, other, voxel, place = (report.identities[case.name][0] for case in cases)
    assert same == other
    assert len({same, voxel, place}) == 3
    assert check(CaseSet(tmp_path, "folder", 3, cases), progress=False).identities == {}
