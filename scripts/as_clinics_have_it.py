"""One data set in the forms that groups keep: the same cases, split and dice come out.

``python scripts/as_clinics_have_it.py LIDC_VOIs Task04_Hippocampus --output W [--patients 24] [--forms F ...]``

Each data set (a ``dataset.json`` that lists cases) is written below W. ``dicom``: ``PATIENT/SCAN/image/*``, a file a
slice, by pydicom, names without order or ending, and ``PATIENT/SCAN/label.nii.gz``, read with ``--image_pattern`` and
``--label_pattern``. ``patients``: ``PATIENT/SCAN/image.nii.gz``, by nibabel, beside ``label.nii.gz``. ``nnunet``:
``imagesTr/CASE_0000.nii.gz`` with ``labelsTr/CASE.nii.gz``, the files themselves, as version 2 has them. What comes out
is compared with the original: names, patients, voxels, places, the split, and the dice of a short training with one
seed, case by case. ``--page FILE`` adds a table to a page.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from dicom_series import SOP_CLASSES, write_series

from segxfer3d import files
from segxfer3d.data.case import Case, CaseSet
from segxfer3d.data.io.volumes import read_volume
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.split import by_patient
from segxfer3d.errors import InputError
from segxfer3d.run.bundle import run_bundle
from segxfer3d.run.devices import versions

FORMS = ("original", "dicom", "patients", "nnunet")
PATTERNS: dict[str, Any] = {"image_pattern": "/image$", "label_pattern": "/label$"}
TRAINING: dict[str, Any] = {
    "init": "random", "plan": "none", "network": "genesis_unet", "width": 4, "patch_size": [32, 32, 16],
    "batch_size": 4, "max_epochs": 3, "steps_per_epoch": 40, "lr": 3e-3, "seed": 0, "progress": False, "device": "cpu",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of a data set in one form.

    Attributes:
        form: one of :data:`FORMS`.
        cases: name to patient.
        values: largest difference of a voxel's value from the original, as a share of the volume's range.
        places: largest difference of an affine's numbers, in mm.
        split: patients of each part.
        dice: name of a test case and class to dice; empty where nothing was trained.
    """

    form: str
    cases: dict[str, str]
    values: float
    places: float
    split: dict[str, Any]
    dice: dict[str, float]


def convert(case_set: CaseSet, cases: Sequence[Case], output: Path, forms: Sequence[str] = FORMS) -> dict[str, Path]:
    """Write the cases in the forms; what is there already is written again.

    Returns:
        form to data set; the original as a list of the cases.
    """
    shutil.rmtree(output, ignore_errors=True)
    labels = {"0": "background", **{str(value): name for value, name in case_set.classes.items()}}
    listed = [
        {
            "image": str(case.image.absolute()),
            "label": str(case.label and case.label.absolute()),
            "patient": case.patient,
        }
        for case in cases
    ]
    modality = {"0": {"MR": "MRI"}.get(case_set.modality, case_set.modality)}
    about = {"original": {"modality": modality, "labels": labels, "training": listed, "test": []}}
    about |= {"dicom": {"labels": labels}, "patients": {"labels": labels, "modality": modality}}
    about["nnunet"] = {
        "channel_names": modality,
        "labels": {name: int(value) for value, name in labels.items()},
        "file_ending": ".nii.gz",
        "dataset": {case.name: _as_nnunet(case, output / "nnunet") for case in cases} if "nnunet" in forms else {},
    }
    for form in forms:
        files.make_folder(output / form)
        files.write_json(output / form / "dataset.json", about[form])
    for case in cases:
        scan = case.name.removeprefix(case.patient).strip("_")
        volume = read_volume(case.image)
        for form in (form for form in forms if form in ("dicom", "patients")):
            folder = output / form / case.patient / scan
            files.make_folder(folder)
            shutil.copyfile(str(case.label), folder / "label.nii.gz")
            if form == "dicom":
                modality_word = case_set.modality if case_set.modality in SOP_CLASSES else "MR"
                about_scan = {"patient": case.patient, "modality": modality_word}
                write_series(folder / "image", volume.array, volume.affine, **about_scan)
            else:
                nib.save(nib.Nifti1Image(volume.array, volume.affine), folder / "image.nii.gz")
    return {form: output / form for form in forms}


def _as_nnunet(case: Case, root: Path) -> dict[str, Any]:
    """Write the files of a case as nnU-Net's, and what its ``dataset.json`` says of it.

    Raises:
        InputError: a file that does not end in ``.nii.gz``.
    """
    image, label = root / "imagesTr" / f"{case.name}_0000.nii.gz", root / "labelsTr" / f"{case.name}.nii.gz"
    for source, target in ((case.image, image), (case.label, label)):
        if source is None or not source.name.endswith(".nii.gz"):
            raise InputError(f"{source}: expected .nii.gz, as that of all files of a data set of nnU-Net")
        files.make_folder(target.parent)
        shutil.copyfile(source, target)
    places = [path.relative_to(root).as_posix() for path in (image, label)]
    return {"images": places[:1], "label": places[1], "patient": case.patient}


def compare(folders: dict[str, Path], runs: Path | None) -> list[Outcome]:
    """What comes out of each form; trained where there is a folder for runs."""
    outcomes = []
    originals: dict[str, Case] = {}
    for form, folder in folders.items():
        options: dict[str, Any] = PATTERNS if form == "dicom" else {}
        case_set = find_cases(folder, Request(**options))
        originals = originals or {case.name: case for case in case_set.cases}
        values = places = 0.0
        for case in case_set.cases:
            if case.name not in originals:
                raise InputError(f"{case.image}: a case that the original does not have")
            here, there = read_volume(case.image), read_volume(originals[case.name].image)
            scale = float(np.ptp(there.array)) or 1.0
            values = max(values, float(np.abs(here.array.astype(np.float64) - there.array).max()) / scale)
            places = max(places, float(np.abs(here.affine - there.affine).max()))
        dice = {} if runs is None else _dice(folder, runs / form, options)
        patients = {case.name: case.patient for case in case_set.cases}
        outcomes.append(Outcome(form, patients, values, places, by_patient(case_set.cases).as_dict(), dice))
    return outcomes


def _dice(folder: Path, run: Path, options: dict[str, Any]) -> dict[str, float]:
    shutil.rmtree(run, ignore_errors=True)
    run_bundle("genesis_finetune", None, dataset_dir=str(folder), output_dir=str(run), **TRAINING, **options)
    with (run / "cases.csv").open(encoding="utf-8", newline="") as file:
        return {f"{row['case']} {row.get('class', '')}".strip(): float(row["dice"]) for row in csv.DictReader(file)}


def rows_of(name: str, outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row of the page for each form."""
    first = outcomes[0]
    rows = []
    for outcome in outcomes:
        shared = [abs(outcome.dice[case] - first.dice[case]) for case in first.dice.keys() & outcome.dice.keys()]
        same_cases = outcome.cases == first.cases
        mean = f"{100 * float(np.mean(list(outcome.dice.values()))):.4f}" if outcome.dice else "–"
        apart = f"{100 * max(shared):.4f}" if shared and outcome.dice.keys() == first.dice.keys() else "–"
        rows.append(
            [
                name, outcome.form, f"{len(outcome.cases)} of {len(set(outcome.cases.values()))}",
                "same" if same_cases else "other", "same" if outcome.split == first.split else "other",
                f"{outcome.values:.2g}", f"{outcome.places:.2g}", mean, apart,
            ]
        )  # fmt: skip
    return rows


COLUMNS = (
    "data set", "form", "cases of patients", "names, patients", "split", "values off", "places off (mm)", "mean dice",
    "dice off",
)  # fmt: skip
HEAD = """# One data set in several forms

Written by `scripts/as_clinics_have_it.py`: as listed in `dataset.json`; as DICOM series with a NIfTI label beside each;
as folders of patients with image and label; as raw data of nnU-Net. "Off" is the largest difference from the original:
of a voxel's value as a share of its volume's range, of a number of the affine, of the dice of a test case in points.
Whole numbers come back from DICOM as they were; multiples of a slope to float32's rounding, since DICOM writes the
slope with 16 characters; others to half a 65535th of the range. A training makes such differences larger.
"""
SECTION = """
## {title}

`python scripts/as_clinics_have_it.py {arguments}--page PAGE`

{machine}, {cores} cores, {versions}.
{training}

"""
TRAINED = "Trained: {steps} steps of batch {batch}, width {width}, from random weights, one seed, no more than a check."


def section(rows: Sequence[Sequence[str]], patients: int, arguments: str = "") -> str:
    """A table in Markdown, with its command and where it ran."""
    steps = TRAINING["max_epochs"] * TRAINING["steps_per_epoch"]
    trained = TRAINED.format(steps=steps, batch=TRAINING["batch_size"], width=TRAINING["width"])
    head = SECTION.format(
        title=f"The first {patients} patients, trained" if patients else "All cases",
        arguments=arguments,
        machine=versions()["processor"], cores=os.cpu_count(),
        versions=", ".join(f"{name} {version}" for name, version in versions().items() if name in ("torch", "monai")),
        training=trained if patients else "Nothing was trained.",
    )  # fmt: skip
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return head + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert, compare, say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--patients", type=int, default=0, help="the first ones, and train on them; 0: all, no training"
    )
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="the first is compared with")
    parser.add_argument("--page", type=Path, help="add the table to this page")
    options = parser.parse_args(arguments)
    rows = []
    for root in options.datasets:
        case_set = find_cases(root)
        chosen = sorted({case.patient for case in case_set.labeled})[: options.patients or None]
        cases = [case for case in case_set.labeled if case.patient in chosen]
        folders = convert(case_set, cases, options.output / root.name, options.forms)
        outcomes = compare(folders, options.output / "runs" / root.name if options.patients else None)
        rows += rows_of(root.name, outcomes)
        print("\n".join(" | ".join(row) for row in rows[-len(folders) :]), flush=True)
    if options.page:
        before = options.page.read_text(encoding="utf-8") if options.page.is_file() else HEAD
        said = f"{' '.join(root.name for root in options.datasets)} --output W "
        said += f"--patients {options.patients} " if options.patients else ""
        said += f"--forms {' '.join(options.forms)} " if tuple(options.forms) != FORMS else ""
        files.write_text(options.page, before + section(rows, options.patients, said))


if __name__ == "__main__":
    main()
