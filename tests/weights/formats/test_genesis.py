"""The importer of published Models Genesis checkpoints, against a numeric fingerprint of that network."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.networks import genesis_unet
from segxfer3d.weights.formats import genesis

FACTS = json.loads((Path(__file__).parent / "genesis_fingerprint.json").read_text(encoding="utf-8"))


def fingerprint_weights():
    """The n-th tensor holds sines of its flat index, scaled so that activations stay in range."""
    weights = {}
    for n, (key, shape) in enumerate(FACTS["keys"].items()):
        s = np.sin(0.37 * np.arange(int(np.prod(shape))) + n).reshape(shape)
        if key.endswith(("conv1.weight", "up_conv.weight", "final_conv.weight")):
            value = s * np.sqrt(2 / np.prod(shape[1:]))
        elif key.endswith("bn1.weight"):
            value = 1 + 0.1 * s
        elif key.endswith("bias"):
            value = 0.1 * s
        else:
            value = np.ones(shape) if key.endswith("running_var") else np.zeros(shape)
        dtype = torch.int64 if key.endswith("num_batches_tracked") else torch.float32
        weights[f"module.{key}"] = torch.tensor(value).to(dtype)
    return weights


@pytest.fixture(scope="module")
def published():
    return fingerprint_weights()


def save(tmp_path, state_dict):
    path = tmp_path / "Genesis_Chest_CT.pt"
    torch.save({"state_dict": state_dict, "optimizer_state_dict": {}, "epoch": 1}, path)
    return path


def test_fingerprint(tmp_path, published):
    network = genesis_unet(batch_statistics=True)
    network.load_state_dict(genesis.read(save(tmp_path, published)))
    network.eval()
    b, i, j, k = np.meshgrid(*(np.arange(n) for n in (2, 32, 32, 16)), indexing="ij")
    x = 0.5 + 0.5 * np.sin(0.9 * i + 0.5 * j + 0.3 * k + 1.7 * b + 0.01 * i * j)
    with torch.no_grad():
        output = torch.sigmoid(network(torch.tensor(x[:, None], dtype=torch.float32)))
    assert output.mean().item() == pytest.approx(FACTS["output_mean"], abs=1e-4)
    assert output.std(correction=0).item() == pytest.approx(FACTS["output_std"], abs=1e-4)
    for index, value in FACTS["probes"]:
        assert output[tuple(index)].item() == pytest.approx(value, abs=1e-4)


def test_every_part_of_the_network_is_mapped(published):
    assert list(genesis.translate(published)) == list(genesis_unet().state_dict())


@pytest.mark.parametrize("case", ["missing", "extra", "twice", "misshapen"])
def test_wrong_keys_are_named(tmp_path, published, case):
    state_dict = dict(published)
    key = "module.up_tr128.up_conv.weight"
    if case == "missing":
        del state_dict[key]
    elif case == "extra":
        key = "module.other.weight"
        state_dict[key] = torch.zeros(1)
    elif case == "twice":
        state_dict[key.removeprefix("module.")] = state_dict[key]
    else:
        state_dict[key] = torch.zeros(3)
    with pytest.raises(InputError, match=key.removeprefix("module.")):
        genesis.read(save(tmp_path, state_dict))


@pytest.mark.parametrize("content", [{"weights": 1}, {"state_dict": 1}, {"state_dict": {"a": 1}}])
def test_a_file_without_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(InputError, match="state_dict"):
        genesis.read(tmp_path / "a.pt")


class Code:
    """Would create a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("bare", [False, True])
def test_code_in_the_file_is_refused_and_not_run(tmp_path, published, bare):
    path = tmp_path / "a.pt"
    content = {"state_dict": published, "optimizer_state_dict": Code(tmp_path / "ran")}
    if bare:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=r"a\.pt: refused"):
        genesis.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_checkpoint(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pt"):
        genesis.read(tmp_path / "a.pt")
