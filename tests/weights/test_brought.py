"""What a checkpoint brings to the options of a fine-tuning."""

import pytest
import torch

from segxfer3d.networks import genesis_unet
from segxfer3d.weights import checkpoint
from segxfer3d.weights.brought import batch_statistics_of
from tests.weights.formats.test_genesis import fingerprint_weights
from tests.weights.test_passport import write


@pytest.mark.parametrize("used", [False, True])
def test_batch_statistics_are_those_of_the_model(tmp_path, used):
    path = write(tmp_path, genesis_unet(width=2, batch_statistics=used))
    assert batch_statistics_of(path, "genesis_unet") is used
    assert batch_statistics_of(path, "plain_unet") is False


def test_a_published_models_genesis_network_has_them(tmp_path):
    torch.save({"state_dict": fingerprint_weights()}, tmp_path / "published.pt")
    assert batch_statistics_of(tmp_path / "published.pt", "genesis_unet") is True
    assert batch_statistics_of(tmp_path / "published.pt", "plain_unet") is False


def test_what_is_no_checkpoint_brings_none(tmp_path):
    (tmp_path / "text.pt").write_text("none")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    checkpoint.write({"format": checkpoint.MODEL_FORMAT, "version": 1}, tmp_path / "damaged.pt")
    for path in ("", None, 3, tmp_path, tmp_path / "missing.pt", *tmp_path.iterdir()):
        assert batch_statistics_of(path, "genesis_unet") is False
