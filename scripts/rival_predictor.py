"""Segment a NIfTI by the sliding windows of nnU-Net's predictor with a network of ours, and write the mask.

``python scripts/rival_predictor.py MODEL IMAGE MASK``, by a Python that has nnU-Net (extra ``nnunet``) and segxfer3d.
Windows have the patch of training and share a quarter, without mirroring; nnU-Net computes one at a time in float32.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import torch

from segxfer3d.networks import build
from segxfer3d.weights import checkpoint


def main(model: Path, image: Path, mask: Path) -> None:
    """Read, predict, write."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    content = checkpoint.read_model(model)
    network = build(content["network"])
    network.load_state_dict(content["state_dict"])
    predictor = nnUNetPredictor(
        tile_step_size=0.75, use_gaussian=True, use_mirroring=False, perform_everything_on_device=False,
        device=torch.device("cpu"), verbose=False, allow_tqdm=False,
    )  # fmt: skip
    predictor.network = network
    predictor.configuration_manager = SimpleNamespace(patch_size=list(content["provenance"]["patch_size"]))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=len(content["classes"]))
    volume = nibabel.load(image)
    low, high = (content["preprocessing"][f"window_{end}"] for end in ("low", "high"))
    values = torch.from_numpy(np.asarray(volume.dataobj, np.float32)[::-1, ::-1].copy())  # to RAS
    logits = predictor.predict_sliding_window_return_logits(values.sub_(low).div_(high - low).clamp_(0, 1)[None])
    mask.parent.mkdir(parents=True, exist_ok=True)
    said = (logits[0] >= 0).numpy().astype(np.uint8)[::-1, ::-1]
    nibabel.save(nibabel.Nifti1Image(said, volume.affine), mask)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
