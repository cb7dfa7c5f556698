"""Measuring a model without a run, as a notebook does; and the pictures that are kept of what was measured."""

import numpy as np
import pytest
import torch
from torch import nn

from segxfer3d.data.case import CaseSet
from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError
from segxfer3d.evaluation.evaluate import case_evaluator, evaluate
from segxfer3d.evaluation.preview_cases import take_previews
from segxfer3d.evaluation.summary import format_table
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.components import components
from segxfer3d.inference.labels import to_label_map
from segxfer3d.inference.model import load_model
from segxfer3d.networks.forward import NetworkForward
from tests.evaluation.test_case_table import image_set, mask_of, volumes  # noqa: F401  (a fixture)
from tests.inference.models import image_model, volume_model


@pytest.fixture
def images(tmp_path):
    wide = np.zeros((20, 40), np.uint8)
    wide[3:9, 4:30] = 1
    return image_set(tmp_path, {"small": mask_of(2), "wide": wide, "empty": mask_of(4, ignored=[4, 5])})


def test_a_notebook_evaluates_pictures(images, tmp_path):
    model = load_model(image_model(tmp_path / "model.pt"))
    table = evaluate(model, images.labeled, images)
    assert [row["case"] for row in table.rows] == ["empty", "small", "wide"]
    wide = table.rows[2]
    prediction = model.predict(images.cases[1])
    assert wide["prediction_pixels"] == (prediction.mask > 0).sum()
    assert wide["label_pixels"] == 6 * 26
    truth = np.zeros((20, 40), bool)
    truth[3:9, 4:30] = True
    both = (truth & (prediction.mask > 0)).sum()
    assert wide["dice"] == pytest.approx(2 * both / (truth.sum() + (prediction.mask > 0).sum()))
    assert "3 cases, 1 with an empty label" in format_table("pictures", table.summary).replace(" of 3 patients", "")


def test_a_model_is_measured_and_pictured_as_its_file_says(images, tmp_path):
    entry = {"activation": "sigmoid", "mirror_axes": [1], "largest_component": [1]}
    model = load_model(image_model(tmp_path / "model.pt", inference=entry))
    for measured in ("file", "network"):
        table = evaluate(model, images.labeled, images, measured=measured)
        evaluator = case_evaluator(model.network, table, inferer=model.inferer, device=torch.device("cpu"))
        for preview in take_previews(evaluator, table):
            (row,) = [row for row in table.rows if row["case"] == preview.case]
            assert (preview.prediction > 0).sum() == row["prediction_pixels"]
            pieces = components(preview.prediction, preview.case, classes={1: "cat"})
            assert len(pieces) <= 1 or preview.case == "empty"  # whose ignored rows may part it
    wide = evaluate(model, images.labeled, images).rows[2]
    assert wide["prediction_pixels"] == (model.predict(images.cases[1]).mask > 0).sum()


def test_at_the_size_that_the_network_sees(images, tmp_path):
    model = load_model(image_model(tmp_path / "model.pt"), batch_size=2)
    table = evaluate(model, images.labeled, images, measured="network")
    wide = table.rows[2]
    item = model.preprocessing.read(images.cases[1], images, label=False)
    mask = to_label_map(torch.sigmoid(model.logits([item])[0]), [1])
    assert wide["prediction_pixels"] == (mask > 0).sum()
    assert table.summary["empty_labels"] == 1


def test_a_notebook_evaluates_volumes(volumes, tmp_path):  # noqa: F811
    model = load_model(volume_model(tmp_path / "model.pt"))
    table = evaluate(model, volumes.labeled, volumes, lesions=True)
    prediction = model.predict(volumes.cases[0])
    assert table.rows[0]["prediction_mm3"] == pytest.approx((prediction.mask > 0).sum() * 6)
    assert table.summary["lesions"] == 3


def test_data_that_do_not_fit_are_refused(images, volumes, tmp_path):  # noqa: F811
    of_images, of_volumes = image_model(tmp_path / "images.pt"), volume_model(tmp_path / "volumes.pt")
    with pytest.raises(InputError, match=r"images\.pt: a model of 2D images; dataset_dir .* holds volumes"):
        evaluate(load_model(of_images), volumes.cases, volumes)
    with pytest.raises(InputError, match=r"volumes\.pt: a model of 3D volumes; dataset_dir .* holds images"):
        evaluate(load_model(of_volumes), images.cases, images)
    with pytest.raises(InputError, match=r"label values \[1, 2\], the model knows \[1\]"):
        evaluate(load_model(of_volumes), (), CaseSet(tmp_path, "folder", 3, (), {1: "a", 2: "b"}))
    with pytest.raises(InputError, match=r"classes in another order .*: \w+ is 3, the model's is 1; --label_map 3:1"):
        evaluate(load_model(of_volumes), (), CaseSet(tmp_path, "folder", 3, (), {3: load_model(of_volumes).classes[1]}))
    regions = CaseSet(tmp_path, "folder", 3, (), load_model(of_volumes).classes, regions=((1, (1, 2)),))
    with pytest.raises(InputError, match=r"regions \(1: \[1, 2\]\), checkpoint .* was trained on no regions"):
        evaluate(load_model(of_volumes), (), regions)
    with pytest.raises(InputError, match=r"images of 1 channels; checkpoint .* was trained on 3"):
        evaluate(load_model(of_images), (), CaseSet(tmp_path, "folder", 2, (), channels=1))
    with pytest.raises(InputError, match="no cases to evaluate"):
        evaluate(load_model(of_images), (), images)


# --- the pictures that are kept ---


class Scaled(nn.Module):
    """Foreground where the first channel is bright."""

    def forward(self, x):
        return 40 * x[:, :1] - 20


def previews_of(dataset, classes, **keywords):
    table = CaseTable(dataset, classes, **keywords)
    network = Scaled().train()
    evaluator = case_evaluator(network, table, inferer=NetworkForward(amp=False), device=torch.device("cpu"))
    evaluator.run()
    network.train()
    previews = take_previews(evaluator, table)
    assert network.training
    return table, previews


def test_previews_of_volumes_are_what_was_measured(volumes):  # noqa: F811
    table, previews = previews_of(WholeCases(volumes.cases, volumes, VolumePreprocessing()), volumes.classes)
    rows = {row["case"]: row for row in table.rows}
    volumes_kept = [preview for preview in previews if preview.roles != ("shared",)]
    assert {role for preview in volumes_kept for role in preview.roles} == {"best", "median", "worst"}
    for preview in volumes_kept:
        assert preview.image.shape == (1, *preview.label.shape)
        assert preview.spacing == (2.0, 1.0, 3.0)  # the axes of the file lie along y, x, z
        assert preview.label.sum() * 6 == pytest.approx(rows[preview.case]["label_mm3"])
        np.testing.assert_array_equal(preview.label, preview.prediction)
        np.testing.assert_array_equal(preview.image[0] == 255, preview.label == 1)  # the lung window ends at 150 HU
    assert all(preview.label.shape[2] == 1 for preview in previews if preview.roles == ("shared",))


@pytest.mark.parametrize("measured", ["file", "network"])
def test_previews_of_images_are_what_was_measured(images, measured):
    preprocessing = ImagePreprocessing(32, 3)
    dataset = WholeCases(images.cases, images, preprocessing)
    if measured == "network":
        dataset = preprocessing.hold(images.cases, images, labels=True, progress=False)
    table, previews = previews_of(dataset, {1: "cat"}, measured=measured)
    rows = {row["case"]: row for row in table.rows}
    shapes = {"small": (8, 8), "wide": (20, 40), "empty": (8, 8)}
    for preview in previews:
        shape = shapes[preview.case] if measured == "file" else (32, 32)
        assert preview.label.shape == preview.prediction.shape == shape
        assert preview.image.shape == (3, *shape)
        assert (preview.label > 0).sum() == rows[preview.case]["label_pixels"]
        assert (preview.prediction > 0).sum() == rows[preview.case]["prediction_pixels"]


@pytest.mark.parametrize("measured", ["file", "network"])
def test_what_the_table_keeps_the_network_does_not_see_again(images, tmp_path, measured):
    model = load_model(image_model(tmp_path / "model.pt"))
    dataset = WholeCases(images.cases, images, model.preprocessing)
    if measured == "network":
        dataset = model.preprocessing.hold(images.cases, images, labels=True, progress=False)
    seen, found = [], []
    model.network.register_forward_pre_hook(lambda *_: seen.append(1))
    for most in (0, 10**6, 4000):
        table = CaseTable(dataset, images.classes, measured=measured, preprocessing=model.preprocessing)
        table.most_kept = most
        evaluator = case_evaluator(model.network, table, inferer=model.inferer, device=torch.device("cpu"))
        evaluator.run()
        assert len(table.kept) == {0: 0, 10**6: 3}.get(most, len(table.kept))
        seen.clear()
        found.append(take_previews(evaluator, table))
        assert bool(seen) == (len(table.kept) < 3)
    for others in found[1:]:
        for kept, other in zip(found[0], others, strict=True):
            for name in ("image", "label", "prediction"):
                np.testing.assert_array_equal(getattr(kept, name), getattr(other, name))
