"""Study folders as the runner leaves them, made up in milliseconds."""

import csv
import json

import numpy as np

from segxfer3d.evaluation.previews import Preview, write_previews

ARMS = {"random": 0.0, "encoder": 0.08, "encoder+decoder": 0.075}  # gain in dice
NASTY = "<script>alert(1)</script>"


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_run(folder, *, init="random", seed=0, gain=0.0, cases=16, count=5, case_names=None, curve=True, knobs=None):
    """A fine-tuning that is done."""
    rng = np.random.default_rng([seed, count, round(1000 * gain)])
    names = case_names or [f"case{i:02d}" for i in range(cases)]
    difficulty = 0.55 + 0.15 * np.random.default_rng(7).standard_normal(len(names))
    dice = np.clip(difficulty + gain + 0.01 * rng.standard_normal() + 0.03 * rng.standard_normal(len(names)), 0, 1)
    rows = [
        {"case": n, "patient": n.split("-")[0], "dice": d, "iou": d / (2 - d), "label_mm3": 100.0 + i,
         "prediction_mm3": 90.0, "empty_label": 0}
        for i, (n, d) in enumerate(zip(names, dice.tolist(), strict=True))
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    mean = float(dice.mean())
    summary = {
        "cases": len(rows), "patients": len(rows), "empty_labels": 0, "dice": mean, "dice_std": 0.1, "iou": mean / 2,
        "iou_std": 0.1, "genesis_dice": mean + 0.02, "pooled_dice": mean + 0.03,
        "genesis_iou": 0.8,
    }  # fmt: skip
    write_json(folder / "cases_summary.json", summary)
    versions = {"segxfer3d": "0.1.0", "torch": "2.13.0", "gpu": "none", "processor": "some CPU"}
    own = {"init": init, "seed": seed, "label_count": count, "label_fraction": None, "lr": 0.003, "max_epochs": 10,
           "steps_per_epoch": 20, "batch_size": 4, "width": 8, "patch_size": [32, 32, 16],
           "dataset_dir": "/data/nodules", **(knobs or {})}  # fmt: skip
    write_json(folder / "run.json", {"job": "genesis_finetune", "knobs": own, "versions": versions, "processes": 1})
    split = {"train": ["p1"] * 3, "validation": ["v1"], "test": names, "pretrain": ["q1", "q2"]}
    write_json(folder / "split.json", split)
    write_json(folder / "labels.json", {"cases": ["a"] * count, "patients": [f"p{i}" for i in range(count)]})
    write_json(folder / "data_check.json", {"good": names, "bad": {}})
    source = "" if init == "random" else "x/model.pt"
    loaded = [] if init == "random" else ["encoder.0"]
    write_json(folder / "transfer.json", {"init": init, "source": source, "loaded": loaded, "left": ["head.0"]})
    rate = 20 if gain else 50
    lines = [
        {"epoch": e, "step": 20 * e, "loss": 1 / e}
        | ({"validation_dice": mean * (1 - np.exp(-20 * e / rate)) + 0.005 * rng.random()} if curve else {})
        for e in range(1, 11)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_json(folder / "done.json", {"seconds": 120.0 + seed})
    return rows


def write_ball_previews(folder, rows, side=40):
    """Previews of balls in noise; the prediction is shifted more where the dice is low."""
    ordered = sorted(rows, key=lambda row: -row["dice"])
    kept = []
    for role, row in (("best", ordered[0]), ("median", ordered[len(rows) // 2]), ("worst", ordered[-1])):
        kept.append(ball(row, (role,), side))
    kept += [ball(row, ("shared",), side).sliced() for row in rows[:2]]
    write_previews(folder, kept)


def ball(row, roles, side):
    x, y, z = np.meshgrid(*[np.arange(side)] * 2, np.arange(side // 2), indexing="ij")
    center, shift = side / 2, 6 * (1 - row["dice"])
    label = (x - center) ** 2 + (y - center + 4) ** 2 + 4 * (z - center / 2) ** 2 < (side / 5) ** 2
    prediction = (x - center - shift) ** 2 + (y - center + 4) ** 2 + 4 * (z - center / 2) ** 2 < (side / 5.5) ** 2
    image = 70 + 110 * label + 12 * np.random.default_rng(1).standard_normal(label.shape)
    parts = (image[None].clip(0, 255), label, prediction)
    return Preview(row["case"], roles, row["dice"], *(p.astype(np.uint8) for p in parts), (0.7, 0.7, 1.4))


def write_study(
    folder, seeds=5, budgets=(5, 20), arms=None, cases=16, previews=True, published=None, case_names=None, curve=True
):
    """A study with one shared pretraining, all of it done; gives its trials."""
    arms = ARMS if arms is None else arms
    trials = [{"id": "pretrain-genesis", "kind": "pretrain", "folder": "pretrain/genesis", "depends": [], "arm": None,
               "config": "/b/genesis_pretrain.json", "budget": None, "budget_name": None, "seed": None,
               "data": "nodules", "pretrain": "genesis", "knobs": {}, "identity": "0" * 16}]  # fmt: skip
    pretrain = folder / "pretrain/genesis"
    description = {
        "job": "genesis_pretrain",
        "knobs": {"max_epochs": 30, "steps_per_epoch": 100, "batch_size": 4},
        "versions": {"torch": "2.13.0"},
    }
    write_json(pretrain / "run.json", description)
    write_json(pretrain / "split.json", {"pretrain": ["q1", "q2"], "train": [], "validation": [], "test": []})
    write_json(pretrain / "done.json", {"seconds": 3600})
    (pretrain / "metrics.jsonl").write_text('{"epoch": 1, "step": 100, "loss": 1.0, "validation_loss": 1.0}\n')
    for seed in range(seeds):
        for count in budgets:
            for arm, gain in arms.items():
                name = f"finetune/{arm}-n{count}-s{seed}"
                rows = write_run(
                    folder / name, init=arm, seed=seed, gain=gain, cases=cases, count=count, case_names=case_names,
                    curve=curve,
                )  # fmt: skip
                if previews:
                    write_ball_previews(folder / name, rows)
                trials.append({"id": f"{arm}-n{count}-s{seed}", "kind": "finetune", "folder": name, "arm": arm,
                               "depends": [] if arm == "random" else ["pretrain-genesis"], "budget": float(count),
                               "budget_name": f"n{count}", "seed": seed, "data": "nodules", "pretrain": "genesis",
                               "config": "/b/genesis_finetune.json", "knobs": {}, "identity": "1" * 16})  # fmt: skip
    write_json(folder / "trials.json", trials)
    entry = {"pretrain": "genesis", "checkpoint": None, "knobs": {}, "scenario": ""}
    known = {arm: {**entry, "init": arm} | ({"pretrain": None} if arm == "random" else {}) for arm in arms}
    study = {
        "format": 1,
        "name": "lungs",
        "description": "Nodules from few labels.",
        "arms": known,
        "seeds": list(range(seeds)),
        "pretrain": {"genesis": {"config": "/b/genesis_pretrain.json", "knobs": {}}},
        "published": published,
    }
    write_json(folder / "study.json", study)
    return trials
