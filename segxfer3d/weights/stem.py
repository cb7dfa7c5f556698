"""A pretrained stem for images of another number of channels.

The first convolution is linear in its channels. From one channel to k, its kernels are repeated and divided by k: k
equal channels then give what the one gave, and channels on one scale about as much. From k channels to one they are
added up: the one stands for all, as a gray image does for three equal colors. From several channels to another number
of several nobody knows which is which, so there is no rule. Nor is there one for a network that brings neighboring
voxels together as channels: those are places, not modalities.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def has_rule(before: int, now: int) -> bool:
    """Whether a stem of ``before`` channels can start one of ``now``."""
    return before == now or 1 in (before, now)


def fit_stem(
    tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor], channels: int
) -> tuple[dict[str, Tensor], str]:
    """Kernels of an encoder that look at the image, for as many channels as a network takes.

    Args:
        tensors: of the checkpoint.
        weights: of the network; kernels are (outputs, channels, *spatial).
        channels: of the images of the network; kernels that see others do not look at the image.

    Returns:
        the tensors, and what was done in words; empty where all fit, or where there is no rule: loading refuses them.

    Example:
        >>> import torch
        >>> gray, color = torch.ones(4, 1, 3, 3), torch.zeros(4, 3, 3, 3)
        >>> fitted, words = fit_stem({"encoder.first": gray}, {"encoder.first": color}, channels=3)
        >>> torch.allclose(fitted["encoder.first"].sum(1, keepdim=True), gray), words
        (True, 'its stem of 1 channel is repeated for 3 and divided by 3')
    """
    fitted, done = dict(tensors), ""
    for key, ours in weights.items():
        theirs = tensors.get(key)
        if theirs is None or not key.startswith("encoder.") or theirs.ndim != ours.ndim or ours.ndim < 3:
            continue
        before, now = theirs.shape[1], ours.shape[1]
        others_fit = theirs.shape[0] == ours.shape[0] and theirs.shape[2:] == ours.shape[2:]
        if now != channels or before == now or not others_fit or not has_rule(before, now):
            continue
        if before == 1:
            fitted[key] = theirs.expand_as(ours) / now
            done = f"its stem of 1 channel is repeated for {now} and divided by {now}"
        else:
            fitted[key] = theirs.sum(1, keepdim=True)
            done = f"its stem of {before} channels is added up for 1"
    return fitted, done
