"""Where only the largest component is kept: by mean dice of validation cases, class by class."""

import pytest
import torch
from torch import nn

from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing.class_masks import ChannelMasks
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.evaluation.component_choice import choose_components, component_scores, decide
from segxfer3d.evaluation.measuring import Measured, PooledVoxels
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.settings import InferenceSettings
from segxfer3d.networks.forward import NetworkForward
from tests.evaluation.test_case_table import volumes  # noqa: F401  (a fixture)

CLASSES = {3: "liver", 8: "lesion"}


def measured(prediction, label):
    prediction, label = torch.tensor(prediction, dtype=torch.uint8), torch.tensor(label, dtype=torch.uint8)
    masks = ChannelMasks(torch.stack([label == 1, label == 2]))
    return Measured(prediction, masks, PooledVoxels(masks))


LIVER_BESIDE = measured([[1, 1, 1, 0, 1], [2, 0, 0, 0, 0]], [[1, 1, 1, 0, 0], [2, 0, 0, 0, 0]])
TWO_LESIONS = measured([[2, 2, 0, 0, 2], [1, 0, 0, 0, 0]], [[2, 2, 0, 0, 2], [1, 0, 0, 0, 0]])


def test_scores_of_a_case():
    assert component_scores("a", LIVER_BESIDE, CLASSES) == {
        "case": "a", "dice": {3: (pytest.approx(6 / 7), 1.0), 8: (1.0, 1.0)}
    }  # fmt: skip
    assert component_scores("b", TWO_LESIONS, CLASSES)["dice"][8] == (1.0, pytest.approx(4 / 5))


def test_a_class_is_chosen_where_its_mean_dice_is_higher():
    scores = [component_scores(name, case, CLASSES) for name, case in (("a", LIVER_BESIDE), ("b", TWO_LESIONS))]
    choice = decide(scores, CLASSES)
    assert choice.values == (3,)
    assert choice.as_dict() == {
        "cases": 2,
        "classes": [
            {"value": 3, "class": "liver", "dice": pytest.approx(13 / 14), "dice_largest": 1.0, "kept": True},
            {"value": 8, "class": "lesion", "dice": 1.0, "dice_largest": pytest.approx(0.9), "kept": False},
        ],
    }
    assert choice.text() == (
        "largest component only, by 2 validation cases: "
        "liver yes (dice 0.929, with it 1.000), lesion no (dice 1.000, with it 0.900)"
    )
    # the same dice is no reason
    assert decide([component_scores("b", TWO_LESIONS, {3: "liver"})], {3: "liver"}).values == ()


def test_without_validation_nothing_is_chosen():
    choice = decide([], CLASSES)
    assert (choice.values, choice.rows) == ((), ())
    table = CaseTable(None, CLASSES, measured="network")
    forward = NetworkForward(amp=False)
    assert choose_components(Bright(), table, inferer=forward, device=torch.device("cpu")) == choice
    assert choice.text() == "largest component: chosen for no class, for there are no validation cases"


class Bright(nn.Module):
    def forward(self, x):
        return 40 * x - 20


def choose(cases, **settings):
    dataset = WholeCases(cases.cases, cases, VolumePreprocessing())
    table = CaseTable(dataset, cases.classes, inference=InferenceSettings(**settings))
    forward = NetworkForward(amp=False, channels_last=False)
    return table, choose_components(Bright(), table, inferer=forward, device=torch.device("cpu"))


def test_a_pass_over_the_validation_cases(volumes):  # noqa: F811
    table, choice = choose(volumes, largest_component=(1,))
    (row,) = choice.rows
    # y has two nodules, and both are found
    assert (row["dice"], row["dice_largest"]) == pytest.approx((1.0, (1 + 2 * 8 / (8 + 12)) / 2))
    assert choice.values == ()
    assert table.summary["dice"] == 1.0  # of all components, whatever the table was set to
    assert table.inference.largest_component == (1,)
    assert table.on_case is None
