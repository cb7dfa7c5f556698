"""What the tests of contrastive losses share: embeddings, and the cosine written out."""

import math

import torch


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def embeddings():
    """Five related pairs of seven values."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(5, 7, generator=generator)
    return first, first + torch.randn(5, 7, generator=generator)


def assert_float32_under_autocast(loss, *tensors):
    """The loss of bfloat16 tensors under autocast is that of the same numbers in float32."""
    low = [tensor.bfloat16() for tensor in tensors]
    with torch.autocast("cpu", torch.bfloat16):
        got = loss(*low)
    assert got.dtype == torch.float32
    assert torch.equal(got, loss(*(tensor.float() for tensor in low)))
