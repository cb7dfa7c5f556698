"""Folders as the versions of before left them, and the text of the pages on them.

The texts in tests/report/older_pages were first written by commit 24e1449, before the rooms were rebuilt, and again
when verdicts came from one model of seeds and patients, and when what a verdict lacks was put in its own words and the
mean over patients beside its interval; nothing else in them changed:
``python -m tests.report.older_runs tests/report/older_pages``.
"""

import re
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from segxfer3d.report.page import write_report
from tests.report.made_studies import ARMS, write_json, write_run, write_study

PRETEXTS = ("simclr", "moco", "byol", "classification", "reconstruction", "conrec", "segmentation", "genesis", "mine")
STEPS = {"max_epochs": 3, "steps_per_epoch": 4, "batch_size": 2}


def volumes(folder):
    """A study of volumes: parts of the split are patients, and nothing says so."""
    write_study(folder, seeds=7, budgets=(5,), previews=False)


def images(folder):
    """A study of images: parts are names of cases, and each seed tests on what it did not label."""
    write_study(folder, seeds=2, budgets=(5,), previews=False)
    for run in sorted(folder.glob("finetune/*")):
        arm, seed = run.name[:-6], int(run.name[-1])
        test = [f"case{i:02d}" for i in range(seed, seed + 12)]
        write_run(run, init=arm, seed=seed, gain=ARMS[arm], case_names=test, knobs={"image_size": 64})
        labeled = [f"x{i}" for i in range(5)]
        write_json(run / "labels.json", {"cases": labeled})
        write_json(run / "split.json", {"pretrain": [], "train": labeled, "validation": ["v"], "test": test})
        write_json(run / "data_check.json", {"good": ["a", "b"], "bad": {}, "empty_masks": [], "sizes": {}})


def folder_of_runs(folder):
    """Runs without a study: arms are told apart by initialization, pretext and knobs."""
    for pretext in PRETEXTS:
        place = folder / "pre" / pretext
        write_json(place / "run.json", {"job": f"{pretext}_pretrain", "knobs": STEPS, "versions": {}})
        write_json(place / "split.json", {"pretrain": ["a", "b"], "train": [], "validation": [], "test": []})
        write_json(place / "done.json", {"seconds": 3})
        for init in ("encoder", "encoder+decoder"):
            run = folder / f"{pretext}-{init}"
            fast = {"num_workers": len(pretext), "amp": pretext == "byol", "output_dir": str(run)}
            write_run(run, init=init, gain=0.05, knobs={**fast, "checkpoint": str(place / "model.pt")})
            write_json(run / "transfer.json", {"init": init, "source": str(place / "model.pt")})
    write_run(folder / "random")
    write_run(folder / "whole", init="whole", knobs={"label_count": None, "label_fraction": 0.05, "target": "nodule"})


FOLDERS = {"volumes": volumes, "images": images, "folder_of_runs": folder_of_runs}


class Text(HTMLParser):
    """The text of a page outside scripts and styles, a line for each piece."""

    def __init__(self, page):
        super().__init__()
        self.lines, self._inside = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.lines.append(" ".join(data.split()))


def text_of(name, folder):
    """The text of the page on one of the folders, without where it lies and by which version it was made."""
    FOLDERS[name](folder / name)
    page = write_report(folder / name, folder / f"{name}.html").page.read_text(encoding="utf-8")
    text = "\n".join(line for line in Text(page).lines if line)
    return re.sub(r"Made by segxfer3d \S+ ", "Made by segxfer3d ", text.replace(str(folder), "")) + "\n"


if __name__ == "__main__":
    for name in FOLDERS:
        with tempfile.TemporaryDirectory() as place:
            (Path(sys.argv[1]) / f"{name}.txt").write_text(text_of(name, Path(place)), encoding="utf-8")
