"""Networks whose three children are the parts that transfer: encoder, decoder, head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from segxfer3d.errors import InputError, some
from segxfer3d.networks.blocks import FeatureDecoder, FeatureEncoder
from segxfer3d.networks.deep_supervision import Head2d, Head3d

PARTS = ("encoder", "decoder", "head")


class SegmentationNetwork(nn.Module):
    """A network of exactly three children: ``encoder``, ``decoder`` and ``head``; gives logits.

    Attributes:
        encoder, decoder, head: the parts.
        definition: how :func:`~segxfer3d.networks.named.build` makes the network again (plain values, saved with
            checkpoints).
        frozen: the parts that do not train.
        deep_supervision: number of auxiliary levels, for which a head of
            :func:`~segxfer3d.networks.deep_supervision.make_head` has convolutions; 0 for none.
    """

    def __init__(
        self, encoder: FeatureEncoder, decoder: FeatureDecoder, head: nn.Module, definition: dict[str, Any]
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.definition = definition
        self.frozen: frozenset[str] = frozenset()
        self.deep_supervision = len(self._auxiliary())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) to logits (N, out_channels, *spatial).

        In training with auxiliary levels: a list of logits, the finest first, each at the resolution of its level.
        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            deep = self.training and self.deep_supervision > 0
            if deep:
                return self._levels(x)  # type: ignore[return-value]
        logits: Tensor = self.head(self.decoder(self.encoder(x)))
        return logits

    def _auxiliary(self) -> list[nn.Module]:
        return list(self.head.auxiliary) if isinstance(self.head, (Head2d, Head3d)) else []

    def _levels(self, x: Tensor) -> list[Tensor]:
        heads = [self.head, *self._auxiliary()]
        outputs = self.decoder.levels(self.encoder(x), len(heads))
        return [head(output) for head, output in zip(heads, outputs, strict=True)]

    def freeze(self, parts: Iterable[str]) -> None:
        """Freeze exactly ``parts``, batch-norm statistics included, and thaw the others.

        Raises:
            InputError: a part that is none of :data:`PARTS`.
        """
        chosen = frozenset(parts)
        if unknown := sorted(chosen.difference(PARTS)):
            raise InputError(f"freeze: expected parts among {', '.join(PARTS)}, got {', '.join(unknown)}")
        self.frozen = chosen
        for part in PARTS:
            self.get_submodule(part).requires_grad_(part not in self.frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> SegmentationNetwork:
        """Set the mode; frozen parts stay in evaluation mode, so that their statistics stop."""
        super().train(mode)
        for part in self.frozen:
            self.get_submodule(part).eval()
        return self


class _Part(nn.Module):
    """Modules of a network from elsewhere, each under the path that it has there."""

    def add(self, path: str, module: nn.Module | nn.Parameter) -> None:
        """Put a module or a parameter under a path with dots."""
        *folders, name = path.split(".")
        place: nn.Module = self
        for folder in folders:
            if folder not in dict(place.named_children()):
                place.add_module(folder, nn.Module())
            place = place.get_submodule(folder)
        if isinstance(module, nn.Parameter):
            place.register_parameter(name, module)
        else:
            place.add_module(name, module)


class _EncoderPart(_Part, FeatureEncoder):
    """The encoder of a network from elsewhere; a pretext can ask it for features where there is ``encode``."""

    def __init__(self, whole: nn.Module, encode: Callable[[Tensor], list[Tensor]] | None, **sizes: Any) -> None:
        FeatureEncoder.__init__(self, **sizes)
        self._encode = encode
        self._whole = (whole,)  # in a tuple, so that its tensors are not counted twice

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, *spatial) to the features, the finest first."""
        if self._encode is None:
            name = type(self._whole[0]).__name__
            raise InputError(f"{name}: its parts were declared without `encode`, so its encoder gives no features")
        return self._encode(x)


class PartedNetwork(SegmentationNetwork):
    """A network from elsewhere with the three parts of :func:`with_parts`; it computes what it always did."""

    def __init__(self, network: nn.Module, parts: Mapping[str, nn.Module], definition: dict[str, Any]) -> None:
        super().__init__(
            cast(FeatureEncoder, parts["encoder"]), cast(FeatureDecoder, parts["decoder"]), parts["head"], definition
        )
        self._whole = (network,)  # in a tuple: its tensors are those of the parts

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *spatial) to logits (N, out_channels, *spatial)."""
        logits: Tensor = self._whole[0](x)
        return logits

    def train(self, mode: bool = True) -> PartedNetwork:
        """See :meth:`SegmentationNetwork.train`; what belongs to no part, having no tensors, follows."""
        self._whole[0].train(mode)
        super().train(mode)
        return self


def with_parts(
    network: nn.Module,
    table: Mapping[str, Sequence[str]],
    *,
    definition: dict[str, Any],
    spatial_dims: int,
    in_channels: int,
    encode: Callable[[Tensor], list[Tensor]] | None = None,
    channels: Sequence[int] = (),
) -> SegmentationNetwork:
    """Declare, once, which modules of a network from elsewhere (MONAI's, timm's) are its encoder, decoder and head.

    The tensors of the result are those of ``network`` (not copies), named ``encoder.PATH``, ``decoder.PATH`` and
    ``head.PATH``, so that transfer, freezing and checkpoints treat it as any other network here.

    Args:
        network: gives logits (N, out_channels, *spatial); from now on used through the result only.
        table: each of :data:`PARTS` to the paths of its modules (or parameters), as ``named_modules()`` spells them.
        definition: name and plain arguments from which :func:`~segxfer3d.networks.build` makes the result again.
        spatial_dims: 2 or 3.
        in_channels: of the image.
        encode: images to features, the finest first, by the modules of ``network``; pretexts that train an encoder
            need it.
        channels: of each feature that ``encode`` gives.

    Raises:
        InputError: other parts than the three, a path that the network does not have, or a parameter or buffer that
            belongs to no part, or to two.

    Example:
        >>> table = {"encoder": ["0"], "decoder": ["1"], "head": ["2"]}
        >>> plain = nn.Sequential(nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Conv3d(4, 1, 1))
        >>> parted = with_parts(plain, table, definition={}, spatial_dims=3, in_channels=1)
        >>> sorted(parted.state_dict())
        ['encoder.0.bias', 'encoder.0.weight', 'head.2.bias', 'head.2.weight']
    """
    name = type(network).__name__
    if set(table) != set(PARTS):
        raise InputError(f"{name}: expected a table of the parts {', '.join(PARTS)}, got {', '.join(table)}")
    known: dict[str, Any] = {**dict(network.named_modules()), **dict(network.named_parameters())}
    if unknown := [path for paths in table.values() for path in paths if path not in known or not path]:
        raise InputError(f"{name}: has no {some(unknown, 5, ', ')}; expected paths of its modules or parameters")
    _refuse_gaps(network, table)
    sizes = {"spatial_dims": spatial_dims, "in_channels": in_channels, "channels": channels}
    parts = {"encoder": _EncoderPart(network, encode, **sizes), "decoder": _Part(), "head": _Part()}
    for part, paths in table.items():
        for path in paths:
            parts[part].add(path, known[path])
    return PartedNetwork(network, parts, definition)


def _refuse_gaps(network: nn.Module, table: Mapping[str, Sequence[str]]) -> None:
    """Refuse a table that leaves a tensor out, or has it twice."""
    tensors = [*dict(network.named_parameters()), *dict(network.named_buffers())]
    owners = {
        tensor: [path for paths in table.values() for path in paths if f"{tensor}.".startswith(f"{path}.")]
        for tensor in tensors
    }
    name = type(network).__name__
    if left := [tensor for tensor, paths in owners.items() if not paths]:
        raise InputError(f"{name}: belongs to no part: {some(left, 5, ', ')}")
    if twice := [f"{tensor} ({' and '.join(paths)})" for tensor, paths in owners.items() if len(paths) > 1]:
        raise InputError(f"{name}: belongs to two parts: {some(twice, 5, ', ')}")
