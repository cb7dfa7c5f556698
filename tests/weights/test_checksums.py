"""A flipped bit in a file of ours is found; torch itself reads it without a word."""

import zipfile

import pytest
import torch

from segxfer3d.errors import InputError
from segxfer3d.weights import checkpoint
from segxfer3d.weights.checksums import refuse_changed

TENSOR = torch.arange(1000, dtype=torch.float32)


def flipped(path):
    """The file with another value in its tensor, nothing else."""
    content = path.read_bytes()
    at = content.index(TENSOR[500:510].numpy().tobytes())
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def test_a_training_state_with_a_flipped_bit_is_passed_over(tmp_path):
    states = checkpoint.StateFolder(tmp_path)
    for epoch in (1, 2):
        states.write(epoch, {"network": {"weight": TENSOR + epoch - 2}})
    flipped(tmp_path / "epoch-00002.pt")
    assert not torch.equal(torch.load(tmp_path / "epoch-00002.pt", weights_only=True)["network"]["weight"], TENSOR)
    assert states.newest()["epoch"] == 1
    with pytest.raises(InputError, match=r"epoch-00002\.pt: damaged \(its part data/0 is not what was written"):
        checkpoint.read_file(tmp_path / "epoch-00002.pt")


def test_files_from_elsewhere_may_have_no_checksums(tmp_path):
    torch.save({"state_dict": {"weight": TENSOR}}, tmp_path / "theirs.pt")
    flipped(tmp_path / "theirs.pt")
    assert "state_dict" in checkpoint.read_file(tmp_path / "theirs.pt")


def test_what_is_no_archive_has_none(tmp_path):
    torch.save({"a": 1}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    refuse_changed(tmp_path / "old.pt")
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("a/b", "content")
    refuse_changed(tmp_path / "good.zip")


def test_an_archive_that_is_compressed_is_not_unpacked(tmp_path):
    """Which may be a thousand times as large; torch writes none."""
    torch.save({"format": checkpoint.MODEL_FORMAT, "weight": torch.zeros(10**6)}, tmp_path / "model.pt")
    with (
        zipfile.ZipFile(tmp_path / "model.pt") as good,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in good.namelist():
            packed.writestr(name, good.read(name))
    with pytest.raises(InputError, match=r"packed\.pt: damaged, or not of torch \(its part .*data\.pkl is compressed"):
        checkpoint.read_file(tmp_path / "packed.pt")
