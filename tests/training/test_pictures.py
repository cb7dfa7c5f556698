"""The monitor of a pretext: when it looks, what it writes, and that training does not notice."""

from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image

from segxfer3d.errors import InputError
from segxfer3d.pretexts.simclr import SimCLR
from segxfer3d.training.pictures import PICTURES, PretextMonitor
from tests.pretexts.stand_ins import batch, network, views

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
