"""Write the FLAIR channel of LGG_MRI as a 3D data set in the layout of the Medical Segmentation Decathlon.

``python scripts/lgg_flair.py LGG_MRI OUTPUT``

LGG_MRI holds three channels a patient, T1, FLAIR and T1 with contrast, in one 4D file. Some patients have FLAIR in
place of T1, some in place of T1 with contrast, where that sequence was not taken: the channel called FLAIR is FLAIR in
all of them, so every patient is kept, and those whose T1 is a copy of it are counted. Which channel is FLAIR is what
``dataset.json`` says, never a number. Patients stay as listed, so that the split by patient stays too; labels are
linked, not copied. The geometry of the source is nominal.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from segxfer3d import files
from segxfer3d.errors import InputError

FLAIR = "FLAIR"


def write_flair(source: Path, output: Path) -> tuple[int, int]:
    """Write the data set; volumes that are there stay.

    Args:
        source: the folder LGG_MRI.
        output: the folder to write.

    Returns:
        how many patients there are, and how many of them have FLAIR in place of T1.

    Raises:
        InputError: no ``dataset.json`` that names one channel FLAIR, or a file without the channels it names.
    """
    try:
        content = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
        names = {int(number): str(name) for number, name in content["modality"].items()}
        entries = content["training"]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{source}: expected a dataset.json that names its channels ({error})") from error
    found = [number for number, name in names.items() if name.upper().startswith(FLAIR)]
    if len(found) != 1:
        raise InputError(f"{source}: expected one channel called {FLAIR}, its channels are {list(names.values())}")
    replaced, training = 0, []
    for entry in entries:
        image, label = source / entry["image"], source / entry["label"]
        volume = nib.load(image)
        values = np.asarray(volume.dataobj)
        if values.ndim != 4 or values.shape[3] != len(names):
            raise InputError(f"{image}: expected {len(names)} channels, its shape is {values.shape}")
        flair = values[..., found[0]]
        t1 = [number for number, name in names.items() if name.startswith("T1 (pre")]
        replaced += any(np.array_equal(values[..., number], flair) for number in t1)
        target = output / "imagesTr" / image.name
        files.make_folder(target.parent)
        if not target.exists():
            nib.save(nib.Nifti1Image(np.ascontiguousarray(flair), volume.affine), target)
        training.append({**entry, "image": f"./imagesTr/{image.name}", "label": str(label.absolute())})
    about = {
        "name": "LGG_FLAIR",
        "description": f"Channel FLAIR of: {content.get('description', '')}",
        "licence": content.get("licence", ""),
        "modality": {"0": FLAIR},
        "labels": content["labels"],
        "numTraining": len(training),
        "training": training,
        "test": [],
    }
    files.write_json(output / "dataset.json", about)
    return len(training), replaced


def main(arguments: Sequence[str] | None = None) -> None:
    """Write, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the folder LGG_MRI")
    parser.add_argument("output", type=Path, help="the folder to write")
    options = parser.parse_args(arguments)
    patients, replaced = write_flair(options.source, options.output)
    print(f"{options.output}: {patients} patients, all kept; {replaced} of them have {FLAIR} in place of T1")


if __name__ == "__main__":
    main()
