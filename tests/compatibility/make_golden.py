"""Record what a build computes, in small runs on generated data, and how it splits.

PYTHONPATH=BUILD python tests/compatibility/make_golden.py BUILD/bundles --output golden.json
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

try:
    from . import names
    from .golden_runs import FIRST, IMAGES, PHANTOMS, RUNS
except ImportError:  # run as a script
    import names  # type: ignore[no-redef]
    from golden_runs import FIRST, IMAGES, PHANTOMS, RUNS  # type: ignore[no-redef]

SEEDS = range(20)


def data_of(bundle: str, folder: Path) -> Path:
    """The generated data of a bundle's runs, below ``folder``."""
    if bundle in ("evaluate", "genesis_pretrain", "genesis_finetune"):
        return Path(names.write_phantoms(folder / "data", **PHANTOMS))
    return Path(names.write_images(folder / "data", **IMAGES))


def run(name: str, folder: Path, bundles: Path) -> Path:
    """Run one of :data:`RUNS` below ``folder``, and before it the run that it starts from; gives its folder."""
    bundle, options, source = RUNS[name]
    place = folder / name
    if not place.exists():
        given = {**options, "dataset_dir": str(data_of(bundle, folder)), "output_dir": str(place)}
        if source:
            given["checkpoint"] = str(run(source, folder, bundles) / "model.pt")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            names.run_bundle(bundles / f"{bundle}.json", **given)
        finally:
            torch.set_num_threads(threads)
    return place


def weights_hash(state_dict: dict[str, torch.Tensor]) -> str:
    """SHA-256 of the names and bytes of all tensors."""
    total = hashlib.sha256()
    for key in sorted(state_dict):
        total.update(key.encode())
        total.update(state_dict[key].contiguous().numpy().tobytes())
    return total.hexdigest()


def weights_of(folder: Path) -> dict[str, Any]:
    """The weights of a run's model, as a hash and as a number for machines that round differently."""
    state_dict = names.read_model(folder / "model.pt")["state_dict"]
    return {"weights": weights_hash(state_dict), "weights_norm": weights_norm(state_dict)}


def weights_norm(state_dict: dict[str, torch.Tensor]) -> float:
    """Length of all weights together."""
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in state_dict.values()))


def as_named(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures under the names of the recorded ones, which called the pooled dice ``genesis_dice``, had no other
    and probed no untrained network."""
    kept = {k: v for k, v in figures.items() if "genesis_dice" not in k and not k.startswith("untrained_")}
    return {name.replace("pooled_dice", "genesis_dice"): value for name, value in kept.items()}


def recorded(folder: Path) -> dict[str, Any]:
    """What a run left, without times and paths."""
    found: dict[str, Any] = {"split": names.recorded_split(folder), "labels": names.recorded_labels(folder)}
    if (folder / "metrics.jsonl").is_file():
        lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        found["metrics"] = [{k: v for k, v in as_named(line).items() if k != "seconds"} for line in lines]
    if (folder / "model.pt").is_file():
        provenance = names.read_model(folder / "model.pt")["provenance"]
        found["provenance"] = {key: provenance[key] for key in ("cases", "patients", "cases_hash")}
        found |= weights_of(folder)
    if (folder / "cases.csv").is_file():
        with (folder / "cases.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = [name for name in ("case", "patient", "class", "dice", "iou") if name in rows[0]]
        kept = [[row[name] for name in columns] for row in rows]
        found["cases"] = [" ".join(row) for row in kept]
        found["cases_hash"] = hashlib.sha256(json.dumps(kept).encode()).hexdigest()
        found["summary"] = as_named(json.loads((folder / "cases_summary.json").read_text(encoding="utf-8")))
    return {key: value for key, value in found.items() if value is not None}


def splits() -> dict[str, Any]:
    """Who is in which part, for many seeds: names of cases, in the order given."""
    volumes = [
        names.volume_case(f"v{i:02d}-{scan}", f"v{i:02d}", labeled=i % 6 != 5 and not (i % 8 == 4 and scan == 1))
        for i in range(29)
        for scan in range(2 if i % 4 == 0 else 1)
    ]
    folds = [names.volume_case(f"s{i:02d}", f"p{i // 2 if i < 8 else i:02d}", True, fold=i * 7 % 10) for i in range(30)]
    unlabeled = [names.volume_case(f"u{i:02d}", f"u{i:02d}", False) for i in range(11)]
    images = [names.image_case(f"i{i:02d}") for i in range(41)]
    grouped = [names.image_case(f"g{i:02d}", f"scene{i * 5 % 17}") for i in range(51)]
    official = [names.image_case(f"o{i:02d}", part="val" if i % 3 == 1 else "train") for i in range(33)]
    found: dict[str, Any] = {
        "labeled_count": {
            f"{fraction:g} of {number}": names.image_label_count(fraction, number)
            for number in (849, 7375, 7376, 41, 10)
            for fraction in (0.01, 0.05, 0.145, 0.2, 0.25, 0.5)
        },
        "volumes by fold": _parts(names.volume_split(folds, 0.0, 0.15, 0.25, 0)),
    }
    for seed in SEEDS:
        of_seed: dict[str, Any] = {}
        for fractions in ((0.0, 0.15, 0.25), (0.25, 0.1, 0.35), (0.3, 0.0, 0.2), (0.0, 0.0, 0.5)):
            of_seed[f"volumes {fractions}"] = _parts(names.volume_split(volumes[::-1], *fractions, seed))
        train = names.volume_split(volumes, 0.0, 0.15, 0.25, 7).train
        of_seed["3 labels"] = _joined(names.volume_labels(train, seed, count=3))
        of_seed["0.5 labels"] = _joined(names.volume_labels(train, seed, fraction=0.5))
        of_seed["volumes without labels"] = _parts(names.volume_split(unlabeled, 0.0, 0.15, 0.25, seed))
        for name, cases in (("images", images), ("groups", grouped)):
            of_seed[f"{name} 0.2"] = _parts(names.image_split(cases, seed, label_fraction=0.2))
            of_seed[f"{name} 6"] = _parts(names.image_split(cases, seed, label_count=6, validation_fraction=0.25))
            of_seed[f"{name} set apart 0.3"] = _parts(
                names.image_split(cases, seed, label_fraction=0.3, pretrain_fraction=0.3)
            )
            of_seed[f"{name} held out 0.25"] = [_joined(part) for part in names.image_hold_out(cases, 0.25, seed)]
        of_seed["official 5"] = _parts(names.image_split(official, seed, label_count=5, official=True))
        found[f"seed {seed}"] = of_seed
    return found


def _parts(split: Any) -> dict[str, str]:
    return {part: _joined(getattr(split, part)) for part in names.PARTS}


def _joined(cases: Sequence[Any]) -> str:
    return " ".join(case.name for case in cases)


def machine() -> dict[str, str]:
    """What floats may depend on."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "monai", "numpy", "scipy")},
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": _processor(),
    }


def _processor() -> str:
    """Name, family and model: names alone (AMD EPYC) do not tell generations apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    values = dict(map(str.strip, line.partition(":")[::2]) for line in lines)
    return ", ".join(values[key] for key in ("model name", "cpu family", "model") if key in values)


def same_machine(recorded_on: dict[str, str]) -> bool:
    """Whether floats have to be the same bit for bit here as where they were recorded."""
    here = machine()
    return all(here[name] == recorded_on[name] for name in ("torch", "monai", "numpy", "capability", "processor"))


def tolerance(name: str, recorded_on: dict[str, str]) -> float:
    """How far a run's floats may be from those of the machine where they were recorded, as a share.

    A first step from random weights is the same everywhere but for rounding. Training makes more of it: Adam turns the
    rounding of a bias before batch norm, whose gradient is 0, into steps of full length.
    """
    if same_machine(recorded_on):
        return 0.0
    return 1e-4 if name.endswith(FIRST) and not RUNS[name][2] else 2e-2


def differences(expected: Any, found: Any, share: float = 0.0, place: str = "") -> list[str]:
    """What is not as expected; what ``found`` has in addition is no difference.

    Args:
        expected: plain values.
        found: plain values.
        share: that floats may differ by. Above 0 only losses and learning rates are looked at, and of a table the
            cases: the other figures hang on single voxels, on running statistics or on which epoch was the best.
        place: of both, for the words.
    """
    last = place.rpartition("/")[2]
    if isinstance(expected, dict) and isinstance(found, dict):
        lost = [f"{place}/{key} is missing" for key in expected if key not in found]
        shared = [key for key in expected if key in found]
        return lost + [
            line for key in shared for line in differences(expected[key], found[key], share, f"{place}/{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, share, f"{place}/{i}")]
    if share and place.startswith("/cases/"):
        same = expected.split(" ")[:-2] == found.split(" ")[:-2]
    elif share and place in ("/weights", "/cases_hash"):
        same = True
    elif share and isinstance(expected, float):
        looked_at = last.startswith("loss") or last == "lr"
        same = not looked_at or math.isclose(expected, found, rel_tol=share, abs_tol=1e-9)
    elif share and place.startswith("/summary/"):
        same = True
    else:
        same = expected == found
    return [] if same else [f"{place}: {expected!r} before, {found!r} now"]


def main() -> None:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", type=Path, help="folder of the build's bundles")
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    sys.argv = [sys.argv[0]]
    print("build:", names.build())
    bundles, output = options.bundles.resolve(), options.output.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        content = {
            "machine": machine(),
            "splits": splits(),
            "runs": {name: recorded(run(name, Path(), bundles)) for name in RUNS},
        }
        os.chdir(output.parent)
    if foreign := names.foreign_modules():
        raise SystemExit(f"two builds were mixed: {', '.join(foreign)}")
    output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
