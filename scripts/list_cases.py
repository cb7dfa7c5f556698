"""Choose cases of one data set by size, add unlabeled CTs of another folder, and list them all in a dataset.json.

python scripts/list_cases.py --dataset_dir LIDC_VOIs --min_slices 8 --extra_dir ct_volumes --output_dir cases

The folder that is written serves as --dataset_dir of every 3D bundle and study; it holds paths, no copies.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from segxfer3d.data.io.volumes import read_volume
from segxfer3d.data.layouts import find_cases
from segxfer3d.data.layouts.listing import volumes_below
from segxfer3d.errors import InputError
from segxfer3d.files import write_text

LUNG_HU = -500.0  # a volume that has darker voxels is a CT in HU: label maps lie beside the scans in some folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", type=Path, required=True, help="labeled volumes, in any layout")
    parser.add_argument("--min_slices", type=int, default=1, help="voxels along the third axis that a case needs")
    parser.add_argument("--extra_dir", type=Path, help="CTs that are added without labels, for pretraining")
    parser.add_argument("--output_dir", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        print(write_list(options.dataset_dir, options.min_slices, options.extra_dir, options.output_dir))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write_list(source: Path, min_slices: int, extra: Path | None, target: Path) -> str:
    """Write ``target/dataset.json``; returns what is in it, in words.

    Args:
        source: labeled volumes.
        min_slices: voxels along the third axis that a case needs.
        extra: a folder of further volumes, of which those in HU that show air are added without labels.
        target: the folder to write.

    Raises:
        InputError: no usable volumes there, or none that is large enough.
    """
    cases = find_cases(source)
    training = [
        {"image": str(case.image.absolute()), "label": str(case.label.absolute()), "patient": case.patient}
        for case in tqdm(cases.labeled, "sizes", leave=False)
        if case.label is not None and read_volume(case.image).array.shape[2] >= min_slices
    ]
    if not training:
        raise InputError(f"{source}: none of {len(cases.labeled)} labeled cases has {min_slices} slices")
    volumes = volumes_below(extra).values() if extra else ()
    scans = [str(path.absolute()) for path in volumes if read_volume(path).array.min() < LUNG_HU]
    if extra and not scans:
        raise InputError(f"{extra}: no CT in it; expected volumes in HU with voxels below {LUNG_HU:g}")
    content = {
        "name": source.name,
        "modality": {"0": cases.modality},
        "labels": {"0": "background", **{str(value): name for value, name in cases.classes.items()}},
        "training": training,
        "test": scans,
    }
    target.mkdir(parents=True, exist_ok=True)
    write_text(target / "dataset.json", json.dumps(content, indent=1) + "\n")
    return f"{target / 'dataset.json'}: {len(training)} of {len(cases.labeled)} labeled cases, {len(scans)} scans more"


if __name__ == "__main__":
    sys.exit(main())
