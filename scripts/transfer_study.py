"""Compare every initialization on one data set: pretrain, tune the learning rate, fine-tune the grid, write the page.

``python scripts/transfer_study.py --name lidc --page lidc.md --dataset_dir D --output_dir runs/lidc``

Every training is one ``monai.bundle run`` in a folder of its own; a finished one is not repeated, so the same command
goes on after a stop. The learning rate of each initialization is tuned alike: on the validation part, with labels drawn
by a seed that the grid does not use. The page is made from the run folders alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from segxfer3d.data.datasets import find_cases
from segxfer3d.data.datasets.listing import volumes_below
from segxfer3d.data.readers import read_volume
from segxfer3d.runs import versions
from segxfer3d.transfer import SCENARIOS, needs_checkpoint

# an arm: how the network starts, and what else is done differently
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random", {}),
    "encoder": ("encoder", {}),
    "encoder+decoder": ("encoder+decoder", {}),
    "encoder, two steps": ("encoder", {"decoder_warmup_epochs": 1}),
    "frozen-encoder": ("frozen-encoder", {}),
    "frozen-random": ("frozen-random", {}),
}
TUNING_SEED = 100
VALIDATIONS = 4  # of a fine-tuning: an epoch is a quarter of its steps
COLORS = dict(zip(ARMS, ("0.4", "tab:blue", "tab:orange", "tab:cyan", "tab:green", "tab:red"), strict=True))

Work = tuple[str, int, int, float]  # arm, labeled patients, seed, peak learning rate


def view(source: Path, target: Path, min_slices: int, extra: Path | None) -> Path:
    """A ``dataset.json`` that lists the cases with enough slices, and the volumes of ``extra`` as unlabeled ones."""
    cases = find_cases(source)
    entries = [
        {"image": str(case.image.absolute()), "label": str(case.label.absolute()), "patient": case.patient}
        for case in cases.labeled
        if case.label is not None and read_volume(case.image).array.shape[2] >= min_slices
    ]
    volumes = volumes_below(extra) if extra else {}
    # label maps lie beside the scans in some folders: a volume below -500 somewhere is a CT in HU
    scans = [str(p.absolute()) for p in volumes.values() if read_volume(p).array.min() < -500]
    target.mkdir(parents=True, exist_ok=True)
    content = {
        "name": source.name,
        "modality": {"0": cases.modality},
        "labels": {"0": "background", **{str(value): name for value, name in cases.classes.items()}},
        "training": entries,
        "test": scans,
    }
    (target / "dataset.json").write_text(json.dumps(content, indent=1) + "\n")
    return target


class Study:
    """The runs of one data set below one folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.root = Path(options.output_dir)
        self.data = view(Path(options.dataset_dir), self.root / options.name, options.min_slices, options.extra_dir)
        fractions = {
            "pretrain_fraction": 0.5,
            "validation_fraction": options.validation_fraction,
            "test_fraction": 0.25,
        }
        self.common: dict[str, Any] = {
            "dataset_dir": self.data, "width": options.width, "patch_size": options.patch_size, "batch_size": 4,
            "progress": False, "device": options.device, "amp": options.amp, "save_interval": 10, **fractions,
        }  # fmt: skip

    def bundle(self, name: str, folder: Path, knobs: dict[str, Any]) -> None:
        """One run, unless it is done; one that was stopped goes on."""
        if (folder / "done.json").is_file():
            return
        words = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", f"bundles/{name}.json"]
        values = {**self.common, **knobs, "output_dir": folder, "resume": (folder / "run.json").is_file()}
        words += [word for key, value in values.items() for word in (f"--{key}", str(value))]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.options.threads)}
        result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{folder} failed:\n{result.stderr[-2000:]}")

    def pretrain(self) -> Path:
        """The checkpoint that all pretrained arms share."""
        steps = self.options.pretrain_steps
        folder = self.root / "pretrain"
        per_epoch = 100
        knobs = {
            "max_epochs": steps // per_epoch,
            "steps_per_epoch": per_epoch,
            "patience": 0,
            "validation_interval": 5,
        }
        self.bundle("genesis_pretrain", folder, knobs)
        return folder / "model.pt"

    def finetune(self, arm: str, count: int, seed: int, lr: float) -> Path:
        """One fine-tuning; gives its folder."""
        init, extra = ARMS[arm]
        folder = self.root / "finetune" / f"{arm.replace(', ', '-').replace(' ', '-')}-n{count}-s{seed}-lr{lr:g}"
        knobs: dict[str, Any] = {
            "init": init, "label_count": count, "seed": seed, "lr": lr, "max_epochs": VALIDATIONS,
            "steps_per_epoch": self.options.steps // VALIDATIONS, "validation_interval": 1,
            "overlap": self.options.overlap, **extra,
        }  # fmt: skip
        if needs_checkpoint(init):
            knobs["checkpoint"] = self.root / "pretrain" / "model.pt"
        self.bundle("genesis_finetune", folder, knobs)
        return folder

    def all(self, works: Sequence[Work], title: str) -> dict[Work, Path]:
        """Many fine-tunings, ``jobs`` at a time."""
        with ThreadPoolExecutor(self.options.jobs) as pool:
            folders = list(tqdm(pool.map(lambda work: self.finetune(*work), works), title, total=len(works)))
        return dict(zip(works, folders, strict=True))


def curve(folder: Path) -> list[tuple[int, float]]:
    """(step, dice on the validation part) of a run."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["step"], line["validation_dice"]) for line in lines if "validation_dice" in line]


def summary(folder: Path) -> dict[str, float]:
    """Figures of a run on the test part."""
    content: dict[str, float] = json.loads((folder / "cases_summary.json").read_text(encoding="utf-8"))
    return content


def spread(values: Sequence[float], sign: bool = False) -> str:
    """Mean and sample standard deviation, in percent."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):{'+' if sign else ''}.1f} ± {100 * deviation:.1f}"


def draw(path: Path, curves: dict[int, dict[str, list[list[tuple[int, float]]]]]) -> None:
    """Dice over steps for each initialization: mean of the seeds, a line for each seed behind it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 3.6), sharey=True, squeeze=False)
    for axis, (count, arms) in zip(axes[0], curves.items(), strict=True):
        for init, runs in arms.items():
            steps = [step for step, _ in runs[0]]
            values = np.array([[dice for _, dice in run] for run in runs])
            axis.plot(steps, values.T, color=COLORS[init], linewidth=0.5, alpha=0.4)
            axis.plot(steps, values.mean(0), color=COLORS[init], linewidth=2, label=init)
        axis.set(title=f"{count} labeled patients", xlabel="fine-tuning step", ylim=(0, 1))
    axes[0][0].set_ylabel("dice, validation part")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the data in the page")
    parser.add_argument("--page", required=True, help="in --docs; its section of this name is written anew")
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--extra_dir", type=Path, help="more CT volumes for pretraining")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--docs", type=Path, default=Path("docs/results"))
    parser.add_argument("--min_slices", type=int, default=1)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--patch_size", type=int, nargs=3, default=[32, 32, 16])
    parser.add_argument("--pretrain_steps", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--overlap", type=float, default=0.0, help="of the windows in evaluation")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--label_counts", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--lrs", type=float, nargs="+", default=[0.001, 0.003, 0.01])
    parser.add_argument("--validation_fraction", type=float, default=0.05)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", type=lambda text: text == "True", default=False)
    options = parser.parse_args(arguments)
    study = Study(options)
    study.pretrain()
    count = options.label_counts[0]
    tuning: dict[Work, Path] = {}
    best = dict.fromkeys(options.arms, options.lrs[0])
    if len(options.lrs) > 1:
        tuning = study.all([(arm, count, TUNING_SEED, lr) for lr in options.lrs for arm in options.arms], "tuning")
        for arm in options.arms:
            reached = {lr: curve(tuning[arm, count, TUNING_SEED, lr])[-1][1] for lr in options.lrs}
            best[arm] = max(reached, key=reached.__getitem__)
    # seed by seed: a study that is stopped has whole comparisons
    grid = study.all(
        [(arm, n, seed, best[arm]) for seed in options.seeds for n in options.label_counts for arm in options.arms],
        "fine-tuning",
    )
    options.docs.mkdir(parents=True, exist_ok=True)
    folders = {
        n: {a: [grid[a, n, s, best[a]] for s in options.seeds] for a in options.arms} for n in options.label_counts
    }
    draw(
        options.docs / f"{options.name}_dice_over_steps.svg",
        {n: {arm: [curve(folder) for folder in runs] for arm, runs in arms.items()} for n, arms in folders.items()},
    )
    lines = [*described(study), *tables(folders, best), *figure_and_tuning(options, tuning)]
    replace_section(options.docs / options.page, options.name, "\n".join(lines))


def described(study: Study) -> list[str]:
    """What was run, on what."""
    options = study.options
    split = json.loads((study.root / "pretrain" / "split.json").read_text(encoding="utf-8"))
    done = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in study.root.glob("finetune/*/done.json")]
    pretraining = json.loads((study.root / "pretrain" / "done.json").read_text(encoding="utf-8"))["seconds"]
    machine = versions()
    return [
        f"## {options.name}",
        "",
        f"Made by `python scripts/transfer_study.py {' '.join(_shown(sys.argv[1:]))}` on {time.strftime('%Y-%m-%d')}.",
        "",
        f"Patients: {len(split['pretrain'])} for pretraining, {len(split['train'])} to draw labels from, "
        f"{len(split['validation'])} for validation, {len(split['test'])} for the tables; split by patient, the same "
        f"for every arm. Network: Genesis U-Net of width {options.width} ({'bf16' if options.amp else 'float32'}), "
        f"patches {'x'.join(map(str, options.patch_size))}, batch 4, Adam with warm-up and cosine; "
        f"{options.pretrain_steps} pretraining and {options.steps} fine-tuning steps; {len(options.seeds)} seeds "
        "(labels drawn, weights, patches).",
        "",
        f"Hardware: {machine['processor']}, {options.jobs} trainings at a time with {options.threads} thread each, GPU "
        f"{machine['gpu']}; torch {machine['torch']}. Pretraining {pretraining / 3600:.2f} h, {len(done)} fine-tunings "
        f"{sum(done) / 3600:.2f} h, as wall time summed over trainings.",
    ]


def tables(folders: dict[int, dict[str, list[Path]]], best: dict[str, float]) -> list[str]:
    """Figures of the test part for each arm, a table for each number of labeled patients."""
    lines = [
        "",
        "Test part, in percent, mean ± standard deviation over seeds. `dice` and `iou` are means over cases at "
        "threshold 0.5. `genesis_dice` and `genesis_iou` pool all voxels, as the paper's Table 3 does, on other crops: "
        "they do not compare with it. The difference to random is of dice, seed by seed.",
    ]
    for n, arms in folders.items():
        early = curve(next(iter(arms.values()))[0])[0][0]
        lines += ["", f"### {n} labeled patients", ""]
        lines += [
            f"| arm | scenario | lr | dice | iou | genesis_dice | genesis_iou | difference to random | dice of each "
            f"seed | validation dice after {early} steps |"
        ]
        lines += ["|" + " --- |" * 10]
        for arm, runs in arms.items():
            figures = [summary(folder) for folder in runs]
            cells = [spread([f[name] for f in figures]) for name in ("dice", "iou", "genesis_dice", "genesis_iou")]
            difference = "–"
            if arm != "random" and "random" in arms:
                pairs = zip(figures, (summary(folder) for folder in arms["random"]), strict=True)
                difference = spread([own["dice"] - other["dice"] for own, other in pairs], sign=True)
            each = ", ".join(f"{100 * f['dice']:.1f}" for f in figures)
            first = spread([curve(folder)[0][1] for folder in runs])
            row = [arm, SCENARIOS[ARMS[arm][0]] or "–", f"{best[arm]:g}", *cells, difference, each, first]
            lines.append("| " + " | ".join(row) + " |")
    return lines


def figure_and_tuning(options: argparse.Namespace, tuning: dict[Work, Path]) -> list[str]:
    """The figure, and what each learning rate reached."""
    count = options.label_counts[0]
    lines = ["", f"![dice over steps]({options.name}_dice_over_steps.svg)"]
    if not tuning:
        return lines
    lines += [
        "",
        f"Learning rates tried: dice on the validation part after {options.steps} steps, {count} patients, one draw of "
        "its own.",
        "",
    ]
    lines += ["| arm | " + " | ".join(f"{lr:g}" for lr in options.lrs) + " |", "| --- |" + " --- |" * len(options.lrs)]
    for arm in options.arms:
        values = [curve(tuning[arm, count, TUNING_SEED, lr])[-1][1] for lr in options.lrs]
        lines.append(f"| {arm} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |")
    return lines


def replace_section(page: Path, name: str, text: str) -> None:
    """Write ``text`` between the marks of ``name``, behind everything where the page has no such marks yet."""
    begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->\n"
    old = page.read_text(encoding="utf-8") if page.is_file() else f"# {page.stem}\n"
    if begin in old:
        head, rest = old.split(begin, 1)
        new = head + begin + text + end + rest.split(end, 1)[1]
    else:
        new = f"{old}\n{begin}{text}{end}"
    page.write_text(new, encoding="utf-8")


def _shown(arguments: Sequence[str]) -> list[str]:
    """The command without the paths of this machine."""
    shown = []
    for word in arguments:
        shown.append(Path(word).name if word.startswith("/") else word)
    return shown


if __name__ == "__main__":
    main()
