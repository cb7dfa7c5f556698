"""Microsoft's ONNX Runtime, on the CPU or on an NVIDIA GPU where its package has that provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segxfer3d.inference.engines.engine import Engine, Forward
from segxfer3d.inference.engines.graphs import IMAGE, LOGITS, onnx_bytes

_ERRORS_ONLY = 3  # of its log
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def package() -> Any:
    """The package ``onnxruntime``."""
    import onnxruntime

    return onnxruntime


def session_of(content: bytes | str, providers: Sequence[Any]) -> Forward:
    """What computes a network that is ONNX, or in a file of that path, by providers of ONNX Runtime, with as many
    threads as torch has."""
    runtime = package()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    session = runtime.InferenceSession(content, options, providers=list(providers))

    def forward(batch: Tensor) -> Tensor:
        images = batch.float().cpu().contiguous().numpy()
        (logits,) = session.run([LOGITS], {IMAGE: images})
        return torch.from_numpy(np.asarray(logits)).to(batch.device)

    return forward


def lacks(provider: str) -> str:
    """What to say where the package that is installed has no such provider; empty where it has."""
    if provider in (available := package().get_available_providers()):
        return ""
    return f"the onnxruntime that is installed has no {provider} (it has {', '.join(available)})"


def _needs(device: torch.device) -> str:
    return lacks(_PROVIDERS[device.type])


def _compile(graph: bytes, example: Tensor, amp: bool) -> Forward:
    device = example.device
    numbered = (_PROVIDERS[device.type], {"device_id": device.index or 0} if device.type == "cuda" else {})
    return session_of(graph, [numbered])


ENGINE = Engine(
    name="onnxruntime",
    title="Microsoft's ONNX Runtime",
    extra="onnxruntime",
    packages=("onnxruntime", "onnx"),
    devices=("cpu", "cuda"),
    precision="float32",
    convert=onnx_bytes,
    compile=_compile,
    needs=_needs,
)
