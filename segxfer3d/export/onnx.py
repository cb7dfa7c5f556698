"""ONNX: one file, or the weights in a file beside it; batch and sides are free."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from segxfer3d.export.target import Target, Work
from segxfer3d.inference.engines.engine import Forward
from segxfer3d.inference.engines.graphs import onnx_bytes
from segxfer3d.inference.engines.onnxruntime import session_of

FILE, DATA = "model.onnx", "model.onnx.data"


def _write(work: Work, folder: Path) -> None:
    import onnx

    network = work.model.network
    example = torch.rand(1, network.encoder.in_channels, *work.model.patch_size)
    model = onnx.load_from_string(onnx_bytes(network, example))
    for name, value in {"segxfer3d": json.dumps(work.about), "license": work.about["license"]}.items():
        model.metadata_props.add(key=name, value=value)
    onnx.save(
        model,
        str(folder / FILE),
        save_as_external_data=work.external_data,
        location=DATA if work.external_data else None,
        size_threshold=0,
    )
    onnx.checker.check_model(str(folder / FILE))


def _run(folder: Path) -> Forward:
    return session_of(str(folder / FILE), ["CPUExecutionProvider"])


TARGET = Target(
    "onnx", "ONNX", _write, run=_run, extra="export", packages=("onnx", "onnxruntime")
)  # fmt: skip
