"""A network that trained in bf16 is used in bf16 where its dice on validation cases is the same in both precisions."""

import pytest
import torch
from torch import nn

from segxfer3d.data.dataset import WholeCases
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.evaluation.precision_check import PrecisionCheck, check_precision
from segxfer3d.evaluation.tables import CaseTable
from segxfer3d.inference.mirroring import MirroredForward
from segxfer3d.inference.windows import WindowInferer
from segxfer3d.networks.forward import NetworkForward, set_amp
from tests.evaluation.test_evaluate import volumes  # noqa: F401


class Rounded(nn.Module):
    """Finds nothing in bf16, and all that is bright in float32."""

    def forward(self, x):
        return 40 * x - 20 - 100 * torch.is_autocast_enabled("cpu")


class Same(nn.Module):
    def forward(self, x):
        return 40 * x - 20


def check(cases, network, inferer, **known):
    table = CaseTable(WholeCases(cases.cases, cases, VolumePreprocessing()), cases.classes)
    return check_precision(network, table, inferer=inferer, device=torch.device("cpu"), **known)


@pytest.mark.parametrize("make", [NetworkForward, MirroredForward, lambda amp: WindowInferer((8, 8, 8), amp=amp)])
def test_float32_is_kept_where_bf16_finds_something_else(volumes, make):  # noqa: F811
    inferer = make(amp=True)
    found = check(volumes, Rounded(), inferer)
    assert (found.cases, found.float32, found.bf16, found.amp) == (len(volumes.cases), 1.0, 0.0, False)
    assert getattr(inferer, "forward", inferer).amp is True  # as it was
    assert found.as_dict() == {
        "trained": "bf16", "cases": len(volumes.cases), "dice": {"float32": 1.0, "bf16": 0.0}, "used": "float32",
    }  # fmt: skip
    assert found.text() == (
        f"trained in bf16; dice of {found.cases} validation cases 0.0000 in bf16, 1.0000 in float32: evaluation and "
        "inference in float32"
    )


def test_bf16_stays_where_it_finds_the_same(volumes):  # noqa: F811
    found = check(volumes, Same(), MirroredForward(amp=True))
    assert (found.float32, found.bf16, found.amp) == (1.0, 1.0, True)
    assert found.text().endswith("evaluation and inference in bf16")


@pytest.mark.parametrize(
    ("float32", "bf16", "amp"), [(0.8, 0.7981, True), (0.8, 0.8019, True), (0.8, 0.7979, False), (0.8, 0.8021, False)]
)
def test_the_mean_dice_may_differ_by_a_fifth_of_a_point(float32, bf16, amp):
    assert PrecisionCheck(2, float32, bf16).amp is amp


def test_without_validation_cases_it_is_float32():
    inferer = NetworkForward(amp=True)
    table = CaseTable(None, {1: "nodule"}, measured="network")
    found = check_precision(Same(), table, inferer=inferer, device=torch.device("cpu"))
    assert (found, found.amp) == (PrecisionCheck(), False)
    assert found.text() == (
        "trained in bf16, which no validation cases could be checked in: evaluation and inference in float32"
    )


def test_what_is_known_of_bf16_is_not_measured_again(volumes):  # noqa: F811
    found = check(volumes, Rounded(), NetworkForward(amp=True), bf16=0.999)
    assert (found.cases, found.float32, found.bf16, found.amp) == (len(volumes.cases), 1.0, 0.999, True)


def test_an_inferer_of_its_own_has_no_precision_to_be_set():
    assert set_amp(lambda inputs, network: network(inputs), True) is False
