"""How weights begin: torch's way, or as the networks of ConRec's published code."""

from __future__ import annotations

from torch import nn

from segxfer3d.config.learning import INITIAL_WEIGHTS
from segxfer3d.errors import InputError

_LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


def glorot_(module: nn.Module) -> None:
    """Draw the weights of all convolutions and linear layers anew: Glorot uniform, biases 0 (Keras' defaults).

    Uniform between plus and minus sqrt(6 / (fan in + fan out)), Glorot and Bengio, AISTATS 2010, equation 16: what
    ConRec's published code trains from. Norms stay as they are.
    """
    for layer in module.modules():
        if isinstance(layer, _LAYERS):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def draw_initial_weights(module: nn.Module, name: str) -> None:
    """``torch``: what the layers drew themselves stays; ``glorot``: :func:`glorot_`.

    Raises:
        InputError: an unknown name.
    """
    if name not in INITIAL_WEIGHTS:
        raise InputError(f"initial_weights: expected one of {', '.join(INITIAL_WEIGHTS)}, got {name!r}")
    if name == "glorot":
        glorot_(module)
