"""Train nnU-Net for a number of CPU seconds on the patients that our split gives, and score its masks as ours.

``pip install "segxfer3d[nnunet]"``, then
``python scripts/rival_nnunet.py DATASET_DIR RUN --seconds 120 --label_count 5 [--trainer own] [--patch planned]``

nnU-Net's own trainer classes run in this process, in one thread, without a change: its network, losses, augmentation
and deep supervision. Its learning rate falls as it plans, over the share of the seconds that is used rather than over
its 1000 epochs. Seconds are user CPU seconds of the training loop, augmentation included; imports, reading,
preprocessing and testing do not count. RUN gets the masks with mirroring (``masks``) and without (``masks_plain``),
``cases.csv`` and ``cases_plain.csv`` in the columns of our runs, and ``rival.json``.

The trainers are ``own`` (SGD with Nesterov momentum, initial rate 0.01) and ``adam`` (``nnUNetTrainerAdam``: AdamW).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from baseline_cases import PARTS, Chosen, choose, mask_path, score_masks
from baseline_clock import user_seconds
from rival_plan import CONFIGURATION, change_plan, prepare, read_plan

from segxfer3d import files
from segxfer3d.run.devices import seed_everything, versions

TRAINERS = ("own", "adam")
EXPONENT = 0.9  # of nnU-Net's polynomial decay


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, predict, score, write."""
    options = _options(arguments)
    torch.set_num_threads(1)
    run = Path(options.run)
    chosen = choose(
        options.dataset_dir, label_count=options.label_count, seed=options.seed, split_seed=options.split_seed,
        part=options.part, first=options.first,
    )  # fmt: skip
    prepared = Path(options.prepared or run / "nnunet")
    prepare(prepared, chosen.labeled, chosen.case_set)
    # augmentation in this process, and nothing compiled
    os.environ |= {"nnUNet_results": str(run / "results"), "nnUNet_n_proc_DA": "0", "nnUNet_compile": "f"}
    plans, dataset = read_plan(prepared)
    change_plan(plans, patch=options.patch, batch=options.batch, features=options.features)
    seed_everything(options.seed)
    trainer = make_trainer(options.trainer, plans, dataset, lr=options.lr)
    record = about(options, trainer, plans, chosen) | train(trainer, options.seconds)
    for name, mirrored in (("", True), ("_plain", False)):
        start = user_seconds()
        predict(trainer, run / f"masks{name}", chosen, mirrored=mirrored, step=options.step)
        record[f"test_seconds{name}"] = round(user_seconds() - start, 1)
        rows = score_masks(run / f"masks{name}", chosen.measured, chosen.case_set)
        files.write_rows(run / f"cases{name}.csv", rows)
        record[f"dice{name}"] = round(100 * float(np.mean([row["dice"] for row in rows])), 2)
    files.write_json(run / "rival.json", record)
    print({key: record[key] for key in ("seconds", "steps", "parameters", "dice", "dice_plain", "test_seconds")})


def make_trainer(name: str, plans: dict[str, Any], dataset: dict[str, Any], *, lr: float | None) -> Any:
    """A trainer of nnU-Net on the CPU that keeps no checkpoints, with its data loader.

    Args:
        name: ``own`` or ``adam``.
        plans: of nnU-Net.
        dataset: nnU-Net's ``dataset.json``.
        lr: initial learning rate; None: the trainer's own.
    """
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.training.nnUNetTrainer.variants.optimizer.nnUNetTrainerAdam import nnUNetTrainerAdam

    kind = nnUNetTrainerAdam if name == "adam" else nnUNetTrainer
    trainer = kind(
        plans=plans | {"continue_training": False}, configuration=CONFIGURATION, fold="all", dataset_json=dataset,
        device=torch.device("cpu"),
    )  # fmt: skip
    if lr is not None:
        trainer.initial_lr = lr
    trainer.disable_checkpointing = True
    trainer.plot_network_architecture = lambda: None  # would need graphviz's program
    trainer.on_train_start()
    trainer.network.train()
    return trainer


def train(trainer: Any, seconds: float, *, clock: Callable[[], float] = user_seconds) -> dict[str, Any]:
    """Train for a number of user CPU seconds, the learning rate falling over them.

    Args:
        trainer: of :func:`make_trainer`.
        seconds: of ``clock``; the step that passes them is the last.
        clock: tells the seconds that were used, augmentation included.

    Returns:
        what was used: ``seconds``, those of the data alone, wall seconds, steps and the mean of the last ten losses.
    """
    losses: list[float] = []
    data_seconds, start, wall = 0.0, clock(), time.perf_counter()
    while (used := clock() - start) < seconds:
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - used / seconds) ** EXPONENT
        before = clock()
        batch = next(trainer.dataloader_train)
        data_seconds += clock() - before
        losses.append(float(trainer.train_step(batch)["loss"]))
    return {
        "seconds": round(clock() - start, 2),
        "data_seconds": round(data_seconds, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "steps": len(losses),
        "loss": round(float(np.mean(losses[-10:])), 4),
    }


def predict(trainer: Any, folder: Path, chosen: Chosen, *, mirrored: bool, step: float) -> None:
    """Write the masks of the measured cases, by nnU-Net's own windows.

    Args:
        trainer: that was trained.
        folder: of the masks.
        chosen: whose measured cases are predicted.
        mirrored: average over the mirrored axes too, as nnU-Net does unless told otherwise.
        step: of the windows, as a share of the patch.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    class Predictor(nnUNetPredictor):  # type: ignore[misc]
        """All mirrored copies of a window in one pass: alone, a copy takes torch three times as long on one thread."""

        def _internal_maybe_mirror_and_predict(self, x: torch.Tensor) -> torch.Tensor:
            return mirrored_mean(self.network, x, self.allowed_mirroring_axes if self.use_mirroring else ())

    files.make_folder(folder)
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = Predictor(
        tile_step_size=step, use_gaussian=True, use_mirroring=mirrored, perform_everything_on_device=False,
        device=torch.device("cpu"), verbose=False, allow_tqdm=False,
    )  # fmt: skip
    weights = [trainer.network.state_dict()]
    predictor.manual_initialization(
        trainer.network, trainer.plans_manager, trainer.configuration_manager, weights, trainer.dataset_json,
        type(trainer).__name__, trainer.inference_allowed_mirroring_axes,
    )  # fmt: skip
    reader = trainer.plans_manager.image_reader_writer_class()
    for case in chosen.measured:
        image, properties = reader.read_images([str(case.image)])
        mask = predictor.predict_single_npy_array(image, properties, None, None, False)
        reader.write_seg(mask, str(mask_path(folder, case)), properties)


def mirrored_mean(
    network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, axes: Sequence[int]
) -> torch.Tensor:
    """Mean of what a network says of a window (1, C, *spatial) and of its copies mirrored along any of ``axes``."""
    flips = [[axis + 2 for axis in some] for n in range(len(axes) + 1) for some in combinations(axes, n)]
    copies = [torch.flip(x, flip) for flip in flips]
    # a batch of one takes the slow way through torch too
    outputs = network(torch.cat(copies if len(copies) > 1 else copies * 2))[: len(flips)]
    return torch.stack(
        [torch.flip(output, [axis - 1 for axis in flip]) for flip, output in zip(flips, outputs, strict=True)]
    ).mean(0, keepdim=True)


def about(options: argparse.Namespace, trainer: Any, plans: dict[str, Any], chosen: Chosen) -> dict[str, Any]:
    """What was run, for ``rival.json``: no path of this machine."""
    from importlib.metadata import version

    plan = plans["configurations"][CONFIGURATION]
    return {
        "settings": {
            "trainer": type(trainer).__name__,
            "lr": trainer.initial_lr,
            "patch": options.patch,
            "batch": options.batch,
            "features": options.features,
            "step": options.step,
        },
        "data": chosen.case_set.name,
        "part": options.part,
        "labels": [case.name for case in chosen.labeled],
        "seed": options.seed,
        "split_seed": options.split_seed,
        "asked_seconds": options.seconds,
        "patch": plan["patch_size"],
        "spacing": plan["spacing"],
        "batch": plan["batch_size"],
        "features": plan["architecture"]["arch_kwargs"]["features_per_stage"],
        "strides": plan["architecture"]["arch_kwargs"]["strides"],
        "parameters": sum(weight.numel() for weight in trainer.network.parameters()),
        "versions": versions() | {"nnunetv2": version("nnunetv2")},
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", help="labeled volumes (.nii.gz), in any layout that segxfer3d knows")
    parser.add_argument("run", help="the folder to write")
    parser.add_argument("--seconds", type=float, default=120, help="user CPU seconds of the training loop")
    parser.add_argument("--trainer", choices=TRAINERS, default="adam")
    parser.add_argument("--lr", type=float, help="initial learning rate; by default the trainer's own")
    parser.add_argument("--patch", type=_patch, help="X,Y,Z along our axes; by default the planned one")
    parser.add_argument("--batch", type=int, help="patches in a step; by default the planned number")
    parser.add_argument("--features", type=int, help="channels of the first stage; by default the planned number")
    parser.add_argument("--label_count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the labels drawn, the weights and the patches")
    parser.add_argument("--split_seed", type=int, default=0)
    parser.add_argument("--part", choices=PARTS, default="test", help="who is measured")
    parser.add_argument("--first", type=int, default=0, help="measure the first of them by name only; 0: all")
    parser.add_argument("--step", type=float, default=0.5, help="of the windows, as a share of the patch")
    parser.add_argument("--prepared", help="folder of nnU-Net's preprocessed labeled cases, to use again")
    return parser.parse_args(arguments)


def _patch(text: str) -> list[int]:
    return [int(side) for side in text.split(",")]


if __name__ == "__main__":
    main()
