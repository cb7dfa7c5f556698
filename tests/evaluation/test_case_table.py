"""One table for images and volumes, on the files' own grids and at the size that the network sees."""

from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
import torch.distributed
from ignite.engine import Engine
from torch.utils.data import DataLoader

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.evaluation.evaluate import case_loader, prepare_held, prepare_items
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.settings import InferenceSettings
from tests.data.image_files import noise, save
from tests.two_processes import run_two

CPU = torch.device("cpu")


def mask_of(top, ignored=()):
    mask = np.zeros((8, 8), np.uint8)
    mask[top : top + 2, :4] = 1
    mask[list(ignored)] = 255
    return mask


MASKS = {"c": mask_of(0), "a": mask_of(2, ignored=[3, 4]), "b": np.zeros((8, 8), np.uint8)}


def image_set(folder, masks, **rule):
    cases = []
    for seed, (name, mask) in enumerate(masks.items()):
        image = save(folder / f"{name}.png", noise(mask.shape, seed=seed))
        path = save(folder / f"{name}-mask.png", mask)
        cases.append(Case(name, image, path, patient=f"group {name}"))
    return CaseSet(folder, "test", 2, tuple(cases), label_rule=LabelRule(ignore=(255,), **rule), target="cat")


@pytest.fixture
def images(tmp_path):
    return image_set(tmp_path, MASKS)


@pytest.fixture
def held(images):
    return ImagePreprocessing(8, 3).hold(images.cases, images, labels=True, progress=False)


def measure(table, predict, batch_size=2):
    """Go through the cases of a table as MONAI's evaluator does; ``predict`` turns a batch into logits."""
    prepare = prepare_held if table.measured == "network" else prepare_items

    def step(engine, batch):
        images, label = prepare(batch, CPU)
        return {"pred": predict(batch, images), "label": label}

    engine = Engine(step)
    table.attach(engine)
    engine.run(case_loader(table, batch_size=batch_size))
    return engine.state.metrics


def top_rows(batch, images):
    """Foreground in the left half of the four top rows, of every image."""
    logits = torch.full((len(images), 1, 8, 8), -9.0)
    logits[:, :, :4, :4] = 9.0
    return logits


# --- at the size that the network sees ---


def test_a_row_for_every_image_of_both_batches(held):
    table = CaseTable(held, {1: "cat"}, measured="network")
    metrics = measure(table, top_rows)
    rows = table.files()["cases.csv"]
    assert [(row["case"], row["patient"]) for row in rows] == [(name, f"group {name}") for name in "abc"]
    # a: rows 3 and 4 are ignored, so that row 2 is left of the label and rows 0 to 2 of the prediction
    assert [row["label_pixels"] for row in rows] == [4, 0, 8]
    assert [row["prediction_pixels"] for row in rows] == [12, 16, 16]
    assert [row["dice"] for row in rows] == pytest.approx([2 * 4 / 16, 0, 2 * 8 / 24])
    assert [row["iou"] for row in rows] == pytest.approx([4 / 12, 0, 8 / 16])
    # the columns of the tables of earlier versions, in their order
    columns = ["case", "patient", "dice", "iou", "empty_label", "label_pixels", "prediction_pixels"]
    assert list(rows[0]) == columns
    summary = table.files()["cases_summary.json"]
    assert metrics["dice"] == summary["dice"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert (summary["cases"], summary["empty_labels"]) == (3, 1)
    assert summary["genesis_dice"] == summary["pooled_dice"]  # three cases are one batch
    assert {"genesis_iou", "label_pixels"} <= summary.keys()
    assert list(table.files("validation")) == ["validation.csv", "validation_summary.json", "validation_pooled.json"]


def test_a_perfect_prediction_and_a_second_pass(held):
    table = CaseTable(held, {1: "cat"}, measured="network")
    for size in (1, 3):
        metrics = measure(table, lambda batch, _: 40.0 * batch["label"] - 20, size)
        assert metrics["dice"] == metrics["iou"] == 1.0
        assert metrics["genesis_dice"] == pytest.approx(1, abs=1e-3)
        assert len(table.rows) == 3


def test_what_is_ignored_changes_nothing(held):
    tables = [CaseTable(held, {1: "cat"}, measured="network") for _ in range(2)]
    measure(tables[0], top_rows)
    measure(tables[1], lambda batch, images: torch.where(batch["valid"] == 0, 5.0, top_rows(batch, images)))
    assert tables[0].rows == tables[1].rows


def test_several_classes_of_images(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[:2], mask[4:6] = 3, 7
    several = image_set(tmp_path, {"a": mask, "b": np.zeros_like(mask)}, foreground=(3, 7), several=True)
    dataset = ImagePreprocessing(8, 3).hold(several.cases, several, labels=True, progress=False)
    table = CaseTable(dataset, {3: "cat", 7: "dog"}, measured="network")

    def predict(batch, images):
        logits = torch.full((len(images), 2, 8, 8), -9.0)
        logits[:, 0, :4] = 9.0
        logits[:, 1, 4:6] = 9.0
        return logits

    metrics = measure(table, predict)
    a, b = table.rows
    assert (a["dice_cat"], a["dice_dog"], a["dice"]) == pytest.approx((2 * 16 / 48, 1.0, (2 / 3 + 1) / 2))
    assert (b["dice_cat"], b["dice_dog"]) == (0.0, 0.0)
    assert a["label_pixels"] == 32
    assert a["prediction_pixels"] == 48
    assert metrics["dice_dog"] == 0.5


def test_images_of_another_process_are_passed_over(held, monkeypatch):
    table = CaseTable(held, {1: "cat"}, measured="network")
    with monkeypatch.context() as patch:
        parts = SimpleNamespace(get_rank=lambda: 1, get_world_size=lambda: 2)
        patch.setattr("segxfer3d.evaluation.tables.idist", parts)
        table._start(None)
    batch = next(iter(DataLoader(held, batch_size=3)))
    inputs, label = prepare_held(batch, CPU)
    output = {"pred": top_rows(batch, inputs), "label": label}
    table._measure(SimpleNamespace(state=SimpleNamespace(batch=batch, output=output)))
    assert [row["case"] for row in table.rows] == ["a"]


def test_classes_that_exclude_each_other(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[:2], mask[4:6], mask[7] = 3, 7, 255
    several = image_set(tmp_path, {"a": mask}, foreground=(3, 7), several=True)
    dataset = ImagePreprocessing(8, 3).hold(several.cases, several, labels=True, progress=False)
    table = CaseTable(dataset, {3: "cat", 7: "dog"}, measured="network", inference=InferenceSettings("softmax"))

    def predict(batch, images):
        logits = torch.zeros(len(images), 3, 8, 8)
        logits[:, 0] = 0.01
        logits[:, 1, :2] = 0.1  # 0.36 of 1: no half, and more than the others
        logits[:, 2, 4:] = 0.1
        return logits

    measure(table, predict)
    (row,) = table.rows
    assert (row["dice_cat"], row["dice_dog"]) == pytest.approx((1, 2 * 16 / (16 + 24)))
    assert row["prediction_pixels"] == 16 + 24  # the ignored row is no one's


# --- on the files' own grids ---


def test_images_of_different_sizes_on_their_own_grids(tmp_path):
    wide = np.zeros((4, 8), np.uint8)
    wide[1:3, :4] = 1
    images = image_set(tmp_path, {"square": mask_of(0, ignored=[3]), "wide": wide})
    preprocessing = ImagePreprocessing(8, 3)
    table = CaseTable(WholeCases(images.cases, images, preprocessing), {1: "cat"})

    def predict(items, inputs):
        assert inputs.shape == (2, 3, 8, 8)
        return top_rows(items, inputs)  # of the wide image, padded by two rows, these are its rows 0 and 1

    measure(table, predict)
    square, wide_row = table.rows
    assert (square["label_pixels"], square["prediction_pixels"]) == (8, 12)  # row 3 is ignored
    assert square["dice"] == pytest.approx(16 / 20)
    assert (wide_row["label_pixels"], wide_row["prediction_pixels"]) == (8, 8)
    assert wide_row["dice"] == pytest.approx(2 * 4 / 16)


@pytest.fixture
def volumes(tmp_path):
    """Two turned volumes whose HU are 1000 where the label is, else -1000; voxels of 1 x 2 x 3 mm."""
    affine = np.array([[0, -2.0, 0, 5], [-1.0, 0, 0, 7], [0, 0, 3.0, 0], [0, 0, 0, 1]])
    cases = []
    for name, boxes in {"x": [(1, 3)], "y": [(1, 2), (5, 7)]}.items():
        label = np.zeros((8, 9, 10), np.uint8)
        for start, stop in boxes:
            label[start:stop, 2:4, 3:5] = 1
        for kind, array in (("image", label * 2000.0 - 1000), ("label", label)):
            nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), affine), tmp_path / f"{name}-{kind}.nii")
        cases.append(Case(name, tmp_path / f"{name}-image.nii", tmp_path / f"{name}-label.nii", patient="p"))
    return CaseSet(tmp_path, "folder", 3, tuple(cases), {1: "nodule"}, modality="CT")


def right(_, images):
    return 40.0 * images - 20


def test_volumes_in_millimeters_with_their_lesions(volumes):
    dataset = WholeCases(volumes.cases, volumes, VolumePreprocessing())
    table = CaseTable(dataset, volumes.classes, lesions=True, lesion_tolerance=1.0)
    metrics = measure(table, right)
    assert metrics["dice"] == metrics["iou"] == metrics["lesion_sensitivity"] == 1.0
    x, y = table.rows
    assert (x["label_mm3"], y["label_mm3"]) == (pytest.approx(8 * 6), pytest.approx(12 * 6))
    assert (x["patient"], table.summary["patients"]) == ("p", 1)
    assert list(x) == ["case", "patient", "dice", "iou", "label_mm3", "prediction_mm3", "empty_label"]
    files = table.files()
    assert list(files) == ["lesion_cases.csv", "lesions.csv", "cases.csv", "cases_summary.json", "cases_pooled.json"]
    assert [(row["case"], row["class"], row["lesions"]) for row in files["lesion_cases.csv"]] == [
        ("x", "nodule", 1),
        ("y", "nodule", 2),
    ]
    assert [row["case"] for row in files["lesions.csv"]] == ["x", "y", "y"]
    # a second pass starts anew, and what is not there is not kept
    measure(table, lambda *args: -right(*args))
    assert table.summary["dice"] == 0
    empty = CaseTable(dataset, volumes.classes, lesions=True)
    assert list(empty.files()) == ["lesion_cases.csv", "cases.csv", "cases_summary.json", "cases_pooled.json"]


def test_lesions_on_a_sheared_grid_have_the_volumes_of_its_voxels(volumes):
    """A gantry tilted by 30 degrees."""
    affine = np.array([[2.0, 0, 0, 0], [0, 1.0, 1.5, 0], [0, 0, 3 * np.cos(np.pi / 6), 0], [0, 0, 0, 1]])
    for path in (path for case in volumes.cases for path in (case.image, case.label)):
        nibabel.save(nibabel.Nifti1Image(np.asarray(nibabel.load(path).dataobj).copy(), affine), path)
    table = CaseTable(WholeCases(volumes.cases, volumes, VolumePreprocessing()), volumes.classes, lesions=True)
    measure(table, right)
    found = [[row["label_mm3"] for row in rows] for rows in (table.rows, table.lesion_rows)]
    assert np.concatenate(found) == pytest.approx(np.array([8, 12, 8, 4, 8]) * 2 * 3 * np.cos(np.pi / 6))


def test_what_is_beside_the_largest_component_is_background(volumes):
    dataset = WholeCases(volumes.cases, volumes, VolumePreprocessing())
    table = CaseTable(
        dataset, volumes.classes, lesions=True, lesion_tolerance=1.0,
        inference=InferenceSettings(largest_component=(1,)),
    )  # fmt: skip
    measure(table, right)
    x, y = table.rows
    assert (x["dice"], y["dice"]) == pytest.approx((1.0, 2 * 8 / (8 + 12)))
    assert y["prediction_mm3"] == pytest.approx(8 * 6)
    assert [row["lesions"] for row in table.lesion_cases] == [1, 2]
    assert table.summary["lesion_sensitivity"] < 1
    table.inference = InferenceSettings()
    measure(table, right)
    assert table.summary["dice"] == 1.0


def test_an_output_that_is_no_number_names_its_case(volumes):
    table = CaseTable(WholeCases(volumes.cases, volumes, VolumePreprocessing()), volumes.classes)
    with pytest.raises(InputError, match=r"case x: probabilities: values from nan"):
        measure(table, lambda _, images: images * torch.nan)


def test_the_grid_is_the_files_whatever_the_network_sees(volumes):
    preprocessing = VolumePreprocessing(spacing=(1.0, 1.0, 1.0))
    table = CaseTable(WholeCases(volumes.cases, volumes, preprocessing), volumes.classes)
    measure(table, right)
    assert [row["label_mm3"] for row in table.rows] == pytest.approx([48, 72])
    assert all(row["dice"] > 0.8 for row in table.rows)


def test_what_cannot_be_measured_is_refused(held):
    with pytest.raises(InputError, match="measured: expected file or network, got 'both'"):
        CaseTable(held, {1: "cat"}, measured="both")
    with pytest.raises(InputError, match="needs the preprocessing"):
        CaseTable(held, {1: "cat"})
    with pytest.raises(InputError, match="lesions: measured in volumes only"):
        CaseTable(held, {1: "cat"}, measured="network", lesions=True)


def _measure_share(rank, folder, volumes):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    table = CaseTable(WholeCases(volumes.cases, volumes, VolumePreprocessing()), volumes.classes, lesions=True)
    measure(table, right)
    torch.save(table.files(), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_table_of_one(volumes, tmp_path):
    run_two(_measure_share, tmp_path, volumes)
    table = CaseTable(WholeCases(volumes.cases, volumes, VolumePreprocessing()), volumes.classes, lesions=True)
    measure(table, right)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == table.files()
