"""Published ImageNet files: both layouts of file, what is refused, what is transferred."""

import pytest
import torch
from safetensors.torch import save_file

from segxfer3d.errors import InputError
from segxfer3d.networks import imagenet_unet
from segxfer3d.weights.formats.imagenet import PREFIX, is_imagenet, read
from segxfer3d.weights.initialize import initialize


@pytest.fixture(scope="module")
def network():
    return imagenet_unet("resnet18", decoder_channels=(4, 4, 4, 4, 4))


@pytest.fixture
def published(network):
    """Random weights under the published names, with the classifier."""
    encoder = {k.removeprefix(PREFIX): v for k, v in network.state_dict().items() if k.startswith(PREFIX)}
    content = {k: torch.rand(v.shape) if v.is_floating_point() else v.clone() for k, v in encoder.items()}
    return {**content, "fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}


def save(content, path):
    (save_file if path.suffix == ".safetensors" else torch.save)(content, path)
    return path


@pytest.mark.parametrize("name", ["resnet18.pth", "model.safetensors"])
def test_transfer_of_the_encoder(tmp_path, network, published, name):
    assert is_imagenet(published)
    assert not is_imagenet(network.state_dict())
    state_dict = read(save(published, tmp_path / name), "resnet18")
    report = initialize(network, "encoder", state_dict, name)
    assert all(key.startswith("encoder.") for key in report.loaded)
    assert all(key.startswith(("decoder.", "head.")) for key in report.left)
    assert sorted(report.unused) == ["fc.bias", "fc.weight"]
    assert torch.equal(network.state_dict()[PREFIX + "layer4.1.conv2.weight"], published["layer4.1.conv2.weight"])
    with pytest.raises(InputError, match=r"decoder\..* is missing"):
        initialize(network, "encoder+decoder", state_dict)


def test_older_files_have_no_counters(tmp_path, network, published):
    without = {key: t for key, t in published.items() if not key.endswith("num_batches_tracked")}
    state_dict = read(save(without, tmp_path / "old.pth"), "resnet18")
    assert state_dict[PREFIX + "bn1.num_batches_tracked"] == 0
    assert initialize(network, "encoder", state_dict).unused == ["fc.weight", "fc.bias"]


def test_refusals_name_the_tensor(tmp_path, published):
    missing = {key: t for key, t in published.items() if key != "layer1.0.conv1.weight"}
    extra = {**published, "layer5.0.conv1.weight": torch.ones(1)}
    misshapen = {**published, "conv1.weight": torch.ones(64, 1, 7, 7)}
    for content, message in (
        (missing, r"missing key layer1\.0\.conv1\.weight"),
        (extra, r"extra key layer5\.0\.conv1\.weight"),
        (misshapen, r"conv1\.weight has shape \(64, 1, 7, 7\), expected \(64, 3, 7, 7\)"),
        ({"model": published}, "plain dictionary of tensors"),
    ):
        with pytest.raises(InputError, match=message):
            read(save(content, tmp_path / "wrong.pth"), "resnet18")
    with pytest.raises(InputError, match=r"no ImageNet resnet50: .* and \d+ more"):
        read(save(published, tmp_path / "r18.pth"), "resnet50")
    with pytest.raises(InputError, match="expected one of resnet18"):
        read(save(published, tmp_path / "r18.pth"), "vgg16")


def test_refusals_of_files(tmp_path):
    for name in ("none.pth", "none.safetensors"):
        with pytest.raises(InputError, match="no such file"):
            read(tmp_path / name, "resnet18")
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"not a checkpoint")
        with pytest.raises(InputError, match=f"{name}: (refused, the file is not plain|no safetensors file)"):
            read(tmp_path / name, "resnet18")
    torch.save({"conv1.weight": torch.nn.Conv2d(1, 1, 1)}, tmp_path / "code.pth")
    with pytest.raises(InputError, match="refused"):
        read(tmp_path / "code.pth", "resnet18")
