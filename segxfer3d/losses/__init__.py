"""Losses that torch and MONAI do not have, one file a loss, and what tells whether they teach anything."""

from segxfer3d.losses.contrast import Contrast
from segxfer3d.losses.dice import LabeledDiceLoss, with_valid
from segxfer3d.losses.embeddings import embedding_std
from segxfer3d.losses.info_nce import info_nce
from segxfer3d.losses.negative_cosine import negative_cosine
from segxfer3d.losses.nt_xent import nt_xent

__all__ = ["Contrast", "LabeledDiceLoss", "embedding_std", "info_nce", "negative_cosine", "nt_xent", "with_valid"]
