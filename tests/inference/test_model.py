"""A model as a value: what it predicts, and what it refuses; as a notebook would use it, without a run."""

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from segxfer3d.data.case import Case
from segxfer3d.data.check import check
from segxfer3d.data.io.images import resize_with_padding
from segxfer3d.errors import InputError
from segxfer3d.inference.components import largest_component
from segxfer3d.inference.model import load_model
from segxfer3d.inference.predictions import write_prediction
from segxfer3d.inference.windows import WindowInferer
from segxfer3d.weights import checkpoint
from tests.data.image_files import noise, save
from tests.inference.models import image_model, volume_model

AFFINE = np.array([[-1.5, 0, 0, 3], [0, -2.0, 0, 4], [0, 0, 3.0, 5], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {"volumes": volume_model(folder / "volumes.pt"), "images": image_model(folder / "images.pt")}


@pytest.fixture
def scan(tmp_path):
    array = np.random.default_rng(0).integers(-1000, 1000, (20, 18, 12)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, AFFINE), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def test_a_notebook_segments_a_scan(models, scan):
    model = load_model(models["volumes"], device="cpu")
    prediction = model.predict(scan)
    assert prediction.name == "scan"
    assert prediction.mask.shape == (20, 18, 12)
    assert prediction.probabilities.shape == (1, 20, 18, 12)
    assert type(prediction.probabilities) is Tensor
    assert 0 <= prediction.probabilities.min() < prediction.probabilities.max() <= 1
    np.testing.assert_allclose(prediction.affine, AFFINE)
    np.testing.assert_array_equal(prediction.mask, (prediction.probabilities[0] >= 0.5).numpy())
    assert sum(row["voxels"] for row in prediction.components()) == (prediction.mask == 1).sum()
    # the same by hand: to RAS, to [0, 1], through windows, back
    volume = np.asarray(nibabel.load(scan).dataobj)[::-1, ::-1]
    unit = torch.from_numpy((volume.astype(np.float32) + 1000) / 2000)[None, None]
    with torch.no_grad():
        expected = torch.sigmoid(model.inferer(unit, model.network))[0, 0].flip((0, 1))
    torch.testing.assert_close(prediction.probabilities[0], expected)


@pytest.mark.parametrize("kind", ["volumes", "images"])
def test_outputs_that_are_not_finite_name_the_case(models, scan, kind):
    model = load_model(models[kind])
    with torch.no_grad():
        for parameter in model.network.head.parameters():
            parameter.fill_(torch.nan)
    file = scan if kind == "volumes" else save(scan.parent / "scan.png", noise((40, 32)))
    with pytest.raises(InputError, match=r"^case scan: probabilities: values from nan to nan"):
        model.predict(file)


def test_windows_overlap_as_asked_for(models):
    for overlap in (0.0, 0.5):
        assert load_model(models["volumes"], overlap=overlap).inferer.overlap == overlap


def test_windows_and_mirroring_as_asked_for(models, tmp_path):
    even = load_model(models["volumes"], spread="even", reuse=True).inferer
    assert (even.overlap, even.spread, even.reuse, even.window) == (0.25, "even", True, None)
    assert load_model(models["volumes"], window=(24, 16, 32)).inferer.window == (24, 16, 32)
    assert not load_model(models["volumes"]).inferer.reuse
    mirrored = volume_model(tmp_path / "m.pt", {1: "a"}, {"mirror_axes": [1]})
    for path, mirroring, axes in (
        (models["volumes"], None, ()),
        (models["volumes"], True, (0, 1, 2)),
        (mirrored, None, (1,)),
        (mirrored, True, (1,)),
        (mirrored, False, ()),
    ):
        model = load_model(path, mirroring=mirroring)
        assert model.inferer.forward.axes == model.inference.mirror_axes == axes
    assert load_model(models["volumes"], spread="auto").inferer.spread == "steps"
    many = volume_model(tmp_path / "many.pt", {number: f"c{number}" for number in range(1, 18)})
    assert load_model(many, spread="auto").inferer.spread == "even"
    images = load_model(models["images"], mirroring=True)
    assert images.inferer.axes == (0, 1)


def test_a_notebook_segments_a_picture(models, tmp_path):
    path = save(tmp_path / "a.png", noise((40, 64), seed=1))
    model = load_model(models["images"])
    prediction = model.predict(str(path))
    assert prediction.name == "a"
    assert prediction.affine is None
    assert prediction.mask.shape == (40, 64)
    padded = resize_with_padding(np.asarray(Image.open(path)).transpose(2, 0, 1), 32)
    assert padded.content == (6, 0, 20, 32)
    with torch.no_grad():
        logits = model.network(torch.from_numpy(padded.array).float()[None] / 255)
    picture = torch.sigmoid(logits)[:, :, 6:26]
    expected = torch.nn.functional.interpolate(picture, size=(40, 64), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(prediction.probabilities, expected, atol=1e-5, rtol=0)
    assert {"pixels", "center_x_pixels"} <= prediction.components()[0].keys()


def test_a_model_mirrors_and_keeps_the_largest_component_as_its_file_says(scan, tmp_path):
    classes = {2: "nodule", 5: "cyst"}
    entry = {"activation": "softmax", "mirror_axes": [0, 1], "largest_component": [2]}
    model = load_model(volume_model(tmp_path / "m.pt", classes, entry))
    assert model.inference.as_dict() == entry
    prediction = model.predict(scan)
    whole = {row["class"]: 0 for row in prediction.components()}
    for row in prediction.components():
        whole[row["class"]] += 1
    assert whole["nodule"] == 1
    # the same by hand
    volume = np.asarray(nibabel.load(scan).dataobj)[::-1, ::-1]
    unit = torch.from_numpy((volume.astype(np.float32) + 1000) / 2000)[None, None]
    windows = WindowInferer(model.patch_size, amp=False, mirror_axes=(0, 1))
    with torch.no_grad():
        shares = windows(unit, model.network).softmax(1)[0].flip((1, 2))
    torch.testing.assert_close(prediction.probabilities, shares[1:])
    index = np.array([0, 2, 5])[shares.argmax(0).numpy()]
    np.testing.assert_array_equal(prediction.mask == 5, index == 5)
    np.testing.assert_array_equal(prediction.mask == 2, largest_component(index == 2))


def test_a_picture_of_classes_that_exclude_each_other(tmp_path):
    entry = {"activation": "softmax", "mirror_axes": [1], "largest_component": []}
    model = load_model(image_model(tmp_path / "m.pt", {1: "cat", 2: "dog"}, entry))
    prediction = model.predict(save(tmp_path / "a.png", noise((32, 32), seed=1)))
    image = torch.from_numpy(np.asarray(Image.open(tmp_path / "a.png")).transpose(2, 0, 1).copy())[None].float() / 255
    with torch.no_grad():
        logits = (model.network(image) + model.network(image.flip(3)).flip(3)) / 2
    torch.testing.assert_close(prediction.probabilities, logits.softmax(1)[0, 1:], atol=1e-5, rtol=0)
    np.testing.assert_array_equal(prediction.mask, logits[0].argmax(0).numpy())


def test_a_file_that_says_what_its_network_cannot_is_refused(tmp_path):
    path = volume_model(tmp_path / "m.pt", {1: "nodule"})
    content = checkpoint.read_file(path)
    for entry, message in (
        ({"activation": "softmax"}, r"m\.pt: activation softmax of the background and 1 classes needs 2 outputs"),
        ({"activation": "relu"}, r"m\.pt: its entry inference is .*'relu'"),
        ({"mirror_axes": [3]}, r"mirror_axes: expected some of 0, 1, 2"),
        ({"largest_component": [2]}, r"largest_component names the class 2; it knows \[1\]"),
    ):
        checkpoint.write({**content, "inference": entry}, path)
        with pytest.raises(InputError, match=message):
            load_model(path)


def test_images_of_any_size_pass_in_batches(models, tmp_path):
    sizes = {"a": (40, 64), "b": (32, 32), "c": (7, 90)}
    for seed, (name, size) in enumerate(sizes.items()):
        save(tmp_path / f"{name}.png", noise(size, seed=seed))
    model = load_model(models["images"], batch_size=2)
    seen = []
    model.network.register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    report = check(model.inputs(tmp_path), progress=False)
    predictions = list(model.predict_each(report.good))
    assert {prediction.name: prediction.mask.shape for prediction in predictions} == sizes
    assert seen == [2, 1]
    alone = model.predict(report.good[1])
    torch.testing.assert_close(alone.probabilities, predictions[1].probabilities, atol=1e-5, rtol=0)


def test_files_of_a_volume(models, scan, tmp_path):
    prediction = load_model(models["volumes"]).predict(scan)
    path = write_prediction(tmp_path / "new" / "masks", prediction, probabilities=True)
    assert path == tmp_path / "new" / "masks" / "scan_mask.nii.gz"
    mask = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), prediction.mask)
    np.testing.assert_allclose(mask.affine, AFFINE)
    probability = nibabel.load(path.parent / "scan_nodule_probability.nii.gz")
    np.testing.assert_array_equal(np.asarray(probability.dataobj), prediction.probabilities[0].numpy())
    np.testing.assert_allclose(probability.affine, AFFINE)


def test_files_of_a_picture_of_several_classes(tmp_path):
    model = load_model(image_model(tmp_path / "model.pt", {2: "cat", 5: "dog"}))
    prediction = model.predict(save(tmp_path / "a.png", noise((40, 64), seed=1)))
    assert set(np.unique(prediction.mask)) <= {0, 2, 5}
    path = write_prediction(tmp_path / "masks", prediction, probabilities=True)
    image = Image.open(path)
    assert (path.name, image.mode, image.size) == ("a_mask.png", "P", (64, 40))
    np.testing.assert_array_equal(np.asarray(image), prediction.mask)
    for name, channel in zip(("cat", "dog"), prediction.probabilities.numpy(), strict=True):
        written = np.asarray(Image.open(path.parent / f"a_{name}_probability.png"))
        np.testing.assert_allclose(written / 65535, channel, atol=1e-5)
    one = load_model(image_model(tmp_path / "one.pt")).predict(tmp_path / "a.png")
    assert set(np.unique(np.asarray(Image.open(write_prediction(tmp_path, one))))) <= {0, 255}


def test_the_wrong_kind_is_refused_with_a_sentence_that_says_which(models, scan, tmp_path):
    picture = save(tmp_path / "a.png", noise((8, 8)))
    images, volumes = (load_model(models[kind]) for kind in ("images", "volumes"))
    for predict in (images.predict, images.inputs, lambda path: images.predict(Case("scan", path))):
        with pytest.raises(InputError, match=r"images\.pt: a model of 2D images; .*scan\.nii\.gz is a volume; expec"):
            predict(scan)
    with pytest.raises(InputError, match="a folder, expected an image"):
        images.predict(tmp_path)
    for predict in (volumes.predict, volumes.inputs):
        with pytest.raises(InputError, match=r"volumes\.pt: a model of 3D volumes; .*a\.png is an image; expected"):
            predict(picture)


def test_a_pretrained_model_or_none_is_refused(models, tmp_path):
    with pytest.raises(InputError, match=r"a pretrained model, it segments nothing yet"):
        load_model(volume_model(tmp_path / "pretrained.pt", {}))
    with pytest.raises(InputError, match=r"checkpoint: expected model\.pt of a fine-tuning run"):
        load_model("")
    with pytest.raises(InputError, match="no such file"):
        load_model(tmp_path / "missing.pt")
    with pytest.raises(InputError, match=r"missing\.nii: no such"):
        load_model(models["volumes"]).predict(tmp_path / "missing.nii")


def test_what_a_model_says_of_itself(models):
    model = load_model(models["volumes"], overlap=0.5, batch_size=1)
    assert (model.dims, model.device.type, model.patch_size, model.classes) == (3, "cpu", (16, 16, 16), {1: "nodule"})
    assert model.path == str(models["volumes"])
    assert not model.network.training
    assert not model.transfer.left
    assert model.preprocessing.unit == "mm3"
    assert len(repr(model)) < 500  # no tensors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overlap": 2.0}, r"overlap: expected a number from 0 to 0\.99, got 2\.0"),
        (
            {"window": (20, 16, 16)},
            r"window 20 x 16 x 16: does not divide by the strides of the network, 8 x 8 x 8; next",
        ),
        ({"spread": "odd"}, "spread: expected one of steps, even, auto, got 'odd'"),
        ({"window": (0, 16, 16)}, "window: expected three whole numbers up to 2048"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1"),
        ({"device": "tpuu"}, "device: expected cpu, cuda or cuda:<n>, got 'tpuu'"),
    ],
)
def test_what_cannot_be_is_refused_as_a_bundle_does(models, arguments, message):
    with pytest.raises(InputError, match=message):
        load_model(models["volumes"], **arguments)
