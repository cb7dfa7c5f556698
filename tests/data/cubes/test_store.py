"""The cube store: what goes in comes out; nothing half-written or damaged is read."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from segxfer3d.augment.cubes import CropRule
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.cubes.store import CUBES, INDEX, CubeStore, is_cube_store, stored_scales
from segxfer3d.data.cubes.write import write_store
from segxfer3d.data.dataset import SeededDataset
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from tests.data.volumes import write_nifti

AFFINE = np.diag([0.7, 0.8, 2.0, 1])
SIZE = (8, 8, 6)
RULE = CropRule(border=(2, 2, 2), tissue=0.425)


def lung(seed, shape=(24, 22, 20)):
    """Mostly air; HU beyond the window on both sides."""
    rng = np.random.default_rng(seed)
    volume = rng.integers(-1100, -800, shape)
    volume[rng.random(shape) < 0.05] = 1500
    return volume.astype(np.int16)


def cases_in(folder, seeds=range(3)):
    return [
        Case(f"case{seed}", write_nifti(folder / f"case{seed}.nii.gz", lung(seed), AFFINE), None, f"p{seed}", fold=seed)
        for seed in seeds
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    cases = cases_in(folder)
    report = write_store(
        folder / "store", cases, preprocessing=VolumePreprocessing(), size=SIZE, rule=RULE, cubes_per_volume=5, seed=1
    )
    return folder / "store", cases, report


@pytest.fixture
def copied(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "store")


def test_cubes_equal_the_volumes_that_training_would_read(made):
    folder, cases, report = made
    store = CubeStore(folder)
    assert (len(store), report.count, store.size) == (15, 15, SIZE)
    items = iter(store)
    for case, stored in zip(cases, store.cases, strict=True):
        volume = VolumePreprocessing().image_transform()({"image": str(case.image)})["image"].as_tensor()
        for x, y, z in stored.starts:
            item = next(items)["image"]
            assert torch.equal(item, volume[:, x : x + 8, y : y + 8, z : z + 6])
            assert item.dtype == torch.float32
            assert item.is_contiguous()
    assert float(store[0]["image"].min()) == 0
    assert float(store[0]["image"].max()) == 1


def test_the_index_says_where_cubes_come_from(made):
    store = CubeStore(made[0])
    assert [(c.case, c.patient, c.fold) for c in store.cases] == [(f"case{i}", f"p{i}", i) for i in range(3)]
    assert store.cases[0].spacing == pytest.approx((0.7, 0.8, 2.0))
    assert store.preprocessing == VolumePreprocessing().as_dict()
    assert store.patients == ["p0", "p1", "p2"]
    assert store.rows({"case0", "case2"}) == [*range(5), *range(10, 15)]
    assert json.loads((made[0] / INDEX).read_text(encoding="utf-8"))["rule"]["max_tissue"] == 0.15
    assert is_cube_store(made[0])
    assert not is_cube_store(made[0].parent)


def test_the_file_is_a_plain_numpy_array_of_hu(made):
    cubes = np.load(made[0] / CUBES)
    assert cubes.shape == (15, *SIZE)
    assert (cubes.min(), cubes.max()) == (-1000, 1000)


def test_a_case_has_the_same_cubes_whatever_the_others(made, tmp_path):
    write_store(
        tmp_path / "one",
        made[1][2:],
        preprocessing=VolumePreprocessing(),
        size=SIZE,
        rule=RULE,
        cubes_per_volume=5,
        seed=1,
    )
    assert CubeStore(tmp_path / "one").cases[0] == CubeStore(made[0]).cases[2]
    write_store(
        tmp_path / "two",
        made[1][2:],
        preprocessing=VolumePreprocessing(),
        size=SIZE,
        rule=RULE,
        cubes_per_volume=5,
        seed=2,
    )
    assert CubeStore(tmp_path / "two").cases[0].starts != CubeStore(made[0]).cases[2].starts


def test_percentile_intensities_come_back_within_a_step(made, tmp_path):
    preprocessing = VolumePreprocessing(scales=(Scale("percentile"),))
    write_store(tmp_path / "store", made[1][:1], preprocessing=preprocessing, size=SIZE, cubes_per_volume=4)
    store = CubeStore(tmp_path / "store")
    volume = preprocessing.image_transform()({"image": str(made[1][0].image)})["image"].as_tensor()
    for item, (x, y, z) in zip(store, store.cases[0].starts, strict=True):
        crop = volume[:, x : x + 8, y : y + 8, z : z + 6]
        assert float((item["image"] - crop).abs().max()) <= 0.51 / 32767


def test_bad_short_and_full_volumes_are_left_out_and_listed(tmp_path):
    cases = cases_in(tmp_path, [0])
    (tmp_path / "broken.nii.gz").write_bytes((tmp_path / "case0.nii.gz").read_bytes()[:200])
    short = write_nifti(tmp_path / "short.nii.gz", lung(1, (24, 11, 20)), AFFINE)
    full = write_nifti(tmp_path / "full.nii.gz", np.full((24, 22, 20), 40, np.int16), AFFINE)
    hole = lung(2).astype(np.float32)
    hole[3, 3, 3] = np.nan
    hole = write_nifti(tmp_path / "hole.nii.gz", hole, AFFINE)
    others = [("broken", tmp_path / "broken.nii.gz"), ("short", short), ("full", full), ("hole", hole)]
    others.append(("missing", tmp_path / "missing.nii.gz"))
    cases += [Case(name, path) for name, path in others]
    report = write_store(
        tmp_path / "store", cases, preprocessing=VolumePreprocessing(), size=SIZE, rule=RULE, cubes_per_volume=5
    )
    assert [case.case for case in report.cases] == ["case0"]
    assert sorted(report.bad) == ["broken", "hole", "missing"]
    assert "too short" in report.empty["short"]
    assert "little tissue" in report.empty["full"]
    store = CubeStore(tmp_path / "store")
    assert store.bad == {"broken", "hole", "missing"}
    assert [(case.name, case.patient, case.fold, case.label) for case in store.listed] == [
        (case.name, case.patient, case.fold, None) for case in cases
    ]
    index = json.loads((tmp_path / "store" / INDEX).read_text(encoding="utf-8"))
    assert (index["bad"], index["empty"]) == (report.bad, report.empty)


def test_a_store_without_a_cube_is_not_written(made, tmp_path):
    with pytest.raises(InputError, match=r"not a single cube from 3 volumes; case0: .*too short"):
        write_store(tmp_path / "store", made[1], preprocessing=VolumePreprocessing(), size=SIZE, rule=CropRule())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_store_does_not_appear(made, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("segxfer3d.data.cubes.write._why_empty", interrupt)
    too_short = CropRule(border=(9, 9, 9))
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "store", made[1], preprocessing=VolumePreprocessing(), size=SIZE, rule=too_short)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(made):
    with pytest.raises(InputError, match="exists already"):
        write_store(made[0], made[1], preprocessing=VolumePreprocessing(), size=SIZE, rule=RULE, cubes_per_volume=5)
    assert len(CubeStore(made[0])) == 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 8, 8)}, "at least 1"),
        ({"cubes_per_volume": 0}, "at least 1"),
        ({"seed": -1}, "at least 0"),
        ({"preprocessing": VolumePreprocessing(scales=(Scale(window_high=1e5),))}, "whole HU"),
    ],
)
def test_bad_arguments(made, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        write_store(tmp_path / "store", made[1], **{"preprocessing": VolumePreprocessing(), **arguments})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / INDEX).unlink(), "no cube store"),
        (lambda f: (f / CUBES).unlink(), "missing or damaged"),
        (lambda f: (f / INDEX).write_text((f / INDEX).read_text(encoding="utf-8")[:200]), "damaged"),
        (lambda f: (f / INDEX).write_text("{}"), "damaged"),
        (
            lambda f: (f / INDEX).write_text((f / INDEX).read_text(encoding="utf-8").replace("-cubes", "")),
            "not a cube store",
        ),
        (
            lambda f: (f / INDEX).write_text(
                (f / INDEX).read_text(encoding="utf-8").replace('"count": 15', '"count": 14')
            ),
            "counts 14",
        ),
        (lambda f: (f / CUBES).write_bytes((f / CUBES).read_bytes()[:-2]), "damaged"),
        (lambda f: (f / CUBES).write_bytes((f / CUBES).read_bytes() + b"12"), "damaged"),
        (lambda f: (f / CUBES).write_bytes(b""), "damaged"),
        (lambda f: np.save(f / CUBES, np.zeros((15, 8, 8, 6), np.float32)), "expected int16"),
        (lambda f: np.save(f / CUBES, np.array([{}])), "damaged"),
    ],
)
def test_damaged_stores_are_refused(copied, damage, message):
    damage(copied)
    with pytest.raises(InputError, match=message):
        CubeStore(copied)


def test_a_damaged_cube_is_refused(copied):
    content = bytearray((copied / CUBES).read_bytes())
    content[-5] ^= 4
    (copied / CUBES).write_bytes(content)
    store = CubeStore(copied)
    assert store[13]["image"].shape == (1, *SIZE)
    with pytest.raises(InputError, match="cube 14 is damaged"):
        store[14]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # two workers, also on one processor
def test_workers_and_copies_read_the_same(made):
    store = CubeStore(made[0])
    assert len(pickle.dumps(store)) < 10_000
    assert torch.equal(pickle.loads(pickle.dumps(store))[3]["image"], store[3]["image"])
    dataset = SeededDataset(store, None, seed=0)
    batches = [
        [batch["image"] for batch in DataLoader(dataset, batch_size=4, num_workers=workers)] for workers in (0, 2)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*batches, strict=True))


def test_cubes_of_several_channels_are_cut_at_one_place(tmp_path):
    files = [write_nifti(tmp_path / f"c_{name}.nii.gz", lung(seed), AFFINE) for seed, name in enumerate(("ct", "mr"))]
    preprocessing = VolumePreprocessing.for_modality("CT", "MR", window_low=[-1100, 0], channel_names=["CT", "T1"])
    cases = [Case("c", files[0], further=(files[1],)), Case("lacks", files[0], further=(tmp_path / "lost.nii.gz",))]
    report = write_store(tmp_path / "store", cases, preprocessing=preprocessing, size=SIZE, cubes_per_volume=4)
    assert list(report.bad) == ["lacks"]
    assert "lost.nii.gz: no such file" in report.bad["lacks"]
    store = CubeStore(tmp_path / "store")
    whole = preprocessing.hold(cases[:1], CaseSet(tmp_path, "folder", 3, tuple(cases)), labels=False, progress=False)
    for item, (x, y, z) in zip(store, store.cases[0].starts, strict=True):
        expected = whole[0]["image"][:, x : x + 8, y : y + 8, z : z + 6]
        assert item["image"].shape == (2, *SIZE)
        torch.testing.assert_close(item["image"][0], expected[0], atol=0.51 / 2100, rtol=0)
        torch.testing.assert_close(item["image"][1], expected[1], atol=0.51 / 32767, rtol=0)
    three = VolumePreprocessing(scales=(*preprocessing.scales, preprocessing.scales[1]))
    with pytest.raises(InputError, match=r"not a single cube .* 2 channels; expected 3"):
        write_store(tmp_path / "three", cases[:1], preprocessing=three, size=SIZE)
    alone = VolumePreprocessing(scales=preprocessing.scales[:1])
    write_store(tmp_path / "one", [Case("c", files[0])], preprocessing=alone, size=SIZE)
    versions = [json.loads((tmp_path / name / INDEX).read_text())["version"] for name in ("one", "store")]
    assert versions == [1, 2]


def test_only_intensities_of_0_to_1_are_kept():
    with pytest.raises(InputError, match="intensity zscore: a cube store keeps what lies in"):
        stored_scales(VolumePreprocessing(scales=(Scale("zscore"),)))
