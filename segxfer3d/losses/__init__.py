"""Losses that torch and MONAI do not have, and what tells whether they teach anything."""

from segxfer3d.losses.contrastive import Contrast, embedding_std, info_nce, negative_cosine, nt_xent

__all__ = ["Contrast", "embedding_std", "info_nce", "negative_cosine", "nt_xent"]
