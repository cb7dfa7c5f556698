"""What is said of a checkpoint: a model of a run, a training state, a file from elsewhere, anything else."""

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import genesis_unet
from segxfer3d.weights import checkpoint
from segxfer3d.weights.summary import summarize
from tests.weights.formats.test_genesis import fingerprint_weights


def test_a_model_of_a_run(tmp_path):
    network = genesis_unet(width=2)
    provenance = {"pretext": "SimCLR", "trained_parts": ["encoder"], "patients": [f"p{i}" for i in range(20)]}
    path = tmp_path / "model.pt"
    checkpoint.write_model(path, network.state_dict(), network.definition, {"spacing": None}, {}, provenance)
    lines = summarize(path)
    assert lines[0].startswith("model of a run: genesis_unet(in_channels=1, out_channels=1, width=2")
    assert any(line.startswith("  encoder: ") and not line.endswith("by the pretext") for line in lines)
    assert any(line.startswith("  decoder: ") and line.endswith("not trained by the pretext") for line in lines)
    assert "classes: none" in lines
    assert "  patients: 20: p0, p1, p2, ..." in lines


def test_a_training_state(tmp_path):
    checkpoint.StateFolder(tmp_path).write(3, {"x": torch.zeros(1)})
    assert summarize(tmp_path / "epoch-00003.pt")[0].startswith("training state after epoch 3")


def test_a_file_from_elsewhere(tmp_path):
    torch.save({"state_dict": fingerprint_weights()}, tmp_path / "published.pt")
    assert "--width 32 --batch_statistics True" in summarize(tmp_path / "published.pt")[0]


def test_anything_else_is_told_what_there_is(tmp_path):
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"a model\.pt of a run or one of: .*Models Genesis.*it holds weights"):
        summarize(tmp_path / "other.pt")
