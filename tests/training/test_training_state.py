"""Training states without a job: which are saved, which weights are best, when training stops, where it goes on."""

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from segxfer3d.errors import InputError
from segxfer3d.training.resume import Keep, TrainingState
from segxfer3d.training.schedules import make_schedule
from tests.training.stand_ins import Run


class Training:
    """A weight that is its epoch's number, and a validation that gives one figure after another."""

    def __init__(self, run, figures=(), epochs=5, **options):
        self.network = nn.Linear(1, 1, bias=False)
        optimizer = torch.optim.SGD(self.network.parameters(), lr=1.0)
        self.validation = Engine(lambda *_: None) if figures else None
        self.trainer = Engine(self.step)
        self.figures, self.epochs, self.trained = figures, epochs, []
        if figures:
            self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self.validate)
        schedule = make_schedule(optimizer, "constant", 1)
        self.state = TrainingState(
            run, self.network, optimizer=optimizer, schedule=schedule, validation=self.validation, **options
        )
        Keep(self.state).attach(self.trainer)

    def step(self, engine, _):
        self.trained.append(engine.state.epoch)
        nn.init.constant_(self.network.weight, float(engine.state.epoch))

    def validate(self, engine):
        self.validation.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "epoch", engine.state.epoch - 1))
        self.validation.state.metrics = {"dice": self.figures[engine.state.epoch - 1]}
        self.validation.run([0], max_epochs=engine.state.epoch)

    @property
    def weight(self):
        return float(self.network.weight.detach())

    def run(self):
        self.trainer.run([0], max_epochs=self.epochs)
        return self


def saved(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.mark.parametrize(("interval", "epochs"), [(1, [4, 5]), (2, [4, 5]), (3, [3, 5]), (9, [5])])
def test_a_state_every_few_epochs_and_after_the_last(interval, epochs, tmp_path):
    Training(Run(tmp_path), save_interval=interval).run()
    assert saved(tmp_path) == [f"epoch-{epoch:05d}.pt" for epoch in epochs]  # the newest two


@pytest.mark.parametrize(("larger", "best"), [(True, 2), (False, 4)])
def test_the_best_weights(larger, best, tmp_path):
    run = Run(tmp_path)
    training = Training(run, [0.2, 0.5, 0.3, 0.1, 0.4], keep="best", larger_is_better=larger).run()
    assert training.weight == 5
    training.state.use_best()
    assert training.weight == best
    assert run.said == [f"keeping the weights of epoch {best} (dice {0.5 if larger else 0.1:.4f})"]


def test_the_last_weights(tmp_path):
    training = Training(Run(tmp_path), [0.2, 0.5, 0.3, 0.1, 0.4], keep="last").run()
    training.state.use_best()
    assert training.weight == 5


def test_it_stops_when_nothing_gets_better(tmp_path):
    run = Run(tmp_path)
    training = Training(run, [0.2, 0.5, 0.3, 0.5, 0.9], patience=2, save_interval=9).run()
    assert training.trained == [1, 2, 3, 4]
    assert run.said == ["stopped after epoch 4: no progress for 2 validations"]
    assert saved(tmp_path) == ["epoch-00004.pt"]
    again = Run(tmp_path, resume=True)
    assert Training(again, [0.2, 0.5, 0.3, 0.5, 0.9], patience=2).run().trained == []
    assert again.said == [
        f"warning: {tmp_path / 'metrics.jsonl'} lacks 1, 2, 3, 4 of 4 epochs: it was deleted or edited; no curve shows "
        "them",
        "resume: all 4 epochs are trained already, nothing is trained again",
    ]


def test_it_goes_on_behind_the_newest_state(tmp_path):
    figures = [0.2, 0.5, 0.3, 0.1, 0.4]
    Training(Run(tmp_path), figures, epochs=3, keep="best").run()
    lines = [f'{{"epoch": {epoch}, "step": {epoch}}}' for epoch in range(1, 5)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    run = Run(tmp_path, resume=True)
    training = Training(run, figures, keep="best").run()
    assert training.trained == [4, 5]
    assert run.said == ["resume: going on after epoch 3"]
    assert training.state.best_epoch == 2
    assert (training.state.best, training.state.stale) == (0.5, 3)
    training.state.use_best()
    assert training.weight == 2
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == lines[:3]


def test_a_state_whose_best_weights_do_not_fit_is_passed_over(tmp_path):
    """They are needed when the training has ended, long after an older state could be taken."""
    figures = [0.2, 0.5, 0.3, 0.1, 0.4]
    Training(Run(tmp_path), figures, epochs=3, keep="best").run()
    newest = tmp_path / "checkpoints" / "epoch-00003.pt"
    content = torch.load(newest, weights_only=True)
    torch.save({**content, "best_state": {"weight": torch.zeros(3, 3)}}, newest)
    training = Training(Run(tmp_path, resume=True), figures, keep="best").run()
    assert training.trained == [3, 4, 5]
    training.state.use_best()
    assert training.weight == 2


def test_without_a_state_it_begins_again(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1}\n')
    run = Run(tmp_path, resume=True)
    assert Training(run, epochs=2).run().trained == [1, 2]
    assert run.said == ["resume: no training state yet, starting from the beginning"]
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_a_finished_run_whose_states_are_gone(tmp_path):
    with pytest.raises(InputError, match=r"is finished and its training states are gone; use its model\.pt"):
        Training(Run(tmp_path, resume=True, finished=True)).run()


def test_one_process_saves(tmp_path):
    Training(Run(tmp_path, main=False)).run()
    assert list(tmp_path.iterdir()) == []


def test_states_that_cannot_be_written(tmp_path):
    (tmp_path / "checkpoints").touch()
    with pytest.raises(InputError, match=r"checkpoints cannot be written \(expected a folder, found a file"):
        Training(Run(tmp_path)).run()


@pytest.mark.parametrize(("keep", "figure"), [("best", 0.6), ("last", 0.5)])
def test_what_validation_found_of_the_weights_that_are_left(keep, figure, tmp_path):
    run = Run(tmp_path)
    trained = Training(run, figures=[0.1, 0.6, 0.2, 0.3, 0.5], keep=keep).run()
    assert trained.state.figure() == figure
    (tmp_path / "none").mkdir()
    assert Training(Run(tmp_path / "none"), keep=keep).run().state.figure() is None
    # gone on with when all is trained: the state has the best figure, and nothing of the last
    again = Training(Run(tmp_path, resume=True), figures=[0.0] * 5, keep=keep).run()
    assert again.state.figure() == (figure if keep == "best" else None)


def test_a_state_that_saw_changed_data_is_refused_where_nothing_tells_them(tmp_path):
    entry = {"when": "2026-01-02", "cases": {}}
    run = Run(tmp_path)
    run.made_from.accepted = [entry]
    Training(run, epochs=2).run()
    for accepted in ([], [{**entry, "when": "2026-01-03"}]):  # gone, and accepted anew
        again = Run(tmp_path, resume=True)
        again.made_from.accepted = accepted
        with pytest.raises(InputError, match=r"accepted\.json is gone, or was edited: .*2026-01-02; bring it back, or"):
            Training(again, epochs=3).run()
    again.made_from.accepted = [entry, *accepted]
    assert Training(again, epochs=3).run().trained == [3]
