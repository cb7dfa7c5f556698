"""The record of epochs: its lines, what a resumed run drops of them, and a full disk."""

import json

import pytest
import torch
from ignite.engine import Engine, Events

from segxfer3d import files
from segxfer3d.errors import InputError
from segxfer3d.training.record import EpochRecord, cut_record
from tests.training.stand_ins import Run


def train(run, epochs=2, validated=(), **options):
    """Losses 1, 2, 3, ... and their halves, two a epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.25)
    validation = Engine(lambda *_: None) if validated else None
    trainer = Engine(
        lambda engine, _: [
            {"loss": torch.tensor(float(engine.state.iteration)), "loss_a": torch.tensor(engine.state.iteration / 2),
             "pred": torch.zeros(2, 2)}
        ]
    )  # fmt: skip

    def validate(engine):
        if engine.state.epoch in validated:
            validation.state.epoch = engine.state.epoch - 1
            validation.state.max_epochs = None
            validation.run([0], max_epochs=engine.state.epoch)
            validation.state.metrics["dice"] = 0.5

    trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
    EpochRecord(run, optimizer, validation=validation, progress=False, **options).attach(trainer)
    trainer.run([0, 0], max_epochs=epochs)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_line_for_each_epoch(tmp_path):
    train(Run(tmp_path), epochs=3, validated=(2,))
    record = lines(tmp_path)
    assert all(line.pop("seconds") >= 0 for line in record)
    assert record == [
        {"epoch": 1, "step": 2, "loss": 1.5, "loss_a": 0.75, "lr": 0.25},
        {"epoch": 2, "step": 4, "loss": 3.5, "loss_a": 1.75, "lr": 0.25, "validation_dice": 0.5},
        {"epoch": 3, "step": 6, "loss": 5.5, "loss_a": 2.75, "lr": 0.25},
    ]
    assert list((tmp_path / "tensorboard").iterdir())


def test_one_process_writes(tmp_path):
    train(Run(tmp_path, main=False))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "tensorboard").touch()
    with pytest.raises(InputError, match=r"tensorboard could not be written .*the last training state is kept"):
        train(Run(tmp_path))
    (tmp_path / "other" / "metrics.jsonl").mkdir(parents=True)
    with pytest.raises(InputError, match=r"metrics\.jsonl could not be written"):
        train(Run(tmp_path / "other"))


def test_a_resumed_run_drops_what_it_writes_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert cut_record(path, 0) == ""
    assert not path.exists()
    for epoch in (1, 2, 3):
        files.append_line(path, json.dumps({"epoch": epoch, "step": epoch, "note": "µ"}))
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')
    assert cut_record(path, 2) == ""
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2]
    path.write_bytes(path.read_bytes() + b'{"epoch": 3, "\x80\xff')
    cut_record(path, 2)
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 2]
    cut_record(path, 0)
    assert path.read_bytes() == b""


def test_epochs_whose_lines_are_gone_are_named_and_the_others_stay(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert cut_record(path, 2) == f"{path} lacks 1, 2 of 2 epochs"
    for epoch in (1, 2, 3, 12):
        files.append_line(path, "{" if epoch == 2 else json.dumps({"epoch": epoch, "step": epoch}))
    assert cut_record(path, 3) == f"{path} lacks 2 of 3 epochs"
    assert [line["epoch"] for line in lines(tmp_path)] == [1, 3]
