"""What a pretext is called, its kind in the paper, and its source: as its runs note it in ``run.json``.

Runs of before such notes are known by the name of their job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

SUFFIX = "_pretrain"  # of the name of a pretext's job


@dataclass(frozen=True)
class Pretext:
    """A pretext in words.

    Attributes:
        title: its name.
        scenario: the paper's number for its encoder alone: 2 of a pretext that tells images apart, 4 of one that makes
            images or masks; empty where that is not known.
        citation: of its source; empty for none.
    """

    title: str
    scenario: str = ""
    citation: str = ""


_OLDER = {
    "simclr_pretrain": Pretext(
        "SimCLR",
        "2",
        "Chen T, Kornblith S, Norouzi M, Hinton G. A Simple Framework for Contrastive Learning of Visual "
        "Representations. ICML 2020.",
    ),
    "moco_pretrain": Pretext(
        "MoCo",
        "2",
        "He K, Fan H, Wu Y, Xie S, Girshick R. Momentum Contrast for Unsupervised Visual Representation Learning. "
        "CVPR 2020.",
    ),
    "byol_pretrain": Pretext(
        "BYOL",
        "2",
        "Grill J-B, et al. Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning. NeurIPS 2020.",
    ),
    "classification_pretrain": Pretext("Classification", "2"),
    "reconstruction_pretrain": Pretext("Reconstruction", "4"),
    "conrec_pretrain": Pretext("ConRec", "4"),
    "segmentation_pretrain": Pretext("Segmentation", "4"),
    "genesis_pretrain": Pretext(
        "Models Genesis",
        "4",
        "Zhou Z, Sodha V, Pang J, Gotway MB, Liang J. Models Genesis. Medical Image Analysis 67:101840, 2021.",
    ),
}


def noted(descriptions: Iterable[Mapping[str, Any]], bundles: Iterable[str] = ()) -> dict[str, Pretext]:
    """Name of a job, or of a bundle, to what its runs note of their pretext.

    Args:
        descriptions: contents of ``run.json``; those without a note are passed over.
        bundles: names of their bundles, which need not be called as their job, as far as they are known.
    """
    notes = {}
    for description, bundle in zip(descriptions, chain(bundles, repeat("")), strict=False):
        note = description.get("pretext")
        job = str(description.get("job") or "")
        if job and isinstance(note, dict) and note.get("title"):
            words = (str(note.get(name) or "") for name in ("title", "scenario", "citation"))
            notes[job] = notes[bundle or job] = Pretext(*words)
    return notes


def pretext_of(job: str, notes: Mapping[str, Pretext]) -> Pretext:
    """The pretext of a job: as noted, else as the older runs of this name are known, else by the name alone."""
    return notes.get(job) or _OLDER.get(job) or Pretext(job.removesuffix(SUFFIX))
