"""model.pt: what is in it, and who writes it."""

from types import SimpleNamespace

import pytest
import torch

from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.pretexts.simclr import SimCLR
from segxfer3d.training.model_file import ModelWriter
from segxfer3d.weights import checkpoint
from tests.pretexts.stand_ins import network, views
from tests.training.stand_ins import Run

PREPROCESSING = SimpleNamespace(as_dict=lambda: {"image_size": 16, "channels": 3})


def test_what_inference_needs_is_in_it(tmp_path):
    run, module = Run(tmp_path, job="unet2d_finetune"), network()
    writer = ModelWriter(
        run, PREPROCESSING, classes={1: "cat"}, provenance={"data": "pets", "cases": 3}, patch_size=(16, 16), seed=4,
        init="encoder",
    )  # fmt: skip
    assert writer.write(module) == tmp_path / "model.pt"
    assert run.said == [f"model: {tmp_path / 'model.pt'}"]
    model = checkpoint.read_model(tmp_path / "model.pt")
    assert model["preprocessing"] == {"image_size": 16, "channels": 3}
    assert model["classes"] == {1: "cat"}
    assert model["network"] == module.definition
    assert model["provenance"] == {
        "job": "unet2d_finetune", "patch_size": [16, 16], "seed": 4, "init": "encoder", "data": "pets", "cases": 3,
    }  # fmt: skip
    assert all(torch.equal(tensor, model["state_dict"][key]) for key, tensor in module.state_dict().items())


def test_how_outputs_become_masks_is_in_it(tmp_path):
    writer = ModelWriter(Run(tmp_path), PREPROCESSING, classes={1: "cat"}, provenance={}, patch_size=[16, 16])
    settings = InferenceSettings("softmax", (1,), (1,))
    writer.write(network(), settings)
    written = checkpoint.read_model(tmp_path / "model.pt")["inference"]
    assert InferenceSettings.from_dict(written) == settings
    writer.write(network())
    assert checkpoint.read_model(tmp_path / "model.pt")["inference"] == {}


def test_a_pretext_says_which_parts_it_trained(tmp_path):
    pretext = SimCLR(network(), views)
    writer = ModelWriter(
        Run(tmp_path), PREPROCESSING, classes={}, provenance={"data": "pets"}, patch_size=[16, 16], pretext=pretext
    )
    writer.write(pretext.network)
    provenance = checkpoint.read_model(tmp_path / "model.pt")["provenance"]
    assert (provenance["pretext"], provenance["trained_parts"]) == ("SimCLR", ["encoder"])
    assert provenance["init"] == ""


def test_one_process_writes(tmp_path):
    run = Run(tmp_path, main=False)
    ModelWriter(run, PREPROCESSING, classes={}, provenance={}, patch_size=[16, 16]).write(network())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("amp", [True, False, None])
def test_the_file_says_its_precision(tmp_path, amp):
    writer = ModelWriter(Run(tmp_path), PREPROCESSING, classes={1: "cat"}, provenance={}, patch_size=[16, 16], amp=amp)
    path = writer.write(network())
    known = amp is not None
    assert ("amp" in checkpoint.read_model(path)["provenance"]) is known
    assert checkpoint.amp_of(path, unknown=True) is (amp if known else True)
    assert checkpoint.amp_of(path, unknown=False) is bool(amp)
    assert checkpoint.amp_of(tmp_path / "none.pt", unknown=True) is True
