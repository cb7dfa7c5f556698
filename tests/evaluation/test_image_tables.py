"""The table of images that were measured."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch.utils.data import DataLoader

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.preprocessing.images import HeldImages
from segxfer3d.evaluation.image_tables import ImageTable
from segxfer3d.training.preparation import ImagePreparation
from tests.data.image_files import noise, save


class Folder:
    """What a table needs of a session."""

    def __init__(self, folder):
        self.folder = folder

    def write_rows(self, name, rows):
        with (self.folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    def write_json(self, name, content):
        (self.folder / name).write_text(json.dumps(content))


def mask_of(top, ignored=()):
    mask = np.zeros((8, 8), np.uint8)
    mask[top : top + 2, :4] = 1
    mask[list(ignored)] = 255
    return mask


MASKS = {"c": mask_of(0), "a": mask_of(2, ignored=[3, 4]), "b": np.zeros((8, 8), np.uint8)}


@pytest.fixture
def dataset(tmp_path):
    cases = []
    for seed, (name, mask) in enumerate(MASKS.items()):
        image = save(tmp_path / f"{name}.png", noise((8, 8), seed=seed))
        path = save(tmp_path / f"{name}-mask.png", mask)
        cases.append(Case(name, image, path, patient=f"group {name}"))
    images = CaseSet(tmp_path, "test", 2, tuple(cases), label_rule=LabelRule(ignore=(255,)), target="cat")
    return HeldImages(images, 8, progress=False)


def measure(table, dataset, predict, batch_size=2):
    """Go through a data set as MONAI's evaluator does; ``predict`` turns a batch into logits."""
    preparation = ImagePreparation([8, 8])

    def step(engine, batch):
        _, label = preparation(batch, torch.device("cpu"))
        return {"pred": predict(batch), "label": label}

    engine = Engine(step)
    table.attach(engine)
    engine.run(DataLoader(dataset, batch_size=batch_size))
    return engine.state.metrics


def top_rows(batch):
    """Foreground in the four top rows, of every image."""
    logits = torch.full(batch["label"].shape, -9.0)
    logits[:, :, :4, :4] = 9.0
    return logits


def test_a_row_for_every_image_of_both_batches(dataset, tmp_path):
    table = ImageTable(Folder(tmp_path), dataset, {1: "cat"}, "cases.csv")
    metrics = measure(table, dataset, top_rows)
    with (tmp_path / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["patient"]) for row in rows] == [(name, f"group {name}") for name in "abc"]
    # a: rows 3 and 4 are ignored, so that row 2 is left of the label and rows 0 to 2 of the prediction
    assert [float(row["label_pixels"]) for row in rows] == [4, 0, 8]
    assert [float(row["prediction_pixels"]) for row in rows] == [12, 16, 16]
    assert [float(row["dice"]) for row in rows] == pytest.approx([2 * 4 / 16, 0, 2 * 8 / 24])
    assert [float(row["iou"]) for row in rows] == pytest.approx([4 / 12, 0, 8 / 16])
    assert not {"label_mm3", "prediction_mm3"} & rows[0].keys()
    summary = json.loads((tmp_path / "cases_summary.json").read_text(encoding="utf-8"))
    assert metrics["dice"] == summary["dice"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert (summary["cases"], summary["empty_labels"]) == (3, 1)
    assert {"genesis_dice", "genesis_iou", "label_pixels"} <= summary.keys()


def test_a_perfect_prediction_and_a_second_pass(dataset, tmp_path):
    table = ImageTable(Folder(tmp_path), dataset, {1: "cat"})
    for size in (1, 3):
        metrics = measure(table, dataset, lambda batch: 40.0 * batch["label"] - 20, size)
        assert metrics["dice"] == metrics["iou"] == 1.0
        assert metrics["genesis_dice"] == pytest.approx(1, abs=1e-3)
        assert len(table.rows) == 3
    assert not (tmp_path / "cases.csv").exists()


def test_what_is_ignored_changes_nothing(dataset, tmp_path):
    tables = [ImageTable(Folder(tmp_path), dataset, {1: "cat"}) for _ in range(2)]
    measure(tables[0], dataset, top_rows)
    measure(tables[1], dataset, lambda batch: torch.where(batch["valid"] == 0, 5.0, top_rows(batch)))
    assert tables[0].rows == tables[1].rows


def test_images_of_another_process_are_passed_over(dataset, tmp_path, monkeypatch):
    table = ImageTable(Folder(tmp_path), dataset, {1: "cat"})
    parts = SimpleNamespace(get_rank=lambda: 1, get_world_size=lambda: 2)
    with monkeypatch.context() as patch:
        patch.setattr("segxfer3d.evaluation.tables.idist", parts)
        table._start(None)
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    _, label = ImagePreparation([8, 8])(batch, torch.device("cpu"))
    table._measure(
        SimpleNamespace(state=SimpleNamespace(batch=batch, output={"pred": top_rows(batch), "label": label}))
    )
    assert [row["case"] for row in table.rows] == ["a"]
