"""A cube store of a data set on disk."""

import shutil

import pytest

from segxfer3d.data.cubes.make import make_cube_store
from segxfer3d.data.cubes.store import CubeStore
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError

from .test_store import cases_in


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    cases_in(tmp_path / "data", range(2))
    (tmp_path / "data" / "broken.nii.gz").write_bytes(b"no volume")
    return tmp_path / "data"


def test_a_store_of_a_folder(data, tmp_path):
    made = make_cube_store(
        data, tmp_path / "store", cube_size=(8, 8, 6), cubes_per_volume=3, intensity="window", crop_rule="uniform"
    )
    assert made.text().endswith(
        "6 cubes of 2 volumes; left out: 1 that could not be read, 0 too short or too full of tissue"
    )
    assert list(made.left_out) == ["broken"]
    store = CubeStore(tmp_path / "store")
    assert (len(store), store.data, store.bad) == (6, "data", {"broken"})
    assert [(case.name, case.label) for case in store.listed] == [("broken", None), ("case0", None), ("case1", None)]
    with pytest.raises(InputError, match="exists already"):
        make_cube_store(data, tmp_path / "store", cube_size=(8, 8, 6), crop_rule="uniform")


def test_channels_have_a_rule_each(tmp_path):
    (tmp_path / "data").mkdir()
    for case in cases_in(tmp_path / "data", range(2)):
        for name in ("CT", "PET"):
            shutil.copy(case.image, case.image.with_name(f"{case.name}_{name}.nii.gz"))
        case.image.unlink()
    knobs = {"cube_size": (8, 8, 6), "cubes_per_volume": 2, "channel_pattern": "_(CT|PET)$", "patient_pattern": "."}
    make_cube_store(tmp_path / "data", tmp_path / "store", intensity=("window", "percentile"), window_low=-900, **knobs)
    preprocessing = VolumePreprocessing.from_dict(CubeStore(tmp_path / "store").preprocessing)
    assert preprocessing.channel_names == ("CT", "PET")
    assert [scale.intensity for scale in preprocessing.scales] == ["window", "percentile"]
    for bad, message in (
        ({"intensity": ("window",)}, "intensity: 1 values for 2 channels"),
        ({"crop_rule": "genesis", "modality": "CT"}, "crop_rule genesis is for one channel, there are 2"),
    ):
        with pytest.raises(InputError, match=message):
            make_cube_store(tmp_path / "data", tmp_path / "no", **knobs, **bad)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "too short"),  # the published borders are wider than these volumes
        ({"intensity": "percentile", "crop_rule": "genesis"}, "it needs intensity window"),
        ({"crop_rule": "any"}, "crop_rule: expected auto, genesis, uniform, got 'any'"),
        ({"intensity": "hu"}, "intensity: expected window, percentile, foreground or zscore, got 'hu'"),
        ({"intensity": "percentile", "window_low": -900}, "window_low and .*: intensity percentile has no window"),
        ({"dataset": "voc"}, "dataset voc: a data set of images; cubes are cut from volumes"),
    ],
)
def test_refused(data, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        make_cube_store(data, tmp_path / "store", cube_size=(8, 8, 6), **options)
    assert not (tmp_path / "store").exists()
