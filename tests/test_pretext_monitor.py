"""The monitor of a pretext: when it looks, what it writes, and that training does not notice."""

from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image

from segxfer3d.errors import InputError
from segxfer3d.networks import imagenet_unet
from segxfer3d.pretext_monitor import PICTURES, PretextMonitor, shown
from segxfer3d.pretexts.classification import Classification
from segxfer3d.pretexts.simclr import SimCLR

from .pretexts.stand_ins import batch, network, views

SIGNS = {"neighbor_accuracy", "linear_accuracy"}


def images(count, seed, by_class=False):
    """Items of images of two classes; with ``by_class`` dark and bright ones."""
    items = batch(n=count, seed=seed)
    if by_class:
        items["image"] = (items["category"] * 200).to(torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)
    return [{"image": image, "category": c} for image, c in zip(items["image"], items["category"], strict=True)]


def monitor(folder, interval=2, main=True, probe=True, by_class=False):
    session = SimpleNamespace(folder=folder, device=torch.device("cpu"), main=main)
    data = SimpleNamespace(
        train=SimpleNamespace(data=images(11, 0)),
        probe=(images(24, 1, by_class), images(10, 2, by_class)) if probe else None,
    )
    return PretextMonitor(session, SimCLR(network(), views), data, interval)


def run(monitor, epochs=5):
    """Train nothing for some epochs; gives the metrics and the random number that follow each."""
    engine = Engine(lambda *_: monitor.network.train())
    monitor.attach(engine)
    record = []
    engine.add_event_handler(Events.EPOCH_STARTED, lambda e: torch.manual_seed(e.state.epoch))
    engine.add_event_handler(
        Events.EPOCH_COMPLETED, lambda e: record.append((dict(e.state.metrics), float(torch.rand(()))))
    )
    engine.run([0], max_epochs=epochs)
    return record


def test_it_looks_every_interval_and_after_the_last(tmp_path):
    record = run(monitor(tmp_path))
    assert [set(metrics) for metrics, _ in record] == [set(), SIGNS, set(), SIGNS, SIGNS]
    assert all(0 <= value <= 1 for metrics, _ in record for value in metrics.values())
    files = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert files == ["epoch-00002.png", "epoch-00004.png", "epoch-00005.png"]
    with Image.open(tmp_path / "pictures" / files[0]) as picture:
        assert picture.size == (2 * 18 - 2, PICTURES * 18 - 2)
    # the network did not change, and the same is drawn each time
    contents = {(tmp_path / "pictures" / name).read_bytes() for name in files}
    assert len(contents) == 1
    assert record[1][0] == record[3][0]


def test_training_does_not_notice(tmp_path):
    looked = monitor(tmp_path, interval=1)
    before = {key: tensor.clone() for key, tensor in looked.network.state_dict().items()}
    record = run(looked)
    assert [number for _, number in record] == [number for _, number in run(monitor(tmp_path, interval=0))]
    assert all(torch.equal(tensor, before[key]) for key, tensor in looked.network.state_dict().items())
    assert all(parameter.grad is None for parameter in looked.network.parameters())


def test_probes_tell_classes_that_can_be_seen(tmp_path):
    record = run(monitor(tmp_path, interval=1, by_class=True), epochs=1)
    assert set(record[0][0]) == {"neighbor_accuracy", "linear_accuracy"}
    assert min(record[0][0].values()) >= 0.8  # of two classes; the last digit hangs on the threads of a convolution


@pytest.mark.parametrize("how", [{"interval": 0}, {"main": False}])
def test_never(how, tmp_path):
    assert all(not metrics for metrics, _ in run(monitor(tmp_path, **how)))
    assert list(tmp_path.iterdir()) == []


def test_without_classes_pictures_only(tmp_path):
    assert all(not metrics for metrics, _ in run(monitor(tmp_path, probe=False)))
    assert len(list((tmp_path / "pictures").iterdir())) == 3


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "pictures").touch()
    with pytest.raises(InputError, match=r"pictures could not be written .*; the last training state is kept"):
        run(monitor(tmp_path))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_classification_shows_where_it_looks(spatial_dims):
    channels = 3 if spatial_dims == 2 else 1
    pretext = Classification(network(spatial_dims, channels), 2, views).eval()
    items = batch(spatial_dims, channels)
    with torch.no_grad():
        columns = shown(pretext, items)
        # a class that is all evidence in one channel: the heat is that channel's, enlarged
        pretext.classifier.linear.weight.zero_()
        pretext.classifier.linear.bias.copy_(torch.tensor([0.0, -1e6]))
        pretext.classifier.linear.weight[0, 0] = 1.0
        feature = pretext.network.encoder(columns["image"])[-1][:, :1]
        heat = shown(pretext, items)["heat"]
    assert list(columns) == ["image", "heat", "image where the heat is"]
    assert torch.equal(columns["image"], items["image"].float() / 255)
    assert torch.equal(columns["image where the heat is"], columns["image"] * columns["heat"])
    mode = "bilinear" if spatial_dims == 2 else "trilinear"
    enlarged = torch.nn.functional.interpolate(feature, heat.shape[2:], mode=mode, align_corners=False).relu()
    highest = enlarged.flatten(1).amax(1).clamp(min=1e-12).view(-1, *[1] * (enlarged.ndim - 1))
    torch.testing.assert_close(heat, enlarged / highest, atol=1e-4, rtol=1e-4)


def test_a_classification_by_resnet_shows_where_it_looks_too():
    torch.manual_seed(0)
    pretext = Classification(imagenet_unet("resnet18"), 2).eval()
    with torch.no_grad():
        heat = shown(pretext, {"image": torch.rand(2, 3, 64, 64)})["heat"]
    assert heat.shape == (2, 1, 64, 64)
    assert heat.flatten(1).amax(1).tolist() == pytest.approx([1, 1])
