"""The monitor of a pretext: when it looks, what it writes, and that training does not notice; its grids."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from PIL import Image

from segxfer3d.errors import InputError
from segxfer3d.pretexts.simclr import SimCLR
from segxfer3d.training.pictures import PICTURES, PretextMonitor, image_grid
from tests.pretexts.stand_ins import batch, network, views
from tests.training.stand_ins import Run

PROBES = {"neighbor_accuracy", "linear_accuracy"}
SIGNS = PROBES | {f"untrained_{name}" for name in PROBES}


def images(count, seed, by_class=False):
    """Items of images of two classes; with ``by_class`` dark and bright ones."""
    items = batch(n=count, seed=seed)
    if by_class:
        items["image"] = (items["category"] * 200).to(torch.uint8)[:, None, None, None].expand(-1, 3, 16, 16)
    return [{"image": image, "category": c} for image, c in zip(items["image"], items["category"], strict=True)]


def monitor(folder, interval=2, main=True, probe=True, by_class=False):
    sides = (images(24, 1, by_class), images(10, 2, by_class)) if probe else None
    return PretextMonitor(
        Run(folder, main=main), SimCLR(network(), views), pictures=images(11, 0), probe=sides, interval=interval,
        device=torch.device("cpu"),
    )  # fmt: skip


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
    assert set(record[0][0]) == SIGNS
    # of two classes; the last digit hangs on the threads of a convolution
    assert min(record[0][0][name] for name in PROBES) >= 0.8


def test_an_untrained_network_is_probed_beside(tmp_path):
    """Whatever the pretext has learned, and however often it is looked at."""
    looked = monitor(tmp_path, interval=1, by_class=True)
    (first, _), *_ = run(looked, epochs=1)
    with torch.no_grad():
        for parameter in looked.network.parameters():
            parameter.zero_()
    (broken, _), *_ = run(looked, epochs=1)
    (again, _), *_ = run(monitor(tmp_path, interval=1, by_class=True), epochs=1)
    assert broken["neighbor_accuracy"] != first["neighbor_accuracy"]
    for name in SIGNS - PROBES:
        assert first[name] == broken[name] == again[name]
    assert first["untrained_linear_accuracy"] >= 0.8  # dark and bright can be told without any training


@pytest.mark.parametrize("how", [{"interval": 0}, {"main": False}])
def test_never(how, tmp_path):
    assert all(not metrics for metrics, _ in run(monitor(tmp_path, **how)))
    assert list(tmp_path.iterdir()) == []


def test_without_classes_pictures_only(tmp_path):
    assert all(not metrics for metrics, _ in run(monitor(tmp_path, probe=False)))
    assert len(list((tmp_path / "pictures").iterdir())) == 3


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "pictures").touch()
    with pytest.raises(InputError, match=r"pictures cannot be written .*; the last training state is kept"):
        run(monitor(tmp_path))


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    looked = monitor(tmp_path)

    def full(name, content):
        raise InputError(f"{name} could not be saved (No space left on device)")

    monkeypatch.setattr(looked.run, "write_bytes", full)
    message = r"epoch-00002\.png could not be saved .*No space.*; the last training state is kept"
    with pytest.raises(InputError, match=message):
        run(looked)


def test_a_picture_is_its_grid(tmp_path):
    looked = monitor(tmp_path, interval=5)
    run(looked)
    columns = {}
    with torch.no_grad():
        torch.manual_seed(0)
        shown = torch.stack([item["image"] for item in looked.pictures[:PICTURES]])
        columns = looked.network.eval().pictures({"image": shown})
    with Image.open(tmp_path / "pictures" / "epoch-00005.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), image_grid(columns))


def test_a_grid_in_two_dimensions():
    images = torch.rand(3, 3, 5, 7)
    grid = image_grid({"inputs": images, "masks": torch.ones(3, 1, 5, 7)}, count=2)
    assert grid.shape == (5 + 2 + 5, 7 + 2 + 7, 3)
    expected = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(grid[:5, :7], expected[0])
    np.testing.assert_array_equal(grid[7:, :7], expected[1])
    assert (grid[:, 7:] == 255).all()


def test_a_grid_of_volumes_shows_the_middle_slice():
    volume = torch.zeros(1, 1, 4, 6, 5)
    volume[0, 0, 3, 5, 2] = 1  # the patient's right, in front, in the middle slice: to be seen at the top left
    grid = image_grid({"inputs": volume})
    assert grid.shape == (6, 4, 3)
    assert (grid[0, 0] == 255).all()
    assert grid.sum() == 3 * 255


def test_grids_refuse_what_does_not_fit():
    image = torch.rand(1, 1, 4, 4)
    for columns, message in (
        ({}, "no columns"),
        ({"a": torch.rand(1, 2, 4, 4)}, "a: expected"),
        ({"a": image, "b": torch.rand(1, 1, 4, 5)}, "b is"),
    ):
        with pytest.raises(InputError, match=message):
            image_grid(columns)


def test_channels_of_volumes_are_side_by_side():
    volumes, other = torch.rand(2, 1, 3, 5, 4, 6), torch.rand(1, 1, 5, 4, 6)
    grid = image_grid({"a": volumes[0], "b": other, "c": volumes[1]})
    expected = {str(i): part for i, part in enumerate([*volumes[0].split(1, 1), other, *volumes[1].split(1, 1)])}
    np.testing.assert_array_equal(grid, image_grid(expected))
