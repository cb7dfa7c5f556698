"""MONAI's own tools on the bundles: exports, checks of the metadata and of the network, the properties it asks for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow, ckpt_export, onnx_export, verify_metadata, verify_net_in_out

from segxfer3d.errors import InputError
from segxfer3d.inference.model import load_model
from segxfer3d.run.bundle import run_bundle
from tests.inference.models import image_model, volume_model
from tests.jobs.test_bad_volumes import pytestmark
from tests.jobs.volume_sets import BUNDLES

pytestmark = [
    *pytestmark,
    pytest.mark.filterwarnings("ignore::UserWarning"),  # MONAI and the exporters have many
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

SCHEMA = Path(__file__).parents[1] / "meta_schema.json"
METADATA = {3: BUNDLES / "metadata.json", 2: BUNDLES / "metadata_2d.json"}
SIZES = {3: (1, 1, 32, 32, 16), 2: (1, 3, 64, 48)}


@pytest.fixture(params=[3, 2], ids=["volumes", "images"])
def model(request, tmp_path):
    """Dimensions, and the path of a model of them."""
    path = tmp_path / "model.pt"
    return request.param, str((volume_model if request.param == 3 else image_model)(path))


def common(dims, path):
    return {
        "config_file": str(BUNDLES / "infer.json"), "meta_file": str(METADATA[dims]), "checkpoint": path,
        "device": "cpu", "progress": False,
    }  # fmt: skip


def same_as_the_model(path, dims, outputs):
    """Whether ``outputs`` computes what the model does."""
    torch.manual_seed(1)
    image = torch.rand(SIZES[dims])
    with torch.no_grad():
        expected = load_model(path, device="cpu").network(image)
    torch.testing.assert_close(outputs(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.slow
def test_ckpt_export(model, tmp_path, trace):
    dims, path = model
    target = tmp_path / "model.ts"
    ckpt_export(
        net_id="network_def", filepath=str(target), ckpt_file=path, key_in_ckpt="state_dict", use_trace=trace,
        **common(dims, path),
    )  # fmt: skip
    same_as_the_model(path, dims, torch.jit.load(target))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "model.ts"]


@pytest.mark.slow
def test_onnx_export(model, tmp_path):
    pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    dims, path = model
    target = tmp_path / "model.onnx"
    onnx_export(
        net_id="network_def", filepath=str(target), ckpt_file=path, key_in_ckpt="state_dict",
        input_shape=list(SIZES[dims]), **common(dims, path),
    )  # fmt: skip
    session = reference.ReferenceEvaluator(str(target))
    name = session.input_names[0]
    same_as_the_model(path, dims, lambda image: torch.from_numpy(session.run(None, {name: image.numpy()})[0]))


@pytest.mark.parametrize("dims", [3, 2])
def test_verify_metadata(dims, tmp_path):
    pytest.importorskip("jsonschema")
    verify_metadata(meta_file=str(METADATA[dims]), filepath=str(SCHEMA))
    content = json.loads(METADATA[dims].read_text(encoding="utf-8"))
    del content["task"]
    lacking = tmp_path / "metadata.json"
    lacking.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="'task' is a required property"):
        verify_metadata(meta_file=str(lacking), filepath=str(SCHEMA))


def test_metadata_name_the_versions_of_the_constraints():
    lines = (BUNDLES.parent / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name.lower(): version for name, _, version in (line.partition("==") for line in lines) if version}
    for path in METADATA.values():
        content = json.loads(path.read_text(encoding="utf-8"))
        named = {**content["required_packages_version"], "torch": content["pytorch_version"]}
        named |= {package: content[f"{package}_version"] for package in ("monai", "numpy")}
        assert named.pop("segxfer3d") == content["version"]
        assert {name: pinned[name.lower().replace("_", "-")] for name in named} == named


def test_verify_net_in_out_of_a_model(model):
    dims, path = model
    verify_net_in_out(net_id="network_def", **common(dims, path))
    with pytest.raises((RuntimeError, ValueError)):
        verify_net_in_out(net_id="network_def", **common(dims, path) | {"meta_file": str(METADATA[5 - dims])})


def test_verify_net_in_out_of_several_classes(tmp_path):
    path = str(volume_model(tmp_path / "model.pt", {1: "a", 2: "b"}, {"activation": "softmax"}))
    with pytest.raises(ValueError, match="output channel number `3` doesn't match: `1`"):
        verify_net_in_out(net_id="network_def", **common(3, path))
    numbers = {"_meta_::network_data_format::outputs::pred::num_channels": 3}
    verify_net_in_out(net_id="network_def", **common(3, path), **numbers)


@pytest.mark.parametrize(("name", "dims"), [("genesis_finetune", 3), ("unet2d_finetune", 2)])
@pytest.mark.slow
def test_verify_net_in_out_of_a_bundle_looks_at_no_data(name, dims, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle, metadata = str(BUNDLES / f"{name}.json"), str(METADATA[dims])
    channels = {"network_def::in_channels": 1 if dims == 3 else 3, "network_def::out_channels": 1}
    # what follows from the data, or from a plan made of them
    channels |= {"network_def::width": 4, "network_def::norm": "", "network_def::deep_supervision": False}
    channels |= {f"network_def::{levels}": [] for levels in ("strides", "kernels", "features", "stem")}
    verify_net_in_out(net_id="network_def", config_file=bundle, meta_file=metadata, device="cpu", **channels)
    assert list(tmp_path.iterdir()) == []


def test_infer_has_the_properties_that_monai_asks_for(model, tmp_path, phantoms, shapes):
    dims, path = model
    place = next((phantoms / "imagesTr").iterdir()) if dims == 3 else next((shapes / "images").rglob("*.png"))
    workflow = ConfigWorkflow(
        str(BUNDLES / "infer.json"), meta_file=str(METADATA[dims]), workflow_type="infer", logging_file=False,
        checkpoint=path, input=str(place), output_dir=str(tmp_path / "masks"), device="cpu", progress=False,
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    assert len(workflow.dataset) == 1
    workflow.run()
    workflow.finalize()
    assert list((tmp_path / "masks").glob("*_mask.*"))


def test_what_a_property_holds_is_no_knob(model, tmp_path):
    with pytest.raises(InputError, match="--dataset: no such knob in this bundle"):
        run_bundle(BUNDLES / "infer.json", checkpoint=model[1], output_dir=str(tmp_path / "o"), dataset="voc")


@pytest.mark.slow
def test_infer_imports_no_corruption(tmp_path, phantoms):
    volume = next((phantoms / "imagesTr").iterdir())
    code = f"""
import sys
from segxfer3d.run.bundle import run_bundle
run_bundle("infer", checkpoint={str(volume_model(tmp_path / "m.pt"))!r}, input={str(volume)!r}, device="cpu",
           output_dir={str(tmp_path / "masks")!r}, progress=False)
heavy = ("segxfer3d.augment", "segxfer3d.pretexts", "segxfer3d.training", "numba")
print([module for module in sys.modules if module.startswith(heavy)])
"""
    words = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=BUNDLES.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "masks" / "components.csv").is_file()
