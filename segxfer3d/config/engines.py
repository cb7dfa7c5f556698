"""The option that says what computes a network when it is applied."""

from __future__ import annotations

from dataclasses import dataclass

from segxfer3d.config.options import Group, option

TORCH, AUTO = "torch", "auto"
ENGINES = (TORCH, "openvino", "onnxruntime", "tensorrt", AUTO)


@dataclass(frozen=True)
class Engines(Group):
    """What computes a network when it is applied."""

    engine: str = option(
        TORCH, "what computes the network; others than torch are extras; auto: what a short measurement finds fastest",
        choices=ENGINES, tells_arms=False,
    )  # fmt: skip
