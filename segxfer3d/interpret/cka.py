"""Linear centered kernel alignment (CKA): how similar the features of networks are, whatever their rotation.

For Gram matrices K = X X^T and L = Y Y^T of the features X (n, p) and Y (n, q) of the same n samples,
CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) (Kornblith et al., ICML 2019). Two estimates of HSIC:

* unbiased, HSIC_1 of Song et al. (JMLR 13, 2012), and its mean over batches (Nguyen, Raghu and Kornblith, ICLR 2021).
  Batches of any size estimate the same value; independent features give 0.
* biased, the usual one. It depends on the batch size: independent noise of p values reads about p / (p + n), close to
  1 in small batches. With all samples in one batch it is the full-data value of Kornblith et al., which is taken here
  to be what the paper's Figure 7 shows; with several batches it is a minibatch value that compares with nothing but
  itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segxfer3d.errors import InputError
from segxfer3d.interpret.features import DEFAULT_LAYER, layer_features

SMALLEST_BATCH = 4  # HSIC_1 divides by n - 3
_COLUMNS = 1 << 16  # features that are in float64 at a time
_CACHED = 1 << 12  # the same on a CPU, whose cache should hold them


@dataclass(frozen=True)
class CKAResult:
    """Similarity of every pair.

    Attributes:
        names: of the networks, in the order of rows and columns.
        unbiased: (m, m) symmetric, ones on the diagonal; may lie a little below 0. NaN where a network gives the same
            features for all samples (collapsed), or where so few samples were seen that its own HSIC_1 is not positive.
        biased: the same from the biased estimate, see the module.
        batches: how many were averaged.
        samples: in all batches together.
    """

    names: tuple[str, ...]
    unbiased: NDArray[np.float64]
    biased: NDArray[np.float64]
    batches: int
    samples: int

    @property
    def biased_estimate(self) -> str:
        """Which biased estimate it is, in words."""
        if self.batches == 1:
            return f"full data, {self.samples} samples in one batch"
        return f"minibatch, {self.samples} samples in {self.batches} batches"

    def as_text(self) -> str:
        """The unbiased estimate as lines of text, a column and a line for each network."""
        width = max(8, *(len(name) + 2 for name in self.names))
        lines = ["".join(f"{name:>{width}}" for name in ("", *self.names))]
        for name, row in zip(self.names, self.unbiased, strict=True):
            lines.append(f"{name:>{width}}" + "".join(f"{value:>{width}.3f}" for value in row))
        return "\n".join(lines)


class CKA:
    """CKA of every pair of networks, batch by batch.

    Only sums of HSIC are kept. In memory at a time are the features that are given and, for each network, the (n, n)
    Gram matrix of the batch. Draw batches at random: the mean over batches is unbiased only where every batch is a
    sample of the whole. A batch weighs as many as its samples; equal batches make the plain mean of the source.

    Args:
        names: of the networks; at least one, no name twice.

    Raises:
        InputError: names missing or twice; in ``update``: other names, fewer than four samples, different numbers of
            samples, NaN or infinity; in ``compute``: nothing seen.

    Example:
        >>> cka = CKA(["a", "b"])
        >>> x = torch.eye(8)[:, :5]
        >>> cka.update({"a": x, "b": 3 * x.flip(1)})
        >>> cka.compute().unbiased.round(6).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """

    def __init__(self, names: Sequence[str]) -> None:
        if not names or len(set(names)) < len(names):
            raise InputError(f"names of networks: expected at least one and none twice, got {list(names)}")
        self.names = tuple(names)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._unbiased = torch.zeros(len(self.names), len(self.names), dtype=torch.float64)
        self._biased = torch.zeros_like(self._unbiased)
        self._batches = 0
        self._samples = 0

    def update(self, features: Mapping[str, Tensor]) -> None:
        """Add a batch: name to features (n, ...) of the same n samples, flattened to (n, p); p may differ."""
        if features.keys() != set(self.names):
            raise InputError(f"features of {sorted(features)}: expected those of {sorted(self.names)}")
        counts = {name: len(values) for name, values in features.items()}
        n = counts[self.names[0]]
        if len(set(counts.values())) > 1 or n < SMALLEST_BATCH:
            raise InputError(f"samples in a batch: expected the same number, {SMALLEST_BATCH} or more, got {counts}")
        grams = torch.stack([self._gram(name, features[name]) for name in self.names])
        self._biased += n * _hsic_biased(grams)
        self._unbiased += n * _hsic_unbiased(grams)
        self._batches += 1
        self._samples += n

    def compute(self) -> CKAResult:
        """The similarities of all batches so far."""
        if not self._batches:
            raise InputError("CKA: no batch given, expected at least one")
        unbiased, biased = _normalized(self._unbiased), _normalized(self._biased)
        return CKAResult(self.names, unbiased, biased, self._batches, self._samples)

    @staticmethod
    def _gram(name: str, features: Tensor) -> Tensor:
        """Gram matrix (n, n) of the features less their mean over the batch, float64 on the CPU.

        Neither estimate depends on the mean, but without it a large one would drown the differences in rounding.
        """
        flat = features.detach().flatten(1)
        gram = _gram_of_arrays(flat) if flat.device.type == "cpu" else _gram_of_tensors(flat)
        if not bool(gram.isfinite().all()):
            raise InputError(f"features of {name}: NaN or infinite values")
        return gram


def _gram_of_arrays(features: Tensor) -> Tensor:
    """On the CPU by NumPy, which sees that a product with its own transpose is symmetric and does half of the work."""
    values = features.numpy() if features.dtype in (torch.float32, torch.float64) else features.double().numpy()
    gram = np.zeros((len(values), len(values)))
    for start in range(0, values.shape[1], _CACHED):
        columns = values[:, start : start + _CACHED]
        # makes constant features exactly 0, which the mean alone does not
        centered = np.subtract(columns, columns[:1], dtype=np.float64)
        centered -= centered.mean(axis=0)
        gram += centered @ centered.T
    return torch.from_numpy(gram)


def _gram_of_tensors(features: Tensor) -> Tensor:
    """The same where the features are, as of a GPU."""
    gram = torch.zeros(len(features), len(features), dtype=torch.float64, device=features.device)
    for columns in torch.split(features, _COLUMNS, dim=1):
        centered = columns.double()
        centered = centered - centered[0]
        centered -= centered.mean(dim=0)
        gram.addmm_(centered, centered.T)
    return gram.cpu()


def _hsic_biased(grams: Tensor) -> Tensor:
    """tr(K H L H) / (n - 1)^2 of every pair of centered Gram matrices (m, n, n)."""
    flat = grams.flatten(1)
    return flat @ flat.T / (grams.shape[1] - 1) ** 2


def _hsic_unbiased(grams: Tensor) -> Tensor:
    """HSIC_1 of every pair (Song et al. 2012, Eq. 5).

    [tr(K L) + 1'K1 1'L1 / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K L 1] / (n (n - 3)), K and L with zeros on the diagonal.
    """
    n = grams.shape[1]
    hollow = grams - torch.diag_embed(grams.diagonal(dim1=1, dim2=2))
    flat, rows = hollow.flatten(1), hollow.sum(dim=2)
    totals = rows.sum(dim=1)
    pairs = flat @ flat.T + torch.outer(totals, totals) / ((n - 1) * (n - 2)) - 2 / (n - 2) * rows @ rows.T
    return pairs / (n * (n - 3))


def _normalized(hsic: Tensor) -> NDArray[np.float64]:
    of_itself = hsic.diagonal()
    scale = torch.where(of_itself > 0, of_itself, torch.nan).sqrt()
    matrix = hsic / torch.outer(scale, scale)
    return ((matrix + matrix.T) / 2).numpy()


def compare(
    networks: Mapping[str, nn.Module],
    batches: Iterable[Tensor],
    layer_name: str = DEFAULT_LAYER,
    device: torch.device | str = "cpu",
    images_at_once: int = 8,
) -> CKAResult:
    """CKA between networks at one layer, on the same images for all.

    Args:
        networks: name to network; moved to the device in turn, left in evaluation mode on the CPU.
        batches: images (n, C, *spatial), n of 4 or more; each batch gives one Gram matrix.
        layer_name: see :func:`~segxfer3d.interpret.features.layer_features`.
        device: where the networks run.
        images_at_once: through a network; bounds the memory of activations, which a batch of hundreds would exceed.

    Raises:
        InputError: a network without such a layer, or batches that :class:`CKA` refuses.
    """
    cka = CKA(list(networks))
    with ExitStack() as stack:
        functions = {}
        for name, network in networks.items():
            network.eval().to(device)
            stack.callback(network.cpu)
            try:
                functions[name] = stack.enter_context(layer_features(network, layer_name))
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        for images in batches:
            pieces = torch.split(images, images_at_once)
            cka.update({name: torch.cat([f(p.to(device)) for p in pieces]) for name, f in functions.items()})
    return cka.compute()
