"""NVIDIA's TensorRT, through ONNX Runtime's provider of it; in float32.

It has been tried with a stand-in only, no GPU being at hand. What it says of a window is compared with torch before it
is used, as of every engine.
"""

from __future__ import annotations

import torch
from torch import Tensor

from segxfer3d.inference.engines.engine import Engine, Forward
from segxfer3d.inference.engines.graphs import onnx_bytes
from segxfer3d.inference.engines.onnxruntime import lacks, session_of

_PROVIDER = "TensorrtExecutionProvider"
_WAY = "it needs an NVIDIA GPU with TensorRT, and onnxruntime-gpu in place of onnxruntime"


def _needs(device: torch.device) -> str:
    lacking = lacks(_PROVIDER)
    return f"{lacking}; {_WAY}" if lacking else ""


def _compile(graph: bytes, example: Tensor, amp: bool) -> Forward:
    return session_of(graph, [(_PROVIDER, {"device_id": example.device.index or 0})])


ENGINE = Engine(
    name="tensorrt",
    title="NVIDIA's TensorRT, through ONNX Runtime",
    extra="",
    packages=("onnxruntime", "onnx"),
    devices=("cuda",),
    precision="float32",
    convert=onnx_bytes,
    compile=_compile,
    needs=_needs,
)
