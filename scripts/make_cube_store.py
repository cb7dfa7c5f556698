"""Cut random cubes from all volumes of a data set, once, for pretraining on more than fits in memory.

python scripts/make_cube_store.py --dataset_dir LUNA16 --output_dir luna16-cubes

Give the store as --dataset_dir to the pretraining bundle. Volumes that cannot be read, are too short for the
crop rule or hold too much tissue are left out, listed, and recorded in the store.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from segxfer3d.augment.cubes import CropRule
from segxfer3d.data.cubes.store import write_store
from segxfer3d.data.layouts import Request, find_cases
from segxfer3d.data.preprocessing.volumes import VolumePreprocessing
from segxfer3d.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with these arguments (by default the command line's); returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--dataset_dir", required=True, help="data set, in any layout that the bundles read")
    parser.add_argument("--output_dir", required=True, help="new folder for the store")
    parser.add_argument("--cube_size", nargs=3, type=int, default=[64, 64, 32], metavar=("X", "Y", "Z"))
    parser.add_argument("--cubes_per_volume", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--crop_rule",
        choices=("genesis", "uniform"),
        help="genesis: away from the borders and with little tissue; uniform: anywhere "
        "(default: genesis where intensities are a window of HU)",
    )
    parser.add_argument(
        "--intensity",
        choices=("auto", "window", "percentile"),
        default="auto",
        help="how intensities become [0, 1]; auto: window for CT, percentile otherwise",
    )
    parser.add_argument("--window_low", type=float, default=-1000, help="HU that become 0")
    parser.add_argument("--window_high", type=float, default=1000, help="HU that become 1")
    parser.add_argument("--spacing", nargs=3, type=float, metavar=("X", "Y", "Z"), help="millimeters (default: native)")
    parser.add_argument("--patient_pattern", default="", help="regular expression for the patient in a case's name")
    options = parser.parse_args(arguments)
    try:
        _write(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _write(options: argparse.Namespace) -> None:
    found = find_cases(options.dataset_dir, Request(patient_pattern=options.patient_pattern))
    intensity = options.intensity
    if intensity == "auto":
        intensity = "window" if found.modality == "CT" else "percentile"
    if options.crop_rule == "genesis" and intensity != "window":
        raise InputError("--crop_rule genesis tells air from tissue by HU: it needs --intensity window")
    low, high = options.window_low, options.window_high
    spacing = tuple(options.spacing) if options.spacing else None
    preprocessing = VolumePreprocessing(spacing, intensity, low, high)
    uniform = options.crop_rule == "uniform" or intensity != "window"
    rule = None if uniform else CropRule.for_window(low, high)
    report = write_store(
        options.output_dir,
        found.cases,
        preprocessing,
        tuple(options.cube_size),
        rule,
        options.cubes_per_volume,
        options.seed,
        progress=True,
    )
    for name, why in (report.bad | report.empty).items():
        print(f"left out: {name}: {why}", file=sys.stderr)
    print(
        f"{options.output_dir}: {report.count} cubes of {len(report.cases)} volumes; left out: {len(report.bad)} that "
        f"could not be read, {len(report.empty)} too short or too full of tissue"
    )


if __name__ == "__main__":
    sys.exit(main())
