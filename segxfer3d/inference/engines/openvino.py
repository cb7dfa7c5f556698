"""Intel's OpenVINO on the CPU: the network is traced by torch and read from there, no file is written.

Its own default precision is bfloat16 on processors with such instructions; here it is what ``amp`` says.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from segxfer3d.inference.engines.engine import Engine, Forward
from segxfer3d.inference.engines.graphs import traced
from segxfer3d.networks import SegmentationNetwork

_TELEMETRY = "openvino_telemetry"


def package() -> Any:
    """The package ``openvino``, without what it would send to its makers when it is imported and when it converts."""
    modules = cast("dict[str, Any]", sys.modules)
    if "openvino" in modules or _TELEMETRY in modules:
        import openvino

        return openvino
    modules[_TELEMETRY] = None  # cannot be imported, so that a stub takes its place
    try:
        import openvino
    finally:
        del modules[_TELEMETRY]
    return openvino


@lru_cache(maxsize=1)
def _core() -> Any:
    return package().Core()


def converted(network: SegmentationNetwork, example: Tensor) -> Any:
    """A network as OpenVINO's model, whose batch and sides are free.

    Args:
        network: in evaluation mode, on the CPU.
        example: (1, C, *spatial) float32.
    """
    openvino = package()
    shape = openvino.PartialShape([-1, example.shape[1], *(-1 for _ in example.shape[2:])])
    return openvino.convert_model(traced(network, example), example_input=example, input=[shape])


def _compile(graph: Any, example: Tensor, amp: bool) -> Forward:
    sized = graph.clone()  # which shares the weights
    sized.reshape(list(example.shape))
    return compiled(sized, amp=amp)


def compiled(model: Any, *, amp: bool) -> Forward:
    """A model of OpenVINO, or the path of one, ready to compute in bfloat16 or in float32."""
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if amp else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # which would put the first threads of several processes on one core
    }
    request = _core().compile_model(model, "CPU", settings).create_infer_request()

    def forward(batch: Tensor) -> Tensor:
        images = batch.float().contiguous().numpy()
        # one by one, which on a CPU is as fast; a copy, for the next one is written to the same place
        outputs = [np.array(request.infer([images[i : i + 1]], share_inputs=True)[0]) for i in range(len(images))]
        return torch.from_numpy(outputs[0] if len(outputs) == 1 else np.concatenate(outputs))

    return forward


ENGINE = Engine(
    name="openvino",
    title="Intel's OpenVINO, on processors",
    extra="openvino",
    packages=("openvino",),
    devices=("cpu",),
    precision="bfloat16",
    convert=converted,
    compile=_compile,
)
