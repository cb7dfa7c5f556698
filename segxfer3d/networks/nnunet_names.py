"""The names that weights of nnU-Net's networks have here.

Those of ``PlainConvUNet`` and ``ResidualEncoderUNet`` in MIC-DKFZ's dynamic-network-architectures; tensors of
:func:`~segxfer3d.networks.plain_unet` and :func:`~segxfer3d.networks.resenc_unet` have the same but for the heads.
Behind a stem names are the same, but shapes of the first convolution and of the heads are not.
"""

from __future__ import annotations

# how their names begin -> how ours do; what begins otherwise is a second name of a tensor above
PREFIXES = {
    "encoder.": "encoder.",
    "decoder.stages.": "decoder.stages.",
    "decoder.transpconvs.": "decoder.transpconvs.",
    "decoder.seg_layers.": "head.",
}
_ALIAS = ".all_modules."


def from_nnunet(name: str, levels: int) -> str | None:
    """The name here of a tensor of nnU-Net.

    Args:
        name: as their state dict has it, without ``module.`` or ``_orig_mod.`` before it.
        levels: of the decoder, one less than the encoder has stages.

    Returns:
        None for a second name of a tensor, and for the head of the coarsest of three levels or more, which nothing is
        learned from.

    Example:
        >>> [from_nnunet(f"decoder.seg_layers.{level}.weight", levels=3) for level in (2, 1, 0)]
        ['head.weight', 'head.auxiliary.0.weight', None]
    """
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
    if prefix is None or _ALIAS in name:
        return None
    rest = name.removeprefix(prefix)
    if PREFIXES[prefix] != "head.":
        return PREFIXES[prefix] + rest
    level, tensor = rest.split(".", 1)
    coarser = levels - 1 - int(level)  # theirs are counted from the coarsest
    if coarser == 0:
        return f"head.{tensor}"
    return None if coarser == levels - 1 and levels > 2 else f"head.auxiliary.{coarser - 1}.{tensor}"
