"""The table of engines, and what is refused before a model is used."""

import sys
import types

import pytest
import torch

from segxfer3d.config.engines import ENGINES
from segxfer3d.errors import InputError
from segxfer3d.inference import engines as table
from segxfer3d.inference.engines import engine as declaration
from segxfer3d.inference.engines import engines, with_engine
from segxfer3d.inference.engines.graphs import onnx_bytes, takes_batch_statistics
from segxfer3d.inference.engines.network import EngineNetwork
from segxfer3d.inference.model import load_model
from segxfer3d.networks import genesis_unet, plain_unet
from tests.inference.engines.fakes import Fake, small_network
from tests.inference.models import volume_model

HOW = {"amp": False, "channels_last": True}


def test_the_option_names_every_engine():
    assert set(ENGINES) == {"torch", "auto", *engines()}
    assert all(name == engine.name and engine.title for name, engine in engines().items())


def test_torch_is_the_network_itself():
    network = small_network()
    assert with_engine(network, "torch", amp=True, channels_last=True) == (network, True, True)


@pytest.mark.parametrize("name", ["auto", "openvino"])
def test_others_see_to_precision_and_layout(name, monkeypatch):
    monkeypatch.setattr(table, "engines", lambda: {"openvino": Fake().engine})
    network, amp, channels_last = with_engine(small_network(), name, amp=True, channels_last=True)
    assert isinstance(network, EngineNetwork)
    assert (network.amp, amp, channels_last) == (True, False, False)


def test_an_unknown_engine():
    with pytest.raises(InputError, match=r"engine 'tvm': unknown; expected one of torch, .*openvino.*, auto"):
        with_engine(small_network(), "tvm", **HOW)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_that_is_not_installed_names_its_extra(name, monkeypatch):
    monkeypatch.setattr(declaration, "find_spec", lambda package: None)
    with pytest.raises(InputError, match=rf"engine {name}: {name}.* not installed \(pip install .*\[{name}\]'\)"):
        with_engine(small_network(), name, **HOW)


def test_an_engine_of_another_device():
    assert Fake().engine.absent(torch.device("cuda")) == "computes on cpu, not on cuda"
    assert Fake().engine.absent(torch.device("cpu")) == ""


@pytest.fixture
def runtime(monkeypatch):
    """A stand-in for ONNX Runtime with the providers that a test gives it."""
    fake = types.ModuleType("onnxruntime")
    fake.providers = ["CPUExecutionProvider"]
    fake.sessions = []
    fake.SessionOptions = types.SimpleNamespace
    fake.get_available_providers = lambda: fake.providers

    def session(content, options, providers):
        fake.sessions.append((options, providers))
        return types.SimpleNamespace(run=lambda names, feeds: [feeds["image"] * 2])

    fake.InferenceSession = session
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setattr(declaration, "find_spec", lambda package: package)
    return fake


def test_tensorrt_says_what_it_needs(runtime):
    with pytest.raises(InputError, match="engine tensorrt: computes on cuda, not on cpu"):
        with_engine(small_network(), "tensorrt", **HOW)
    engine, gpu = engines()["tensorrt"], torch.device("cuda:1")
    assert engine.absent(gpu) == (
        "the onnxruntime that is installed has no TensorrtExecutionProvider (it has CPUExecutionProvider); "
        "it needs an NVIDIA GPU with TensorRT, and onnxruntime-gpu in place of onnxruntime"
    )
    runtime.providers.append("TensorrtExecutionProvider")
    assert engine.absent(gpu) == ""


def test_tensorrt_is_asked_for_by_its_provider(runtime):
    from segxfer3d.inference.engines import tensorrt

    assert tensorrt.ENGINE.convert is onnx_bytes
    forward = engines()["tensorrt"].compile(b"graph", torch.rand(1, 1, 8, 8, 8), False)
    ((options, providers),) = runtime.sessions
    assert providers == [("TensorrtExecutionProvider", {"device_id": 0})]
    assert options.intra_op_num_threads == torch.get_num_threads()
    image = torch.rand(2, 1, 8, 8, 8)
    torch.testing.assert_close(forward(image), image * 2)


def test_onnxruntime_on_a_gpu_needs_its_provider(runtime):
    engine = engines()["onnxruntime"]
    assert engine.absent(torch.device("cpu")) == ""
    assert "has no CUDAExecutionProvider" in engine.absent(torch.device("cuda"))


@pytest.mark.parametrize(
    ("network", "takes"),
    [
        (genesis_unet(width=2, batch_statistics=True), True),
        (genesis_unet(width=2), False),
        (plain_unet(width=2, strides=[1, 2], norm="batch"), False),
        (plain_unet(width=2, strides=[1, 2]), False),
        (torch.nn.BatchNorm3d(2, track_running_stats=False), True),
        (torch.nn.InstanceNorm3d(2), False),
    ],
)
def test_batch_statistics(network, takes):
    assert takes_batch_statistics(network.eval()) is takes


def test_a_network_with_batch_statistics_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "engines", lambda: {"openvino": Fake().engine})
    path = volume_model(tmp_path / "m.pt")
    with pytest.raises(InputError, match="engine openvino: cannot take the network: it normalizes by statistics of"):
        load_model(path, engine="openvino")
