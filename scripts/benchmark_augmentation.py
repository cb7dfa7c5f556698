"""Speed of the augmentation of training patches, beside nnU-Net's."""

from __future__ import annotations

import argparse
import importlib.util
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segxfer3d.augment.augmentation import Augmentation
from segxfer3d.augment.patches import training_patches
from segxfer3d.networks.named import make_network

VOLUME = (240, 240, 220)
SIZES = ((64, 64, 32), 600), ((128, 128, 128), 60)  # patches, and how many are measured
BLOCKS = 10  # taken in turn, after one that does not count
SMALL, FEATURES = (32, 32, 16), (8, 16, 32, 64)  # the cheapest step of docs/results/baseline.md
ROTATION = (-math.pi / 6, math.pi / 6)
SCALES = (0.85, 1.25)  # from which nnU-Net derives how much it cuts out to rotate and scale


def augmentation(_: argparse.Namespace) -> dict[str, float]:
    """CPU milliseconds of a random patch of a volume with the default augmentation, on one core: ours, and where
    nnunetv2 is installed (extra nnunet) the default transforms of its trainer, with the cut from the volume that its
    loader makes first and without; what ours adds to a training step of the cheapest network, forward and backward."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.ones(7_500_000)  # as in training, glibc then keeps freed memory
    random = np.random.default_rng(0)
    item = {"image": torch.from_numpy(random.standard_normal((1, *VOLUME), dtype=np.float32))}
    item["label"] = torch.zeros(1, *VOLUME)
    item["label"][0, 80:120, 90:140, 60:100] = 1
    results: dict[str, float] = {}
    for size, count in SIZES:
        name = "x".join(map(str, size))
        ours = training_patches(size, foreground_share=0.33, augmentation=Augmentation())
        works: dict[str, Callable[[], float]] = {"": lambda ours=ours: _seconds(lambda: ours(item))}  # type: ignore[misc]
        if importlib.util.find_spec("nnunetv2") is not None:
            works |= nnunet_works(item, size)
        taken: dict[str, list[float]] = {key: [] for key in works}
        for block in range(BLOCKS + 1):
            for key, work in works.items():
                seconds = [work() for _ in range(count // BLOCKS)]
                taken[key] += seconds if block else []
        milliseconds = {key: 1000 * float(np.mean(seconds)) for key, seconds in taken.items()}
        results |= {f"{key}milliseconds_{name}": value for key, value in milliseconds.items()}
        results |= {f"{key}ratio_{name}": value / milliseconds[""] for key, value in milliseconds.items() if key}
    results |= share_of_a_step(item)
    torch.set_num_threads(threads)
    return results


def _seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of this process: other processes on the machine do not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def nnunet_works(item: dict[str, Tensor], size: tuple[int, ...]) -> dict[str, Callable[[], float]]:
    """nnU-Net's loader and transforms on the same volume, timed together and the transforms alone."""
    from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    transforms = nnUNetTrainer.get_training_transforms(
        np.array(size), ROTATION, None, mirror_axes=(0, 1, 2), do_dummy_2d_data_aug=False
    )
    initial = get_patch_size(size, ROTATION, ROTATION, ROTATION, SCALES)
    image, label = item["image"].numpy(), item["label"].numpy().astype(np.int16)
    random = np.random.default_rng(0)

    def cut() -> dict[str, Tensor]:
        # as its loader does: the final patch lies inside the volume, what is cut out around it is padded
        margins = (initial - np.array(size)) // 2
        starts = [int(random.integers(0, length - side + 1)) for length, side in zip(VOLUME, size, strict=True)]
        begins = [start - margin for start, margin in zip(starts, margins, strict=True)]
        box = [[int(begin), int(begin + side)] for begin, side in zip(begins, initial, strict=True)]
        return {
            "image": torch.from_numpy(crop_and_pad_nd(image, box, 0)).float(),
            "segmentation": torch.from_numpy(crop_and_pad_nd(label, box, -1)).to(torch.int16),
        }

    def alone() -> float:
        patch = cut()
        return _seconds(lambda: transforms(**patch))

    return {"nnunet_": lambda: _seconds(lambda: transforms(**cut())), "nnunet_transforms_alone_": alone}


def share_of_a_step(item: dict[str, Tensor]) -> dict[str, float]:
    """Milliseconds of a small patch and of its share of a step."""
    torch.manual_seed(0)
    network = make_network(
        "plain_unet", dims=3, in_channels=1, out_channels=2, width=FEATURES[0], features=FEATURES, deep_supervision=True
    )
    patches = training_patches(SMALL, foreground_share=0.33, augmentation=Augmentation())
    batch = torch.stack([patches(item)["image"] for _ in range(4)])

    def step() -> None:
        outputs = network(batch)
        torch.autograd.backward([output.mean() for output in outputs])

    steps = np.median([_seconds(step) for _ in range(9)])
    taken = np.mean([_seconds(lambda: patches(item)) for _ in range(200)])
    name = "x".join(map(str, SMALL))
    return {
        f"milliseconds_{name}": 1000 * float(taken),
        f"step_milliseconds_{name}": 1000 * float(steps) / len(batch),
        f"percent_of_a_step_{name}": 100 * float(taken) * len(batch) / float(steps),
    }
