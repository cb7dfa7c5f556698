"""Representations of small models on phantoms, from the command line."""

import csv
import json

import pytest
import torch

from scripts.compare_representations import _even_batches, main, short_names
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.synthetic.images import write_images
from segxfer3d.errors import InputError
from segxfer3d.networks import conrec_unet, genesis_unet
from segxfer3d.weights import checkpoint


def write(path, seed, width=2, preprocessing=None, patch_size=(16, 16, 8)):
    torch.manual_seed(seed)
    network = genesis_unet(width=width)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = (preprocessing or VolumePreprocessing()).as_dict()
    checkpoint.write_model(path, network.state_dict(), network.definition, values, {}, {"patch_size": list(patch_size)})
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    places = [("random", 0, 2), ("encoder", 1, 2), ("wide", 2, 3), ("copy", 0, 2)]
    return [write(root / name / "001" / "model.pt", seed, width) for name, seed, width in places]


def command(models, data, output, *more):
    return ["--checkpoints", *models, "--dataset_dir", str(data), "--output_dir", str(output), *map(str, more)]


def test_all_pairs_on_the_same_patches(models, phantoms, tmp_path, capsys):
    assert main(command(models, phantoms, tmp_path / "out", "--patches", 16, "--batch_size", 8)) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"cka.csv", "cka.json", "cka.png", "cka.svg"}
    content = json.loads((tmp_path / "out" / "cka.json").read_text(encoding="utf-8"))
    assert content["names"] == ["random", "encoder", "wide", "copy"]
    assert (content["patches"], content["batches"], content["patch_size"]) == (16, 2, [16, 16, 8])
    assert "minibatch, 16 samples in 2 batches" in content["biased_estimate"]
    matrix = content["cka"]
    assert matrix[0][3] == pytest.approx(1)
    assert matrix[0][1] == matrix[1][0] < 0.999
    with (tmp_path / "out" / "cka.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert (rows[1]["first"], rows[1]["second"]) == ("random", "encoder")
    assert float(rows[1]["cka"]) == matrix[0][1]
    assert float(rows[1]["cka_biased"]) == content["cka_biased"][0][1]
    assert "encoder" in capsys.readouterr().out
    before = (tmp_path / "out" / "cka.json").read_bytes()
    again = command(models, phantoms, tmp_path / "again", "--patches", 16, "--batch_size", 8)
    assert main(again) == 0
    assert (tmp_path / "again" / "cka.json").read_bytes() == before


def test_other_layers_and_names_and_one_batch_for_the_full_data(models, phantoms, tmp_path):
    more = ["--layer", "decoder.stages.0", "--names", "a", "b", "--patches", 12, "--patch_size", 8, 8, 8]
    assert main(command(models[:2], phantoms, tmp_path, *more)) == 0
    content = json.loads((tmp_path / "cka.json").read_text(encoding="utf-8"))
    assert (content["names"], content["layer"]) == (["a", "b"], "decoder.stages.0")
    assert content["biased_estimate"] == "full data, 12 samples in one batch"


def test_errors_come_before_the_work(models, phantoms, tmp_path, capsys):
    window = write(tmp_path / "window" / "model.pt", 0, preprocessing=VolumePreprocessing(window_high=400))
    size = write(tmp_path / "size" / "model.pt", 0, patch_size=(8, 8, 8))
    (tmp_path / "file").touch()
    output = tmp_path / "out"
    for arguments, message in [
        (command(models[:1], phantoms, output), "expected two or more"),
        (command([models[0]] * 2, phantoms, output), "given twice"),
        (command([models[0], str(tmp_path / "none.pt")], phantoms, output), "no such file"),
        (command([models[0], window], phantoms, output), "different preprocessing (window_high)"),
        (command([models[0], size], phantoms, output), "--patch_size: needed"),
        (command(models, phantoms, output, "--patch_size", 12, 16, 8), "expected multiples of 8"),
        (command(models, phantoms, output, "--layer", "encodr"), "close to it: encoder"),
        (command(models, phantoms, output, "--names", "a"), "expected 4 different names"),
        (command(models, phantoms, output, "--patches", 3), "--patches 3: expected at least 4"),
        (command(models, phantoms, output, "--device", "gpu"), "--device: expected cpu"),
        (command(models, phantoms, output, "--seed", -1), "--seed -1"),
        (command(models, tmp_path / "nothing", output), "no such folder"),
        (command(models, phantoms, tmp_path / "file", "--patches", 8), "cannot be written"),
    ]:
        assert main(arguments) == 1, message
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert message in errors[0]
    assert not output.exists()


def write_image_model(path, seed, channels=3):
    torch.manual_seed(seed)
    network = conrec_unet(channels, 1, width=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = ImagePreprocessing(32, channels).as_dict()
    checkpoint.write_model(path, network.state_dict(), network.definition, values, {}, {"patch_size": [32, 32]})
    return str(path)


def test_models_of_images(models, tmp_path, capsys):
    data = write_images(tmp_path / "data", 12)
    two = [write_image_model(tmp_path / name / "model.pt", seed) for seed, name in enumerate("ab")]
    more = ["--patches", 10, "--layer", "encoder.stages.1"]
    assert main(command(two, data, tmp_path / "out", *more)) == 0
    content = json.loads((tmp_path / "out" / "cka.json").read_text(encoding="utf-8"))
    assert (content["patches"], content["patch_size"], len(content["cases"])) == (10, [32, 32], 10)
    assert content["cka"][0][1] == content["cka"][1][0] < 0.999
    gray = write_image_model(tmp_path / "gray" / "model.pt", 0, 1)
    capsys.readouterr()
    for arguments, message in [
        (command([two[0], gray], data, tmp_path / "no"), "different preprocessing (channels)"),
        (command([two[0], models[0]], data, tmp_path / "no"), "different preprocessing"),
        (command(two, data, tmp_path / "no", "--patch_size", 8, 8, 8), "expected none"),
        (command(two, data, tmp_path / "no", "--dataset", "vok"), "vok"),
        (command([gray, write_image_model(tmp_path / "g" / "model.pt", 1, 1)], data, tmp_path / "no"),
         "images of 3 channels, the models take 1"),
    ]:  # fmt: skip
        assert main(arguments) == 1, message
        assert message in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_names_are_the_shortest_that_differ():
    assert short_names(["/runs/a/001/model.pt", "/runs/a/002/model.pt"]) == ["001", "002"]
    assert short_names(["/runs/a/001/model.pt", "/runs/b/001/model.pt"]) == ["a", "b"]
    assert short_names(["/r/a/1/model.pt", "/r/b/1/model.pt", "/r/b/2/model.pt"]) == ["a/1", "b/1", "b/2"]
    assert short_names(["/x/one.pt", "/x/two.pt"]) == ["one", "two"]
    with pytest.raises(InputError, match="given twice"):
        short_names(["/a/model.pt", "/a/model.pt"])


@pytest.mark.parametrize(
    ("patches", "size", "expected"), [(24, 12, [12, 12]), (25, 12, [9, 8, 8]), (5, 4, [5]), (9, 64, [9])]
)
def test_batches_are_even(patches, size, expected):
    assert [len(batch) for batch in _even_batches(torch.zeros(patches, 1), size)] == expected
