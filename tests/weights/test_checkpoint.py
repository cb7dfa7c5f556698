"""Checkpoints: whole or not at all, no code from a file, the newest one that can be read."""

import pickle
import resource
import subprocess
import sys

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.weights import checkpoint
from segxfer3d.weights.checkpoint import StateFolder


def test_model_comes_back(tmp_path):
    path = tmp_path / "model.pt"
    weights = {"a": torch.rand(2, 3)}
    checkpoint.write_model(path, weights, {"name": "n", "arguments": {}}, {"spacing": None}, {1: "nodule"}, {"seed": 1})
    model = checkpoint.read_model(path)
    assert torch.equal(model["state_dict"]["a"], weights["a"])
    assert model["classes"] == {1: "nodule"}
    assert model["inference"] == {}
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


def test_how_outputs_become_masks_is_an_entry_of_its_own(tmp_path):
    path = tmp_path / "model.pt"
    parts = {}, {"name": "n", "arguments": {}}, {}, {1: "nodule"}, {}
    entry = {"activation": "softmax", "mirror_axes": [0, 1], "largest_component": [1]}
    checkpoint.write_model(path, *parts, inference=entry)
    assert checkpoint.read_model(path)["inference"] == entry
    checkpoint.write_model(path, *parts)
    assert "inference" not in checkpoint.read_file(path)
    checkpoint.write({**checkpoint.read_file(path), "inference": "softmax"}, path)
    with pytest.raises(InputError, match=r"damaged \(inference: expected an object, got 'softmax'"):
        checkpoint.read_model(path)


class Evil:
    def __reduce__(self):
        return print, ("code from a checkpoint ran",)


def test_refusals(tmp_path, capsys):
    with pytest.raises(InputError, match="no such file"):
        checkpoint.read_file(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match=r"text\.pt"):
        checkpoint.read_file(tmp_path / "text.pt")
    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="refused"):
        checkpoint.read_file(tmp_path / "evil.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match=r"pickle\.pt"):
        checkpoint.read_file(tmp_path / "pickle.pt")
    torch.save({"x": torch.rand(100)}, tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:300])
    with pytest.raises(InputError, match="not a checkpoint, or damaged") as said:
        checkpoint.read_file(tmp_path / "cut.pt")
    assert len(str(said.value)) < len(str(tmp_path)) + 150  # torch goes on with what may have happened
    torch.save({"x": 1}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="expected a segxfer3d-model file"):
        checkpoint.read_model(tmp_path / "other.pt")
    assert "code from a checkpoint ran" not in capsys.readouterr().out


def test_a_damaged_state_falls_back_to_the_one_before(tmp_path):
    states = StateFolder(tmp_path)
    assert states.newest() is None
    for epoch in (1, 2, 3):
        states.write(epoch, {"x": torch.full((50,), float(epoch))})
    assert [epoch for epoch, _ in states.files()] == [3, 2]
    newest = states.files()[0][1]
    newest.write_bytes(newest.read_bytes()[:200])
    assert states.newest()["epoch"] == 2
    other = states.files()[1][1]
    other.write_bytes(b"")
    with pytest.raises(InputError, match="no readable training state"):
        states.newest()


FULL_DISK = """
import resource, sys, torch
from segxfer3d.weights import checkpoint
from segxfer3d.errors import InputError
path = sys.argv[1]
checkpoint.write({"x": torch.zeros(10)}, path)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    checkpoint.write({"x": torch.zeros(1000000)}, path)
except InputError as error:
    print(error)
print(len(checkpoint.read_file(path)["x"]))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limits here")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    result = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert "could not be saved" in result.stdout
    assert "is kept" in result.stdout
    assert result.stdout.splitlines()[-1] == "10"
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("path", [[], ["model.pt"], 3, None])
def test_what_is_no_path_brings_nothing(path):
    assert checkpoint.network_of(path) == ""
