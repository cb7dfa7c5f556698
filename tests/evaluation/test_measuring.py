"""Volumes measured piece by piece: what the logits, probabilities and labels of the whole volume give."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from segxfer3d.data.case import Case, CaseSet, LabelRule
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing.class_masks import ChannelMasks, ValueMasks, stacked_masks
from segxfer3d.data.preprocessing.file_grid import FileGrid
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.evaluation import measuring
from segxfer3d.evaluation.component_choice import choose_components
from segxfer3d.evaluation.evaluate import case_evaluator, evaluate
from segxfer3d.evaluation.metrics import dice, iou
from segxfer3d.evaluation.preview_cases import take_previews
from segxfer3d.evaluation.soft_dice import soft_sums
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.ensemble import load_ensemble
from segxfer3d.inference.labels import probabilities_on_file
from segxfer3d.inference.model import load_model
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.inference.volume_masks import Way
from segxfer3d.inference.windows import WindowInferer
from tests.data.volumes import ct, write_nifti
from tests.inference.models import volume_model
from tests.inference.test_ensemble import three
from tests.inference.test_volume_masks import CLASSES, ENTRIES, TURNED, Largest, Sixty

CPU = torch.device("cpu")
SHAPE = (23, 35, 18)
REGIONS = ((5, (5, 9)), (3, (3,)), (9, (9,)))


def label_of(shape=SHAPE):
    """0, 3, 5, 9 and, in a plane, 77."""
    rng = np.random.default_rng(4)
    label = np.repeat(rng.choice(np.array([0, 3, 5, 9], np.uint8), shape[:2])[..., None], shape[2], 2)
    label[:, 5] = 77
    return label


def data_set(folder, classes, *, ignore=(), regions=(), label=None):
    label = label_of() if label is None else label
    label = np.where((label == 77) & (not ignore), 0, label)
    if 1 in classes and len(classes) == 1:
        label = np.where(label == 3, 1, label)
    cases = []
    for number, name in enumerate("ab"):
        image = ct(label.shape) + 50 * number
        files = [write_nifti(folder / f"{name}-{kind}.nii.gz", array, TURNED) for kind, array in
                 (("image", image), ("label", np.where(np.isin(label, [*classes, 77]), label, 0)))]  # fmt: skip
        cases.append(Case(name, *files, patient=name))
    return CaseSet(folder, "x", 3, tuple(cases), classes, LabelRule(tuple(classes), ignore=ignore), regions=regions)


def as_before(model, found, case):
    """Rows, sums and classes by maps of the whole volume for each class, as they were made at first."""
    item = model.preprocessing.read(case, found, label=True)
    shares = probabilities_on_file(model.logits([item])[0], item, model.preprocessing, model.inference.activation)
    values = torch.from_numpy(item["label"].values.astype(int))
    label = torch.stack([torch.isin(values, torch.tensor(part)) for part in found.parts]).float()
    counts = (~torch.isin(values, torch.tensor(found.label_rule.ignore or (-1,)))).float()[None]
    index = model.inference.class_index(shares.as_tensor(), list(model.classes))
    shares, index, label = shares.as_tensor() * counts, index * counts[0].byte(), label * counts
    parts = [torch.isin(index, torch.tensor(part)) for part in model.inference.numbers(list(model.classes))]
    scores = [(dice(part, mask > 0.5), iou(part, mask > 0.5)) for part, mask in zip(parts, label, strict=True)]
    return scores, int(label.any(0).sum()), int((index > 0).sum()), soft_sums(shares, label), index


def check(model, found, monkeypatch):
    for limit in (0, 2**26):
        monkeypatch.setattr(measuring, "IN_ONE_PIECE", limit)
        table = evaluate(model, found.cases, found)
        for case, row in zip(found.cases, table.rows, strict=True):
            scores, labeled, predicted, sums, _ = as_before(model, found, case)
            names = model.classes.values() if len(scores) > 1 else ()
            assert [(row[f"dice_{name}"], row[f"iou_{name}"]) for name in names] == scores[: len(names)]
            assert row["dice"] == sum(score[0] for score in scores) / len(scores)
            assert (row["label_mm3"], row["prediction_mm3"]) == pytest.approx((labeled * 3, predicted * 3))
            kept = table.pooled["cases"][case.name]
            assert kept == (list(sums) if limit else pytest.approx(sums, rel=1e-6))
        yield table


@pytest.mark.parametrize("ignore", [(), (77,)])
@pytest.mark.parametrize("entry", ENTRIES)
def test_rows_and_sums_are_those_of_the_whole_volume(tmp_path, entry, ignore, monkeypatch):
    model = load_model(volume_model(tmp_path / "m.pt", *ENTRIES[entry]))
    regions = REGIONS if entry == "regions" else ()
    found = data_set(tmp_path, model.classes, ignore=ignore, regions=regions)
    pieces, whole = check(model, found, monkeypatch)
    assert pieces.rows == whole.rows
    assert pieces.pooled["voxels"] == whole.pooled["voxels"]
    assert 0 < whole.summary["dice"] < 1


def test_several_models_too(tmp_path, monkeypatch):
    model = load_ensemble(three(tmp_path, classes={3: "front", 5: "back"}, inference={"activation": "softmax"}))
    pieces, whole = check(model, data_set(tmp_path, model.classes), monkeypatch)
    assert pieces.rows == whole.rows


def test_of_a_resampled_volume_it_differs_by_rounding(tmp_path, monkeypatch):
    model = load_model(volume_model(tmp_path / "m.pt", CLASSES, {"activation": "softmax"}))
    model = replace(model, preprocessing=VolumePreprocessing((1.0, 1.5, 1.2)))
    found = data_set(tmp_path, CLASSES, ignore=(77,))
    tables = []
    for limit in (0, 2**26):
        monkeypatch.setattr(measuring, "IN_ONE_PIECE", limit)
        tables.append(evaluate(model, found.cases, found))
    pieces, whole = tables
    for row, expected in zip(pieces.rows, whole.rows, strict=True):
        numbers = {name: value for name, value in expected.items() if not isinstance(value, str)}
        assert {name: row[name] for name in numbers} == pytest.approx(numbers, abs=1e-3, rel=1e-3)
    assert pieces.summary["genesis_dice"] == pytest.approx(whole.summary["genesis_dice"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["sigmoid", "mirrored, largest", "regions"])
def test_pictures_lesions_and_components_are_those_of_the_whole_volume(tmp_path, entry, monkeypatch):
    model = load_model(volume_model(tmp_path / "m.pt", *ENTRIES[entry]))
    found = data_set(tmp_path, CLASSES, ignore=(77,), regions=REGIONS if entry == "regions" else ())
    made = []
    for limit in (0, 2**26):
        monkeypatch.setattr(measuring, "IN_ONE_PIECE", limit)
        table = evaluate(model, found.cases, found, lesions=True)
        how = {"inferer": model.inferer, "device": CPU}
        evaluator = case_evaluator(model.network, table, **how)
        pictures = take_previews(evaluator, table)
        choice = choose_components(model.network, table, **how) if entry != "regions" else None
        made.append((table.lesion_rows, table.lesion_cases, choice, pictures))
    assert made[0][:3] == made[1][:3]
    for one, other in zip(made[0][3], made[1][3], strict=True):
        for name in ("image", "label", "prediction"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    (picture, *_) = (each for each in made[0][3] if "best" in each.roles)
    case = next(case for case in found.cases if case.name == picture.case)
    index = as_before(model, found, case)[-1]
    assert (
        np.bincount(picture.prediction.ravel(), minlength=4).tolist()
        == torch.bincount(index.flatten().int(), minlength=4).tolist()
    )


class Tired(nn.Module):
    """Runs out of memory once, in the middle of a volume."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 4 * x - 2


def test_a_device_that_is_too_small_does_not_count_voxels_twice(tmp_path, monkeypatch):
    found = data_set(tmp_path, {3: "a"})
    item = VolumePreprocessing().read(found.cases[0], found, label=True)
    monkeypatch.setattr(measuring, "IN_ONE_PIECE", 0)
    way = Way(WindowInferer((16, 16, 16), amp=False), Tired(), CPU, InferenceSettings(), [3])
    again = measuring.measured_volume(item, way, VolumePreprocessing())
    at_once = measuring.measured_volume(item, way, VolumePreprocessing())
    assert way.network.calls > 6
    assert torch.equal(again.pooled.reached, at_once.pooled.reached)
    assert int(again.pooled.reached.sum()) == 23 * 35 * 18
    assert again.pooled.sums == pytest.approx(at_once.pooled.sums, rel=1e-6)


def test_nothing_holds_a_volume_for_each_of_60_classes(tmp_path, monkeypatch):
    shape = (80, 32, 32)
    classes = {value: f"c{value}" for value in range(1, 61)}
    label = np.random.default_rng(0).integers(0, 61, shape).astype(np.uint8)
    found = data_set(tmp_path, classes, label=label)
    table = CaseTable(WholeCases(found.cases[:1], found, VolumePreprocessing()), classes)
    monkeypatch.setattr(measuring, "IN_ONE_PIECE", 2**20)
    inferer = WindowInferer((16, 16, 16), amp=False)
    evaluator = case_evaluator(Sixty(), table, inferer=inferer, device=CPU)
    with Largest() as seen:
        evaluator.run()
    tracemalloc.start()
    try:
        evaluator.run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(table.rows[0]) > 120
    assert seen.most < 60 * label.size / 2  # a layer between windows
    assert peak < 60 * label.size / 2  # NumPy's part: the masks of a class or two, and the image


def test_a_label_on_another_grid_is_refused_by_name(tmp_path, monkeypatch):
    found = data_set(tmp_path, {3: "a"})
    item = VolumePreprocessing().read(found.cases[0], found, label=True)
    item["label"] = replace(item["label"], values=item["label"].values[1:])
    table = CaseTable(WholeCases(found.cases, found, VolumePreprocessing()), found.classes)
    for limit in (0, 2**26):
        monkeypatch.setattr(measuring, "IN_ONE_PIECE", limit)
        way = Way(WindowInferer((16, 16, 16), amp=False), lambda x: x - 0.5, CPU, InferenceSettings(), [3])
        with pytest.raises(InputError, match=r"case a: prediction and label of shape .*: expected the same shape"):
            table.measured_item(item, way)


# --- labels as numbers ---


def test_masks_of_values_and_of_channels_are_the_same():
    values = label_of()
    parts = ((3, 9), (5,), (9,), (300,))
    masks = ValueMasks(values, parts, ignore=(77,))
    channels = torch.from_numpy(np.stack([np.isin(values, part) for part in parts])).float()
    others = ChannelMasks(channels, torch.from_numpy(values != 77)[None].float())
    assert masks.shape == others.shape == (4, *values.shape)
    for made in (masks, others):
        np.testing.assert_array_equal(stacked_masks(made).numpy(), channels.numpy() > 0)
        np.testing.assert_array_equal(made.valid, values != 77)
    assert ValueMasks(values, parts).valid is None
    assert ChannelMasks(channels).valid is None


def test_what_is_ignored_is_of_no_class():
    values = np.array([[1, 2, 7]])
    counts = torch.tensor([[[1.0, 1.0, 0.0]]])
    for masks in (
        ValueMasks(values, ((1, 7),), ignore=(7,)),
        ChannelMasks(torch.tensor([[[1.0, 0.0, 1.0]]]), counts),
    ):
        assert masks.mask(0).tolist() == [[True, False, False]]


@pytest.mark.parametrize("turned", [np.eye(4), TURNED, np.diag([-1.0, 2.0, -3.0, 1.0])])
def test_a_box_is_cut_where_it_was_put(tmp_path, turned):
    scan = write_nifti(tmp_path / "scan.nii.gz", ct(SHAPE), turned)
    model = load_model(volume_model(tmp_path / "m.pt"))
    case = Case("scan", scan)
    grid = FileGrid.of(model.preprocessing.read(case, model.case_set([case]), label=False)["image"])
    place = tuple(slice(2 + axis, side - 3) for axis, side in enumerate(grid.seen))
    values = torch.rand(2, *(part.stop - part.start for part in place))
    target = torch.zeros(2, *grid.shape)
    grid.put(target, place, values)
    np.testing.assert_array_equal(grid.cut(target.numpy(), place), values.numpy())
