"""Losses that torch and MONAI do not have, one file a loss, and what tells whether they teach anything."""

from segxfer3d.losses.activation import foreground_probabilities, output_channels
from segxfer3d.losses.contrast import Contrast
from segxfer3d.losses.deep_supervision import DeepSupervisionLoss
from segxfer3d.losses.dice import LabeledDiceLoss, with_valid
from segxfer3d.losses.embeddings import embedding_std
from segxfer3d.losses.info_nce import info_nce
from segxfer3d.losses.negative_cosine import negative_cosine
from segxfer3d.losses.nt_xent import nt_xent
from segxfer3d.losses.segmentation import SegmentationLoss, make_loss

__all__ = [
    "Contrast",
    "DeepSupervisionLoss",
    "LabeledDiceLoss",
    "SegmentationLoss",
    "embedding_std",
    "foreground_probabilities",
    "info_nce",
    "make_loss",
    "negative_cosine",
    "nt_xent",
    "output_channels",
    "with_valid",
]
