"""Figures of images from the command line: data, predictions, reconstructions."""

import numpy as np
import pytest
import torch

from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.synthetic.images import write_images
from segxfer3d.jobs.pictures import choose_images, predicted, reconstructed
from segxfer3d.networks import build
from segxfer3d.weights import checkpoint
from tests.cli.test_cli import call
from tests.data.image_files import noise, save


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("data"), 20, size=32)


def model(path, outputs, classes, channels=3, **provenance):
    torch.manual_seed(outputs)
    definition = {"name": "conrec_unet", "arguments": {"in_channels": channels, "out_channels": outputs, "width": 2}}
    network, about = build(definition), {"patch_size": [32, 32], **provenance}
    path.parent.mkdir(parents=True)
    written = ImagePreprocessing(32, channels).as_dict()
    checkpoint.write_model(path, network.state_dict(), network.definition, written, classes, about)
    return path


def test_the_same_images_are_chosen_again(images):
    first, again = (choose_images(images, count=5, seed=3) for _ in range(2))
    assert (
        [case.name for case in first.cases]
        == [case.name for case in again.cases]
        == sorted(case.name for case in first.cases)
    )
    assert len(first.cases) == 5
    assert first.classes == {1: "foreground"}
    assert all(set(np.unique(label)) == {0, 1} for label in first.labels)
    assert first.images[0].shape[1:] == first.labels[0].shape


def test_every_gallery_is_drawn(images, tmp_path):
    tuned = [model(tmp_path / name / "model.pt", 1, {1: "foreground"}) for name in ("random", "encoder")]
    pretrained = model(tmp_path / "pretext" / "model.pt", 3, {})
    shared = ["--dataset-dir", images, "--count", 2]
    for words in (["data"], ["masks", *tuned], ["reconstruction", pretrained]):
        output = tmp_path / f"{words[0]}.svg"
        code, said = call("gallery", *words, *shared, "-o", output)
        assert (code, said) == (0, f"gallery: {output}\n")
        assert output.stat().st_size > 5000
    text = (tmp_path / "masks.svg").read_text(encoding="utf-8")
    assert "random" in text or "<use" in text


def test_masks_and_dice_are_those_of_the_model(images, tmp_path):
    path = model(tmp_path / "a" / "model.pt", 1, {1: "foreground"})
    chosen = choose_images(images, count=3)
    masks, scores = predicted(path, chosen)
    for mask, score, label in zip(masks, scores, chosen.labels, strict=True):
        assert mask.shape == label.shape
        both = 2 * np.sum((mask > 0) & (label > 0)) / max(1, np.sum(mask > 0) + np.sum(label > 0))
        assert score == pytest.approx(both)


def test_reconstructions_repeat_and_show_the_images(images, tmp_path):
    path = model(tmp_path / "a" / "model.pt", 3, {})
    chosen = choose_images(images, count=3, labels=False)
    first, again = (reconstructed(path, chosen, seed=1) for _ in range(2))
    assert list(first) == ["corrupted", "output", "target"]
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert np.array_equal(first["target"][0], chosen.images[0].astype(np.float32) / 255)
    assert not np.array_equal(first["corrupted"], first["target"])


def test_what_cannot_be_shown_is_refused(images, tmp_path):
    tuned = model(tmp_path / "tuned" / "model.pt", 1, {2: "cat"})
    encoder = model(tmp_path / "simclr" / "model.pt", 3, {}, trained_parts=["encoder"])
    shared = ["--dataset-dir", images, "-o", tmp_path / "x.svg"]
    code, said = call("gallery", "masks", tuned, *shared)
    assert code == 1
    assert "segments {2: 'cat'}, the images show {1: 'foreground'}" in said
    code, said = call("gallery", "reconstruction", encoder, *shared)
    assert code == 1
    assert "expected a pretext of images that reconstructs them" in said
    masks = model(tmp_path / "segmentation" / "model.pt", 3, {}, pretext="Segmentation")
    code, said = call("gallery", "reconstruction", masks, *shared)
    assert code == 1
    assert "expected a pretext of images that reconstructs them" in said
    code, said = call("gallery", "masks", tuned, "--names", "a,b", *shared)
    assert code == 1
    assert "--names: expected 1 different ones" in said


def test_images_of_other_channels_than_the_model_takes_are_refused(images, tmp_path):
    gray = tmp_path / "gray_images"
    for number in range(3):
        save(gray / f"{number}.png", noise((32, 32), channels=1, seed=number))
    for folder, channels, kinds in ((gray, 3, ("color", "gray")), (images, 1, ("gray", "color"))):
        path = model(tmp_path / kinds[0] / "model.pt", channels, {}, channels=channels)
        code, said = call("gallery", "reconstruction", path, "--dataset-dir", folder, "-o", tmp_path / "x.svg")
        message = f"checkpoint {path}: takes {kinds[0]} images; those of {folder} are {kinds[1]}"
        assert (code, said) == (1, message)
    path = tmp_path / "gray" / "model.pt"
    assert call("gallery", "reconstruction", path, "--dataset-dir", gray, "-o", tmp_path / "x.svg")[0] == 0
