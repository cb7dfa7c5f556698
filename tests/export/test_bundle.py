"""The MONAI bundle: masks voxel by voxel, MONAI's own checks, and what cannot be one."""

import json

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ckpt_export, verify_metadata, verify_net_in_out

from segxfer3d.errors import InputError
from segxfer3d.export import export_model
from segxfer3d.inference.model import load_model
from tests.data.volumes import ct
from tests.export.models import PATCH, volume_model
from tests.jobs.test_monai_tools import SCHEMA

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # MONAI has many
]

WINDOW = {"intensity": "window", "window_low": -1000.0, "window_high": 1000.0}
FOREGROUND = {"intensity": "foreground", "window_low": -100.0, "window_high": 300.0, "mean": 60.0, "sd": 80.0}
SEVERAL = {2: "liver", 7: "tumor"}
MODELS = {
    "a window": {},
    "turned around": {"inference": {"mirror_axes": [0, 2]}},
    "percentiles, resampled": {"preprocessing": {"intensity": "percentile", "spacing": [1.5, 1.2, 2.0]}},
    "foreground, resampled": {"preprocessing": {**FOREGROUND, "spacing": [0.8, 0.8, 0.9]}},
    "z-score": {"preprocessing": {"intensity": "zscore", "nonzero": False}},
    "z-score of what is not 0": {"preprocessing": {"intensity": "zscore", "nonzero": True}},
    "several classes": {"classes": SEVERAL},
    "classes in a row": {"classes": {1: "liver", 2: "tumor"}},
    "softmax": {"classes": SEVERAL, "inference": {"activation": "softmax"}},
    "regions": {"classes": SEVERAL, "inference": {"activation": "sigmoid", "regions": [[7, [2, 7]], [2, [2]]]}},
    "a large value": {"classes": {300: "nodule"}},
    "two channels": {
        "channels": 2,
        "preprocessing": {**WINDOW, "channels": 2, "channel_names": ["A", "B"], "further": [WINDOW]},
    },
    "two channels, foreground": {
        "channels": 2,
        "preprocessing": {
            **FOREGROUND, "channels": 2, "channel_names": [], "further": [{**FOREGROUND, "mean": 20.0, "sd": 120.0}],
        },
    },
}  # fmt: skip


def scan(path, channels=1):
    """A volume whose axes are permuted and turned, with voxels of different sides."""
    volumes = [ct((22, 19, 26), seed) for seed in range(channels)]
    affine = np.array([[0, 0, -1.2, 5], [-1.0, 0, 0, 3], [0, 1.9, 0, -40], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(volumes[0] if channels == 1 else np.stack(volumes, -1), affine), path)
    return path


@pytest.mark.parametrize("name", MODELS)
def test_a_bundle_gives_the_same_mask(name, tmp_path):
    path = volume_model(tmp_path / "m.pt", **MODELS[name])
    case = scan(tmp_path / "scan.nii.gz", MODELS[name].get("channels", 1))
    expected = load_model(path).predict(case).mask
    counts = np.unique(expected, return_counts=True)[1]
    assert len(counts) > 1
    assert counts.min() > 5
    compared = export_model(path, "bundle", tmp_path / "bundle", case=case)
    assert (compared.voxels, compared.of) == (0, 22 * 19 * 26)
    assert compared.foreground == np.count_nonzero(expected)
    assert compared.probability < 1e-4


def test_the_largest_component(tmp_path):
    pytest.importorskip("skimage")
    path = volume_model(tmp_path / "m.pt", inference={"largest_component": [1]})
    assert export_model(path, "bundle", tmp_path / "b", case=scan(tmp_path / "s.nii.gz")).voxels == 0


def test_without_what_finds_components_it_is_refused(tmp_path, monkeypatch):
    path = volume_model(tmp_path / "m.pt", inference={"largest_component": [1]})
    monkeypatch.setattr("segxfer3d.export.bundle.find_spec", lambda package: None)
    with pytest.raises(InputError, match="scikit-image is not installed, by which MONAI finds the largest component"):
        export_model(path, "bundle", tmp_path / "b")
    assert [file.name for file in tmp_path.iterdir()] == ["m.pt"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    root = tmp_path_factory.mktemp("bundle")
    (root / "license.txt").write_text("Free for all")
    path = volume_model(root / "m.pt", classes=SEVERAL, inference={"mirror_axes": [0]})
    export_model(path, "bundle", root / "liver_ct", license=root / "license.txt", authors="A. Person")
    return root / "liver_ct"


def test_its_files(bundle):
    assert sorted(str(file.relative_to(bundle)) for file in bundle.rglob("*.*")) == [
        "configs/inference.json", "configs/logging.conf", "configs/metadata.json", "docs/README.md", "models/model.pt",
        "models/model.ts",
    ]  # fmt: skip
    assert (bundle / "LICENSE").read_text() == "Free for all"
    text = (bundle / "docs" / "README.md").read_text()
    assert text.startswith("# liver_ct\n\nSegments liver, tumor in volumes.")
    assert "Compared with torch on a phantom of 24x24x16 voxels, no --case being given: 0 of 9216 voxels" in text


def test_its_metadata(bundle):
    about = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert (about["name"], about["authors"], about["task"]) == ("liver_ct", "A. Person", "Segmentation of liver, tumor")
    data = about["network_data_format"]
    assert data["inputs"]["image"]["spatial_shape"] == PATCH
    assert data["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "liver", "2": "tumor"}
    assert data["post_processed_outputs"]["mask"]["channel_def"] == {"0": "background", "2": "liver", "7": "tumor"}
    assert about["segxfer3d"]["provenance"]["patients"] == 2


def test_its_script_has_both_configs_inside(bundle):
    """Where MONAI Deploy looks for them."""
    inside = {"metadata.json": "", "inference.json": ""}
    script = torch.jit.load(str(bundle / "models" / "model.ts"), _extra_files=inside)
    for name, content in inside.items():
        assert json.loads(content) == json.loads((bundle / "configs" / name).read_text())
    weights = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert list(weights) == list(script.state_dict())
    assert all(torch.equal(value, script.state_dict()[name]) for name, value in weights.items())


def test_monais_own_checks(bundle, tmp_path):
    pytest.importorskip("jsonschema")
    place = {"config_file": str(bundle / "configs/inference.json"), "meta_file": str(bundle / "configs/metadata.json")}
    verify_metadata(meta_file=place["meta_file"], filepath=str(SCHEMA))
    verify_net_in_out(net_id="network_def", device="cpu", bundle_root=str(bundle), **place)
    target = tmp_path / "again.ts"  # as the model zoo's checks do
    ckpt_export(
        net_id="network_def", filepath=str(target), ckpt_file=str(bundle / "models/model.pt"), bundle_root=str(bundle),
        **place,
    )  # fmt: skip
    assert target.stat().st_size > 1000


def test_channels_of_different_rules_are_refused(tmp_path):
    further = [{"intensity": "percentile", "window_low": -1000.0, "window_high": 1000.0}]
    mixed = {**WINDOW, "channels": 2, "channel_names": [], "further": further}
    path = volume_model(tmp_path / "m.pt", channels=2, preprocessing=mixed)
    with pytest.raises(InputError, match="--to bundle: channels that are scaled by different rules"):
        export_model(path, "bundle", tmp_path / "b")
    assert [file.name for file in tmp_path.iterdir()] == ["m.pt"]
