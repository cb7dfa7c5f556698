"""Representations of small models on phantoms and generated images."""

import csv
import json

import pytest
import torch
from click.testing import CliRunner

from segxfer3d.cli import cli
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.scale import Scale
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.data.synthetic.images import write_images
from segxfer3d.errors import InputError
from segxfer3d.jobs.compare import _even_batches, compare_representations, short_names
from segxfer3d.networks import build
from segxfer3d.weights import checkpoint


def write(path, definition, seed, preprocessing, patch_size):
    torch.manual_seed(seed)
    network = build(definition)
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance = {"patch_size": list(patch_size)}
    checkpoint.write_model(path, network.state_dict(), network.definition, preprocessing.as_dict(), {}, provenance)
    return path


def write_model(path, seed, width=2, preprocessing=None, patch_size=(16, 16, 8)):
    definition = {"name": "genesis_unet", "arguments": {"width": width}}
    return write(path, definition, seed, preprocessing or VolumePreprocessing(), patch_size)


def write_image_model(path, seed, channels=3):
    definition = {"name": "conrec_unet", "arguments": {"in_channels": channels, "out_channels": 1, "width": 2}}
    return write(path, definition, seed, ImagePreprocessing(32, channels), (32, 32))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    places = [("random", 0, 2), ("encoder", 1, 2), ("wide", 2, 3), ("copy", 0, 2)]
    return [write_model(root / name / "001" / "model.pt", seed, width) for name, seed, width in places]


def read(folder):
    return json.loads((folder / "cka.json").read_text(encoding="utf-8"))


def test_the_pretrainings_of_a_study_beside_an_untrained_network(tmp_path):
    images = write_images(tmp_path / "images", 12, size=32)
    for seed, name in enumerate(("simclr-0123abcd", "conrec-4567cdef")):
        write_image_model(tmp_path / "study" / "pretrain" / name / "model.pt", seed)
    settings = {"dataset_dir": images, "patches": 12, "untrained": True, "seed": 5}
    result = compare_representations([tmp_path / "study"], output_dir=tmp_path / "out", **settings)
    assert list(result.names) == read(tmp_path / "out")["names"] == ["conrec", "simclr", "untrained"]
    again = compare_representations([tmp_path / "study"], output_dir=tmp_path / "again", **settings)
    assert (result.unbiased == again.unbiased).all()
    lone = tmp_path / "study" / "pretrain" / "simclr-0123abcd" / "model.pt"
    pair = compare_representations([lone], output_dir=tmp_path / "lone", names=["one"], **settings)
    assert list(pair.names) == ["one", "untrained"]
    named = compare_representations([tmp_path / "study"], output_dir=tmp_path / "named", names=["c", "s"], **settings)
    assert (list(named.names), named.unbiased.tolist()) == (["c", "s", "untrained"], result.unbiased.tolist())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: holds no pretraining of a study that is done"):
        compare_representations([tmp_path / "empty"], output_dir=tmp_path / "no", **settings)


def test_all_pairs_on_the_same_patches(models, phantoms, tmp_path):
    settings = {"dataset_dir": phantoms, "patches": 16, "batch_size": 8}
    result = compare_representations(models, output_dir=tmp_path / "out", **settings)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"cka.csv", "cka.json"}
    content = read(tmp_path / "out")
    assert content["names"] == list(result.names) == ["random", "encoder", "wide", "copy"]
    assert (content["patches"], content["batches"], content["patch_size"]) == (16, 2, [16, 16, 8])
    assert "minibatch, 16 samples in 2 batches" in content["biased_estimate"]
    matrix = content["cka"]
    assert matrix[0][3] == pytest.approx(1)
    assert matrix[0][1] == matrix[1][0] < 0.999
    with (tmp_path / "out" / "cka.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert (rows[1]["first"], rows[1]["second"]) == ("random", "encoder")
    assert float(rows[1]["cka"]) == matrix[0][1]
    assert float(rows[1]["cka_biased"]) == content["cka_biased"][0][1]
    assert result.as_text().split()[:4] == content["names"]
    compare_representations(models, output_dir=tmp_path / "again", **settings)
    assert (tmp_path / "again" / "cka.json").read_bytes() == (tmp_path / "out" / "cka.json").read_bytes()


def test_other_layers_and_names_and_one_batch_for_the_full_data(models, phantoms, tmp_path):
    compare_representations(
        models[:2], dataset_dir=phantoms, output_dir=tmp_path, layer="decoder.stages.0", names=["a", "b"], patches=12,
        patch_size=(8, 8, 8),
    )  # fmt: skip
    content = read(tmp_path)
    assert (content["names"], content["layer"]) == (["a", "b"], "decoder.stages.0")
    assert content["biased_estimate"] == "full data, 12 samples in one batch"


def test_errors_come_before_the_work(models, phantoms, tmp_path):
    window = write_model(
        tmp_path / "window" / "model.pt", 0, preprocessing=VolumePreprocessing(scales=(Scale(window_high=400),))
    )
    size = write_model(tmp_path / "size" / "model.pt", 0, patch_size=(8, 8, 8))
    (tmp_path / "file").touch()
    output = tmp_path / "out"
    for chosen, settings, message in [
        (models[:1], {}, "expected two or more"),
        ([models[0]] * 2, {}, "given twice"),
        ([models[0], tmp_path / "none.pt"], {}, "no such file"),
        ([models[0], window], {}, "different preprocessing \\(window_high\\)"),
        ([models[0], size], {}, "patch_size: needed"),
        (models, {"patch_size": (12, 16, 8)}, "next sizes: 8 x 16 x 8 or 16 x 16 x 8"),
        (models, {"patch_size": (16, 16)}, "expected three numbers"),
        (models, {"layer": "encodr"}, "close to it: encoder"),
        (models, {"names": ["a"]}, "expected 4 different ones"),
        (models, {"patches": 3}, "patches 3: expected at least 4"),
        (models, {"device": "gpu"}, "device: expected cpu"),
        (models, {"seed": -1}, "seed -1"),
        (models, {"dataset_dir": tmp_path / "nothing"}, "no such folder"),
        (models, {"output_dir": tmp_path / "file", "patches": 8}, "cannot be written"),
    ]:
        with pytest.raises(InputError, match=message):
            compare_representations(chosen, **({"dataset_dir": phantoms, "output_dir": output} | settings))
    assert not output.exists()


def test_fine_tunings_of_different_recipes_are_compared_only_where_that_is_meant(phantoms, tmp_path):
    models = [write_model(tmp_path / name / "model.pt", seed) for seed, name in enumerate(("a", "b", "pretraining"))]
    for model, knobs in zip(models, ({"init": "random"}, {"init": "encoder", "recipe": "strong"}, {}), strict=True):
        model.with_name("run.json").write_text(json.dumps({"knobs": knobs}))
    settings = {"dataset_dir": phantoms, "patches": 16, "batch_size": 8}
    with pytest.raises(InputError, match=r"different recipes: paper \(a\), strong \(b\); expected one"):
        compare_representations(models, output_dir=tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
    compare_representations(models[1:], output_dir=tmp_path / "one", **settings)
    compare_representations(models, output_dir=tmp_path / "out", mixed_recipes=True, **settings)


def test_models_of_images(models, tmp_path):
    data = write_images(tmp_path / "data", 12)
    two = [write_image_model(tmp_path / name / "model.pt", seed) for seed, name in enumerate("ab")]
    output = tmp_path / "out"
    compare_representations(two, dataset_dir=data, output_dir=output, patches=10, layer="encoder.stages.1")
    content = read(output)
    assert (content["patches"], content["patch_size"], len(content["cases"])) == (10, [32, 32], 10)
    assert content["cka"][0][1] == content["cka"][1][0] < 0.999
    gray = [write_image_model(tmp_path / name / "model.pt", seed, 1) for seed, name in enumerate(("gray", "g"))]
    for chosen, settings, message in [
        ([two[0], gray[0]], {}, "different preprocessing \\(channels\\)"),
        ([two[0], models[0]], {}, "different preprocessing"),
        (two, {"patch_size": (8, 8, 8)}, "expected none"),
        (two, {"dataset": "vok"}, "vok"),
        (gray, {}, "images of 3 channels, the models take 1"),
        (models, {}, "holds images"),
    ]:
        with pytest.raises(InputError, match=message):
            compare_representations(chosen, dataset_dir=data, output_dir=tmp_path / "no", **settings)
    assert not (tmp_path / "no").exists()
    next((data / "images").rglob("*.png")).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"^1 of 12 images cannot be used; --skip-bad-cases goes on without them:"):
        compare_representations(two, dataset_dir=data, output_dir=tmp_path / "no")


def test_the_command_draws_what_it_compared(models, phantoms, tmp_path):
    command = ["compare", *map(str, models[:2]), "--dataset-dir", str(phantoms), "--patches", "12", "-o", str(tmp_path)]
    outcome = CliRunner().invoke(cli, command)
    assert outcome.exit_code == 0, outcome.output
    assert {path.name for path in tmp_path.iterdir()} == {f"cka.{kind}" for kind in ("csv", "json", "png", "svg")}
    assert "1.000" in outcome.output
    assert "full data, 12 samples in one batch" in outcome.output


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
