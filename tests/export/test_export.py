"""What every target keeps: files that are compared with torch, all of them or none, and what is refused before."""

import json

import pytest
import torch

from segxfer3d.cli.export import TARGETS
from segxfer3d.errors import InputError
from segxfer3d.export import compare, export_model, targets
from segxfer3d.export import target as declaration
from segxfer3d.inference.mirroring import MirroredForward
from segxfer3d.inference.model import load_model
from tests.data.volumes import ct, write_nifti
from tests.export.models import PATCH, image_model, volume_model
from tests.inference.models import volume_model as pretrained_model

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

FILES = {
    "torchscript": ["metadata.json", "model.ts"],
    "onnx": ["metadata.json", "model.onnx"],
    "openvino": ["metadata.json", "model.bin", "model.xml"],
}
# OpenVINO compiles for seconds each time
FAST_FIRST = ["torchscript", "onnx", pytest.param("openvino", marks=pytest.mark.slow)]
PACKAGE = {"onnx": "onnxruntime", "openvino": "openvino"}


def needs(target):
    if target in PACKAGE:
        pytest.importorskip(PACKAGE[target])


def nothing_beside(path, *files):
    assert sorted(each.name for each in path.iterdir()) == sorted(files)


def test_the_command_names_every_target():
    assert sorted(targets()) == sorted(TARGETS)


@pytest.mark.parametrize("to", FILES)
def test_files_and_what_they_say(to, tmp_path):
    needs(to)
    path, said = volume_model(tmp_path / "m.pt", inference={"mirror_axes": [1]}), []
    compared = export_model(path, to, tmp_path / "out", say=said.append)
    assert compared.voxels == 0
    assert compared.probability < 1e-5
    assert compared.of == 24 * 24 * 16  # a window and a half along each side, 16 at least
    assert said[1] == "comparing with torch on a phantom of 24x24x16 voxels, no --case being given"
    nothing_beside(tmp_path / "out", *FILES[to])
    nothing_beside(tmp_path, "m.pt", "out")
    about = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert about["input"] == {"name": "image", "channels": 1, "sides_divisible_by": [2, 2, 2], "dtype": "float32"}
    assert about["output"]["channels"] == ["nodule"]
    assert (about["classes"], about["patch_size"]) == ({"1": "nodule"}, PATCH)
    assert about["preprocessing"]["window_low"] == -1000
    assert about["inference"]["mirror_axes"] == [1]
    (start,) = about["provenance"]["started_from"]
    for training in (about["provenance"], start, start["extra"]):
        assert (training["patients"], training["contents"]) == (2, 1)  # counted, not named
    assert about["checked"].startswith("Compared with torch on a phantom of 24x24x16 voxels")
    assert "Ann" not in json.dumps(about)


@pytest.mark.parametrize("to", FAST_FIRST)
def test_sides_and_batch_are_free(to, tmp_path):
    needs(to)
    path = volume_model(tmp_path / "m.pt")
    export_model(path, to, tmp_path / "out")
    forward, network = targets()[to].run(tmp_path / "out"), load_model(path, channels_last=False).network
    for shape in ((1, 1, 16, 16, 8), (2, 1, 20, 12, 6)):
        image = torch.rand(shape)
        with torch.no_grad():
            torch.testing.assert_close(forward(image), network(image), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("to", FAST_FIRST)
def test_images(to, tmp_path):
    needs(to)
    compared = export_model(image_model(tmp_path / "m.pt"), to, tmp_path / "out")
    assert (compared.voxels, compared.of) == (0, 48 * 48)


def test_a_case_of_the_user(tmp_path):
    scan = write_nifti(tmp_path / "Ann.nii.gz", ct((20, 18, 12)))
    compared = export_model(volume_model(tmp_path / "m.pt"), "torchscript", tmp_path / "out", case=scan)
    assert (compared.voxels, compared.of) == (0, 20 * 18 * 12)
    checked = json.loads((tmp_path / "out" / "metadata.json").read_text())["checked"]
    assert checked.startswith("Compared with torch on a case: 0 of 4320 voxels of the mask differ")


def test_onnx_has_metadata_and_external_data(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    path = volume_model(tmp_path / "m.pt")
    export_model(path, "onnx", tmp_path / "one")
    export_model(path, "onnx", tmp_path / "two", external_data=True)
    nothing_beside(tmp_path / "two", "metadata.json", "model.onnx", "model.onnx.data")
    model = onnx.load(tmp_path / "one" / "model.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(about["segxfer3d"])["patch_size"] == PATCH
    assert [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [
        "batch", 1, "x", "y", "z",
    ]  # fmt: skip
    bare = onnx.load(tmp_path / "two" / "model.onnx", load_external_data=False)
    assert bare.ByteSize() < model.ByteSize() / 2


def test_openvino_has_metadata_and_float32(tmp_path):
    pytest.importorskip("openvino")
    from segxfer3d.inference.engines.openvino import package

    path = volume_model(tmp_path / "m.pt")
    export_model(path, "openvino", tmp_path / "out")
    model = package().Core().read_model(str(tmp_path / "out" / "model.xml"))
    assert json.loads(model.get_rt_info(["segxfer3d"]).value)["patch_size"] == PATCH
    assert (model.input("image").partial_shape.to_string(), model.output("logits").get_names()) == (
        "[?,1,?,?,?]", {"logits"},
    )  # fmt: skip
    weights = sum(value.numel() for value in load_model(path).network.state_dict().values())
    assert (tmp_path / "out" / "model.bin").stat().st_size >= 4 * 0.9 * weights


@pytest.mark.parametrize("axes", [[], [2], [0, 1, 2]])
def test_a_whole_script_turns_windows_inside_and_has_a_background(axes, tmp_path):
    from segxfer3d.export.description import describe
    from segxfer3d.export.target import Work
    from segxfer3d.export.torchscript import scripted

    model = load_model(volume_model(tmp_path / "m.pt", inference={"mirror_axes": axes}))
    script = scripted(Work(model, describe(model), "out"), whole=True)
    image = torch.rand(1, 1, 16, 16, 8)
    with torch.no_grad():
        expected = MirroredForward(False, False, axes)(image, model.network)
        background, said = script(image).split(1, dim=1)
    torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-4)
    assert 0.4999999 < torch.sigmoid(background).min() <= torch.sigmoid(background).max() < 0.5


def test_what_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "PROBABILITY", -1.0)
    path = volume_model(tmp_path / "m.pt")
    with pytest.raises(InputError, match=r"--to torchscript: 0 of 9216 voxels .* nothing was written"):
        export_model(path, "torchscript", tmp_path / "out")
    nothing_beside(tmp_path, "m.pt")


REFUSED = {
    "no such model": ({"path": "none.pt"}, "checkpoint .*none.pt: no such file"),
    "several": ({"path": "."}, "a folder; expected the model.pt of one run, several models are not exported as one"),
    "no model": ({"path": "words.txt"}, "checkpoint .*words.txt: refused, the file is not plain tensors"),
    "batch statistics": ({"path": "statistics.pt"}, "cannot be exported: it normalizes by statistics of the batch"),
    "pretrained": ({"path": "pretrained.pt"}, "a pretrained model, it segments nothing yet"),
    "unknown target": ({"to": "tflite"}, "--to 'tflite': expected one of bundle, onnx, openvino, torchscript"),
    "folder is there": ({"folder": "full"}, "full: exists and is not an empty folder; expected a new one"),
    "a file is there": ({"folder": "words.txt"}, "words.txt: exists and is not an empty folder"),
    "no such case": ({"case": "none.nii.gz"}, "--case .*none.nii.gz: no such file"),
    "external data": ({"external_data": True}, "--external-data: of --to onnx, not of torchscript"),
    "license": ({"license": "words.txt"}, "--license: of --to bundle, not of torchscript"),
    "no such license": ({"license": "none.txt", "to": "bundle"}, "--license .*none.txt: no such file"),
    "images": ({"path": "images.pt", "to": "bundle"}, "a model of images, which MONAI's transforms do not resize"),
    "DICOM": ({"case": "words.txt", "to": "bundle"}, r"--case .*words.txt: a bundle reads NIfTI"),
    "a case that is none": ({"case": "words.txt"}, "words.txt"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("refused")
    volume_model(root / "m.pt")
    pretrained_model(root / "statistics.pt")
    pretrained_model(root / "pretrained.pt", classes={})
    image_model(root / "images.pt")
    (root / "words.txt").write_text("words")
    (root / "full").mkdir()
    (root / "full" / "file").write_text("")
    return root


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, place):
    asked, message = REFUSED[name]
    known = {"path": "m.pt", "to": "torchscript", "folder": "out", **asked}
    for key in ("path", "folder", "case", "license"):
        if key in known:
            known[key] = place / known[key]
    before = sorted(place.rglob("*"))
    with pytest.raises(InputError, match=message):
        export_model(known.pop("path"), known.pop("to"), known.pop("folder"), **known)
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(("to", "extra"), [("onnx", "export"), ("openvino", "openvino")])
def test_a_missing_extra_is_named(to, extra, tmp_path, monkeypatch):
    monkeypatch.setattr(declaration, "find_spec", lambda package: None)
    with pytest.raises(InputError, match=rf"--to {to}: .*{to}.* not installed \(pip install .*\[{extra}\]'\)"):
        export_model(tmp_path / "m.pt", to, tmp_path / "out")
