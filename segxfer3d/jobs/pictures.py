"""What figures of images show: labeled images of a data set, what models make of them, and what a pretext sees.

The figures themselves are drawn by :mod:`segxfer3d.report.figures.galleries`; those of volumes are in a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segxfer3d.augment.conrec_corruption import BoxCorruption
from segxfer3d.data import preprocessing as preprocessings
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.check import check
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.images import ImagePreprocessing
from segxfer3d.data.preprocessing.loaded_images import load_image
from segxfer3d.errors import InputError
from segxfer3d.evaluation.metrics import dice
from segxfer3d.inference.labels import to_label_map
from segxfer3d.inference.model import load_model
from segxfer3d.networks import build
from segxfer3d.pretexts.base import unit_images
from segxfer3d.weights import checkpoint
from segxfer3d.weights.initialize import load_all

_KINDS = {1: "gray", 3: "color"}  # by their channels


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some images of a data set.

    Attributes:
        case_set: that they are of.
        cases: they.
        images: (C, rows, columns) uint8 of each, as read.
        labels: (rows, columns) of each, label values of ``classes``; empty where labels were not asked for.
    """

    case_set: CaseSet
    cases: tuple[Case, ...]
    images: tuple[NDArray[np.uint8], ...]
    labels: tuple[NDArray[Any], ...] = ()

    @property
    def classes(self) -> dict[int, str]:
        """Label value to name."""
        return dict(self.case_set.classes)


def choose_images(
    folder: Path | str, *, dataset: str = "", target: str = "", count: int = 6, seed: int = 0, labels: bool = True
) -> Chosen:
    """Images of a data set, drawn at random and sorted by name.

    Args:
        folder: of the data set.
        dataset: name of the layout; by default the one that fits.
        target: of a data set that has several.
        count: at most how many.
        seed: of the draw.
        labels: only images with masks, and these too.

    Raises:
        InputError: no such images, volumes, or files that cannot be read.
    """
    task = "segmentation" if labels else "images"
    case_set = find_cases(folder, Request(layout=dataset, dims=2, task=task, target=target, progress=False))
    cases = case_set.labeled if labels else case_set.cases
    if not cases:
        raise InputError(f"{folder}: no images with masks to show")
    order = np.random.default_rng(seed).permutation(len(cases))[:count]
    chosen = check(case_set, [cases[i] for i in sorted(order)], progress=False).good
    loaded = [load_image(case, case_set, label=labels) for case in chosen]
    maps = [
        to_label_map(torch.from_numpy(item.label.label).float(), list(case_set.classes))
        for item in loaded
        if item.label is not None
    ]
    return Chosen(case_set, chosen, tuple(item.image for item in loaded), tuple(maps))


def predicted(model: Path | str, chosen: Chosen) -> tuple[list[NDArray[Any]], list[float]]:
    """The masks of a fine-tuned model, and the dice of each with the true one, all classes as one.

    Args:
        model: ``model.pt``.
        chosen: images with masks.

    Raises:
        InputError: a model of volumes, of other classes, or one that was only pretrained.
    """
    loaded = load_model(model)
    if loaded.dims != 2 or loaded.classes.keys() != chosen.classes.keys():
        raise InputError(f"checkpoint {model}: segments {loaded.classes}, the images show {chosen.classes}")
    masks = [prediction.mask for prediction in loaded.predict_each(chosen.cases)]
    return masks, [dice(mask > 0, label > 0) for mask, label in zip(masks, chosen.labels, strict=True)]


def reconstructed(model: Path | str, chosen: Chosen, *, seed: int = 0) -> dict[str, NDArray[Any]]:
    """What a pretrained network makes of images that are corrupted as in its pretext: columns (N, C, rows, columns).

    Args:
        model: ``model.pt`` of a pretext that teaches to reconstruct images.
        chosen: images.
        seed: of the corruption.

    Raises:
        InputError: a network that gives no images, or whose pretext did not teach it to; images of other channels than
            it takes.
    """
    content = checkpoint.read_model(model)
    network = build(content["network"]).eval()
    load_all(network, content["state_dict"], str(model))
    prepare = preprocessings.from_dict(content["preprocessing"], str(model))
    if not _reconstructs(content) or not isinstance(prepare, ImagePreprocessing):
        raise InputError(
            f"checkpoint {model}: expected a pretext of images that reconstructs them, such as conrec_pretrain"
        )
    if chosen.case_set.channels != prepare.channels:
        raise InputError(
            f"checkpoint {model}: takes {_KINDS[prepare.channels]} images; those of {chosen.case_set.root} are "
            f"{_KINDS[chosen.case_set.channels]}"
        )
    held = prepare.hold(chosen.cases, chosen.case_set, labels=False, progress=False)
    images = unit_images({"image": torch.stack([held[i]["image"] for i in range(len(held))])})
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        corrupted = BoxCorruption()(images).image
        output = torch.sigmoid(network(corrupted).float())
    return {name: tensor.numpy() for name, tensor in (("corrupted", corrupted), ("output", output), ("target", images))}


def _reconstructs(content: Mapping[str, Any]) -> bool:
    """Whether a network gives images, and learned to: masks may have as many channels as an image."""
    arguments, provenance = content["network"]["arguments"], content["provenance"]
    taught = "head" in provenance.get("trained_parts", ["head"]) and provenance.get("pretext") != "Segmentation"
    return not content["classes"] and taught and arguments.get("out_channels") == arguments.get("in_channels")
