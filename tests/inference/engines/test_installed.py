"""Engines that are installed, on the networks that there are."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from segxfer3d.inference.engines import engines, with_engine
from segxfer3d.inference.ensemble import load_ensemble
from segxfer3d.inference.model import load_model
from tests.data.volumes import ct, write_nifti
from tests.inference.engines.fakes import plain_model, small_network
from tests.inference.models import image_model
from tests.networks.test_contract import CASES, small

INSTALLED = [name for name in ("openvino", "onnxruntime") if not engines()[name].absent(torch.device("cpu"))]
pytestmark = pytest.mark.filterwarnings("ignore:builtin type Swig:DeprecationWarning")


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_network_of_instance_norms(name):
    pytest.importorskip(name)
    network = small_network()
    computed, _, _ = with_engine(network, name, amp=False, channels_last=True)
    windows = torch.rand(3, 1, 16, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(computed(windows), network(windows), rtol=1e-4, atol=1e-4)
        assert torch.equal(computed(windows), computed(windows))


@pytest.mark.slow
@pytest.mark.parametrize("engine", INSTALLED)
@pytest.mark.parametrize(("name", "dims"), CASES)
def test_every_network(engine, name, dims):
    network, images = small(name, dims)
    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    computed, _, _ = with_engine(network, engine, amp=False, channels_last=True)
    with torch.no_grad():
        for seen in (images, torch.cat([images, images], 2)):  # the first is the example, others have other sizes
            torch.testing.assert_close(computed(seen), network(seen), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", [pytest.param("openvino", marks=pytest.mark.slow), "onnxruntime"])
def test_a_mask_is_that_of_torch(engine, tmp_path):
    """Turned windows, and the mean of two models."""
    pytest.importorskip(engine)
    paths = [plain_model(tmp_path / f"{seed}.pt", seed, mirror_axes=[0]) for seed in (1, 2)]
    scan = write_nifti(tmp_path / "scan.nii.gz", ct((20, 18, 12)))
    for load in (lambda **how: load_model(paths[0], **how), lambda **how: load_ensemble(paths, **how)):
        expected, said = load().predict(scan), load(engine=engine).predict(scan)
        torch.testing.assert_close(said.probabilities, expected.probabilities, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(said.mask, expected.mask)
        assert 0.01 < expected.mask.mean() < 0.99


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_images(engine, tmp_path, shapes):
    pytest.importorskip(engine)
    path = image_model(tmp_path / "m.pt")
    image = next((shapes / "images").rglob("*.png"))
    expected, said = load_model(path).predict(image), load_model(path, engine=engine).predict(image)
    torch.testing.assert_close(said.probabilities, expected.probabilities, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_openvino_computes_in_the_precision_that_is_asked():
    pytest.importorskip("openvino")
    network, windows = small_network(width=16), torch.rand(1, 1, 16, 16, 16)
    with torch.no_grad():
        exact = network(windows)
        single = with_engine(network, "openvino", amp=False, channels_last=True)[0](windows)
        half = with_engine(network, "openvino", amp=True, channels_last=True)[0](windows)
    torch.testing.assert_close(single, exact, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(half, exact, rtol=0.1, atol=0.1)
    if torch.cpu.get_capabilities().get("avx512_bf16"):
        assert (half - exact).abs().max() > 1e-4


@pytest.mark.slow
def test_openvino_reports_to_nobody():
    pytest.importorskip("openvino")
    code = """
import sys
from segxfer3d.inference.engines.openvino import package
package()
import openvino.tools.ovc as ovc
print(type(ovc.telemetry).__module__, "openvino_telemetry" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["openvino.tools.ovc.telemetry_stub", "False"]
