"""Losses that torch and MONAI do not have, and what tells whether they teach anything."""

from segxfer3d.losses.contrastive import Contrast, embedding_std, info_nce, negative_cosine, nt_xent
from segxfer3d.losses.dice import LabeledDiceLoss, with_valid

__all__ = ["Contrast", "LabeledDiceLoss", "embedding_std", "info_nce", "negative_cosine", "nt_xent", "with_valid"]
