"""Several models as one: the mean of what each says alone, and which are refused."""

import json

import numpy as np
import pytest
import torch

from segxfer3d.data.case import Case
from segxfer3d.errors import InputError
from segxfer3d.inference.ensemble import as_logits, load_ensemble, load_models, members_of
from segxfer3d.inference.model import load_model
from segxfer3d.losses.activation import foreground_probabilities
from segxfer3d.weights import checkpoint
from tests.data.image_files import save
from tests.data.volumes import ct, write_nifti
from tests.inference.models import image_model, volume_model

SOFTMAX = {"activation": "softmax"}
TWO = {1: "front", 2: "back"}


def changed(path, seed=0, **entries):
    """The same model with other weights, and other entries."""
    content = checkpoint.read_model(path)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in content["state_dict"].items():
        if tensor.is_floating_point() and name.endswith("weight"):
            tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
    entries = {name: content[name] | value if isinstance(value, dict) else value for name, value in entries.items()}
    content |= entries
    names = ("state_dict", "network", "preprocessing", "classes", "provenance", "inference")
    checkpoint.write_model(path, **{name: content[name] for name in names})
    return path


def three(folder, make=volume_model, **how):
    paths = []
    for number in range(3):
        (folder / f"fold{number}").mkdir(parents=True)
        paths.append(changed(make(folder / f"fold{number}" / "model.pt", **how), number))
    return paths


@pytest.mark.parametrize("how", [{}, {"classes": TWO, "inference": SOFTMAX}])
def test_the_mean_of_what_each_says(tmp_path, how):
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((18, 20, 17)))
    paths = three(tmp_path, **how)
    alone = [load_model(path).predict(scan).probabilities for path in paths]
    assert float((alone[0] - alone[1]).abs().max()) > 0.01  # the models do differ
    together = load_ensemble(paths).predict(scan)
    expected = torch.stack(alone).mean(0)
    assert torch.allclose(together.probabilities, expected, atol=2e-6)
    if how:
        whole = torch.cat([1 - expected.sum(0, keepdim=True), expected])
        assert np.mean(together.mask == whole.argmax(0).numpy()) > 0.999
    else:
        assert np.array_equal(together.mask, (together.probabilities[0] >= 0.5).numpy())


def test_images_too_and_the_order_of_cases_changes_nothing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 32, 3), np.uint8)
    files = [save(tmp_path / "images" / f"{i}.png", image) for i, image in enumerate(pixels)]
    paths = three(tmp_path, image_model)
    model = load_ensemble(paths, batch_size=2)
    said = [prediction.probabilities for prediction in model.predict_each(files)]
    for file, mine in zip(files, said, strict=True):
        expected = torch.stack([load_model(path).predict(file).probabilities for path in paths]).mean(0)
        assert torch.allclose(mine, expected, atol=5e-5)  # batches of another size are rounded otherwise
    again = list(model.predict_each([Case("x", files[0]), Case("y", files[1])]))
    assert torch.equal(again[0].probabilities, said[0])


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_logits_of_probabilities(activation):
    probabilities = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) / 3
    probabilities[0, :, 0, 0] = torch.tensor([0.0, 1.0, 0.0])
    again = foreground_probabilities(as_logits(probabilities, activation), activation, dim=1)
    assert torch.allclose(again, probabilities, atol=1e-6)
    assert torch.isfinite(as_logits(probabilities, activation)).all()


def test_members_of_a_cross_validation_and_of_a_folder_of_runs(tmp_path):
    paths = [str(path) for path in three(tmp_path)]
    assert members_of(tmp_path) == paths
    (tmp_path / "folds.json").write_text(json.dumps({"folds": 2, "models": ["fold2/model.pt", "fold0/model.pt"]}))
    assert members_of(tmp_path) == [paths[2], paths[0]]
    assert load_models("", str(tmp_path)).members == (paths[2], paths[0])


def test_what_all_were_trained_on_is_known(tmp_path):
    paths = three(tmp_path)
    spacings = ([[1.0] * 3, [1.0] * 3, [2.0] * 3], [[0.5] * 3, [2.0] * 3, [2.5] * 3], [[1.0] * 3, [1.5] * 3, [2.0] * 3])
    for number, path in enumerate(paths):
        seen = {"spacing": spacings[number], "values": [-1000.0 - number, 500.0 + number]}
        starts = [{"job": "moco_pretrain", "data": f"set{number // 2}"}]
        changed(path, provenance={"patients": ["all", f"p{number}"], "seen": seen, "started_from": starts})
    provenance = load_ensemble(paths).provenance
    assert provenance["patients"] == ["all", "p0", "p1", "p2"]
    assert provenance["seen"] == {"spacing": [[0.5] * 3, [1.5] * 3, [2.5] * 3], "values": [-1002.0, 502.0]}
    assert [start["data"] for start in provenance["started_from"]] == ["set0", "set1"]


def test_the_largest_component_is_kept_where_most_models_say_so(tmp_path):
    paths = three(tmp_path, classes=TWO, inference=SOFTMAX)
    for path, kept in zip(paths, ([1], [1, 2], []), strict=True):
        changed(path, inference={"largest_component": kept})
    assert load_ensemble(paths).inference.largest_component == (1,)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"classes": {1: "lesion"}}, "has classes {1: 'lesion'}, not {1: 'nodule'} as"),
        ({"preprocessing": {"spacing": [1.0, 1.0, 1.0]}}, r"has spacing \[1.0, 1.0, 1.0\], not None"),
        ({"preprocessing": {"window_low": -500.0}}, r"has window_low -500.0, not -1000.0"),
        ({"preprocessing": {"intensity": "percentile"}}, "has intensity percentile, not window"),
    ],
)
def test_models_that_differ_are_refused(tmp_path, entries, message):
    paths = three(tmp_path)
    if "classes" in entries:
        content = checkpoint.read_model(paths[1])
        names = ("state_dict", "network", "preprocessing", "provenance", "inference")
        checkpoint.write_model(paths[1], classes=entries["classes"], **{name: content[name] for name in names})
    else:
        changed(paths[1], **entries)
    with pytest.raises(InputError, match=message):
        load_ensemble(paths)


def test_patches_that_differ_are_refused_unless_one_window_is_set(tmp_path):
    paths = three(tmp_path)
    changed(paths[2], provenance={"patch_size": [16, 16, 24]})
    message = r"fold2/model\.pt was trained on patches of \[16, 16, 24\], .*fold0/model.pt of \[16, 16, 16\]; --window"
    with pytest.raises(InputError, match=message):
        load_ensemble(paths)
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((18, 20, 17)))
    alone = [load_model(path, window=(16, 16, 16)).predict(scan).probabilities for path in paths]
    together = load_ensemble(paths, window=(16, 16, 16)).predict(scan).probabilities
    assert torch.allclose(together, torch.stack(alone).mean(0), atol=2e-6)


def test_networks_and_activations_that_differ_are_refused(tmp_path):
    paths = three(tmp_path / "a", classes=TWO, inference=SOFTMAX)
    other = volume_model(tmp_path / "other.pt", classes=TWO)
    with pytest.raises(InputError, match=r"has .*network out_channels 2, not 3"):
        load_ensemble([*paths, other])


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "0 models in it; expected the folder of segxfer3d cross once all folds are done"),
        (lambda folder: (folder / "folds.json").write_text("{"), "folds.json: damaged"),
        (
            lambda folder: (folder / "folds.json").write_text('{"models": ["a/model.pt", "b/model.pt"]}'),
            "a/model.pt, .*b/model.pt: no such model",
        ),
    ],
)
def test_folders_without_models(tmp_path, prepare, message):
    prepare(tmp_path)
    with pytest.raises(InputError, match=message):
        members_of(tmp_path)


def test_one_of_two_options(tmp_path):
    with pytest.raises(InputError, match="checkpoint and model_dir: expected one of them, got both"):
        load_models("model.pt", str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        load_models("", str(tmp_path / "nowhere"))


def test_the_grid_of_training(tmp_path):
    seen = {"spacing": [[1.0] * 3, [1.0, 1.0, 1.5], [2.0] * 3], "values": [-1000.0, 500.0]}
    path = changed(volume_model(tmp_path / "model.pt"), provenance={"seen": seen})
    model = load_models(str(path), "", spacing_of="training")
    assert model.preprocessing.spacing == (1.0, 1.0, 1.5)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((8, 9, 7)), affine)
    item = model.preprocessing.read(Case("scan", scan), model.case_set([Case("scan", scan)]), label=False)
    assert item["image"].shape[1:] == (22, 25, 13)  # 7 steps of 3 mm are 21 of 1 mm, 6 are 12 of 1.5 mm
    assert model.predict(scan).mask.shape == (8, 9, 7)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "does not say what it was trained on"),
        ({"preprocessing": {"spacing": [1.0, 1.0, 1.0]}}, r"resamples volumes to \[1.0, 1.0, 1.0\] mm already"),
    ],
)
def test_models_that_cannot_take_the_grid_of_training(tmp_path, entries, message):
    path = changed(volume_model(tmp_path / "model.pt"), **entries)
    with pytest.raises(InputError, match=message):
        load_models(str(path), "", spacing_of="training")


def test_a_folder_stands_for_its_models(tmp_path):
    paths = three(tmp_path)
    assert load_ensemble(tmp_path).members == tuple(map(str, paths))
    assert load_ensemble(str(tmp_path)).members == tuple(map(str, paths))
