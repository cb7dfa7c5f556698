"""Fine-tune by the bundle ``genesis_finetune`` on one thread, clock its training loop, and score its masks.

``python scripts/baseline_ours.py DATASET_DIR RUN --set recipe=strong --set minutes=2 [--label_count 5] [--seed 0]``

The counterpart of ``rival_nnunet.py``: the same patients, the same clock (user CPU seconds of the training loop,
augmentation included; reading, validation and testing do not count), the same scores. RUN gets the bundle's run
(``run``), the masks, ``cases.csv`` and ``ours.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import nibabel as nib
import numpy as np
import torch
from baseline_cases import PARTS, TEST_FRACTION, VALIDATION_FRACTIONS, Chosen, choose, mask_path, score_masks
from baseline_clock import loop, user_seconds
from baseline_grid import INFERENCE

from segxfer3d import files
from segxfer3d.config import command_line
from segxfer3d.config.shipped import find_bundle
from segxfer3d.errors import InputError
from segxfer3d.inference.model import Model, load_model
from segxfer3d.run.bundle import run_bundle
from segxfer3d.run.devices import versions
from segxfer3d.study.records import weights_hash

BUNDLE = "genesis_finetune"
TRAINING, TABLE = "train::trainer.run()", "final_table"  # steps of the bundle's "run"
NO_SETTINGS = ("dataset_dir", "output_dir", "seed", "split_seed", "label_count", "progress", "minutes", "max_epochs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, predict, score, write."""
    options = _options(arguments)
    torch.set_num_threads(1)
    run = Path(options.run)
    chosen = choose(
        options.dataset_dir, label_count=options.label_count, seed=options.seed, split_seed=options.split_seed,
        part=options.part, first=options.first,
    )  # fmt: skip
    config = {
        "dataset_dir": options.dataset_dir, "output_dir": str(run / "run"), "label_count": options.label_count,
        "seed": options.seed, "split_seed": options.split_seed, "test_fraction": TEST_FRACTION,
        "validation_fraction": VALIDATION_FRACTIONS[options.part], "validation_interval": 10**6, "progress": False,
    } | dict(options.set)  # fmt: skip
    started = user_seconds()
    run_bundle(BUNDLE, **config, **clocked(command_line.merged_config([str(find_bundle(BUNDLE))])))
    whole = user_seconds() - started
    refuse_others(run / "run", chosen)
    path = run / "run" / "model.pt"
    model = load_model(path, device="cpu")
    started = user_seconds()
    dice = measure(model, run, chosen)
    tested = user_seconds() - started
    if options.inference:
        for name, changes in INFERENCE.items():
            measure(load_model(changed(path, name, changes), device="cpu"), run, chosen, name)
    record = (
        about(options, config, model, chosen)
        | found(run / "run")
        | {
            "seconds": round(loop.seconds, 2),
            "wall_seconds": round(loop.wall_seconds, 2),
            "other_seconds": round(whole - loop.seconds, 2),
            "steps": loop.steps,
            "test_seconds": round(tested, 1),
            "weights": weights_hash(path),
            "dice": round(dice, 2),
        }
    )
    files.write_json(run / "ours.json", record)
    print({key: record[key] for key in ("seconds", "steps", "parameters", "dice", "test_seconds")})


def clocked(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides of a bundle that clock its training and leave its own table out.

    Raises:
        InputError: the bundle has no step that trains.
    """
    steps = [step for step in bundle["run"] if TABLE not in step]
    if not any(TRAINING in step for step in steps):
        raise InputError(f"bundle {BUNDLE}: no step {TRAINING!r} to clock")
    run = ["$baseline_clock.loop.run(@train::trainer)" if TRAINING in step else step for step in steps]
    return {"imports": [*bundle["imports"], "$import baseline_clock"], "run": run}


def refuse_others(run: Path, chosen: Chosen) -> None:
    """Refuse a run that was trained on other cases than those that the rival is given.

    Raises:
        InputError: it was.
    """
    labels = json.loads((run / "labels.json").read_text(encoding="utf-8"))["cases"]
    if labels != [case.name for case in chosen.labeled]:
        raise InputError(f"{run}: trained on {labels}, expected {[case.name for case in chosen.labeled]}")


def found(run: Path) -> dict[str, Any]:
    """What a run derived by itself: its plan (without the reasons), its number of epochs and its learning rate."""
    documents = {name: run / f"{name}.json" for name in ("plan", "length", "rate")}
    contents = {name: json.loads(path.read_text("utf-8")) for name, path in documents.items() if path.is_file()}
    contents.get("plan", {}).pop("reasons", None)
    return contents


def measure(model: Model, run: Path, chosen: Chosen, name: str = "") -> float:
    """Write masks and their scores, ``cases.csv`` or ``cases_NAME.csv``.

    Returns:
        mean dice over cases in points.
    """
    suffix = name and f"_{name}"
    predict(model, run / f"masks{suffix}", chosen)
    rows = score_masks(run / f"masks{suffix}", chosen.measured, chosen.case_set)
    files.write_rows(run / f"cases{suffix}.csv", rows)
    return 100 * float(np.mean([row["dice"] for row in rows]))


def changed(path: Path, name: str, changes: Mapping[str, object]) -> Path:
    """The same model, used otherwise: a copy of its file beside it."""
    content = torch.load(path, weights_only=True)
    content["inference"] |= changes
    copy = path.with_name(f"model_{name}.pt")
    torch.save(content, copy)
    return copy


def predict(model: Model, folder: Path, chosen: Chosen) -> None:
    """Write the masks of the measured cases."""
    files.make_folder(folder)
    for case, prediction in zip(chosen.measured, model.predict_each(chosen.measured), strict=True):
        nib.save(nib.Nifti1Image(prediction.mask.astype(np.uint8), prediction.affine), mask_path(folder, case))


def about(options: argparse.Namespace, config: Mapping[str, Any], model: Model, chosen: Chosen) -> dict[str, Any]:
    """What was run, for ``ours.json``: no path of this machine."""
    return {
        "bundle": BUNDLE,
        "settings": {name: value for name, value in config.items() if name not in NO_SETTINGS},
        "data": chosen.case_set.name,
        "part": options.part,
        "labels": [case.name for case in chosen.labeled],
        "seed": options.seed,
        "split_seed": options.split_seed,
        "patch": list(model.patch_size),
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "versions": versions(),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", help="labeled volumes, in any layout that segxfer3d knows")
    parser.add_argument("run", help="the folder to write")
    parser.add_argument("--label_count", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split_seed", type=int, default=0)
    parser.add_argument("--part", choices=PARTS, default="test", help="who is measured")
    parser.add_argument("--first", type=int, default=0, help="measure the first of them by name only; 0: all")
    parser.add_argument("--inference", action="store_true", help="measure inference without each of its parts too")
    parser.add_argument("--set", type=_setting, action="append", default=[], help="an option of the bundle: name=value")
    return parser.parse_args(arguments)


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    main()
