"""OpenVINO's own files, ``model.xml`` and ``model.bin``; batch and sides are free, weights are float32."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from segxfer3d.export.target import Target, Work
from segxfer3d.inference.engines import openvino as engine
from segxfer3d.inference.engines.engine import Forward
from segxfer3d.inference.engines.graphs import IMAGE, LOGITS

FILE = "model.xml"


def _write(work: Work, folder: Path) -> None:
    network = work.model.network
    model = engine.converted(network, torch.rand(1, network.encoder.in_channels, *work.model.patch_size))
    model.inputs[0].get_tensor().set_names({IMAGE})
    model.outputs[0].get_tensor().set_names({LOGITS})
    model.set_rt_info(json.dumps(work.about), ["segxfer3d"])
    # its default would make the weights float16
    engine.package().save_model(model, str(folder / FILE), compress_to_fp16=False)


def _run(folder: Path) -> Forward:
    return engine.compiled(str(folder / FILE), amp=False)


TARGET = Target("openvino", "OpenVINO", _write, run=_run, extra="openvino", packages=("openvino",))
