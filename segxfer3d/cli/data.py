"""The commands that look at data and prepare them: ``check`` and ``data``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from segxfer3d.cli.arguments import AS_IN_BUNDLES, FOLDER, EachChannel, label_map, volume_files
from segxfer3d.config.image_files import EXIF, IMAGE_KINDS
from segxfer3d.errors import once_each


@click.command(short_help="Look a data set over before anything trains on it.", context_settings=AS_IN_BUNDLES)
@click.argument("data", type=FOLDER)
@click.option("--dataset", default="", help="Its layout, such as decathlon or voc; nothing: the one that fits.")
@click.option("--target", default="", help="What is segmented, where a data set of images has several.")
@click.option("--patient-pattern", default="", help="Regular expression that finds the patient in a file's name.")
@click.option(
    "--image-kind",
    type=click.Choice(IMAGE_KINDS),
    default="auto",
    show_default=True,
    help="What images are; auto: as the first one; gray, color: others are converted.",
)
@click.option(
    "--exif", type=click.Choice(EXIF), default="auto", show_default=True,
    help="Whether EXIF orientations turn images with masks.",
)  # fmt: skip
@label_map
@volume_files
def check(
    data: Path, dataset: str, target: str, patient_pattern: str, image_kind: str, exif: str, **files: str
) -> None:
    """Look over a data set: cases, patients, spacing, intensities, foreground, problems.

    Exit status 1 where a case cannot be used.
    """
    from segxfer3d.data.inspection import inspect

    inspection = inspect(
        data,
        dataset,
        target=target,
        patient_pattern=patient_pattern,
        image_kind=image_kind,
        exif=exif,
        progress=sys.stderr.isatty(),
        **files,
    )
    click.echo(inspection.text())
    if inspection.problems:
        raise SystemExit(1)


@click.group(short_help="Prepare data: nodules of LUNA16, cube stores, lists of cases, what is stored.")
def data() -> None:
    """Prepare data: cubes around the nodules of LUNA16, cube stores, lists of cases; and see what is stored."""


_output = click.option("--output-dir", type=FOLDER, required=True, help="The folder to write.")
_dataset = click.option("--dataset", default="", help="Layout of the data; nothing: the one that fits.")
_cube_size = click.option(
    "--cube-size", type=click.IntRange(1), nargs=3, default=(64, 64, 32), show_default=True, metavar="X Y Z",
    help="Voxels of a cube.",
)  # fmt: skip


@data.command("luna16", short_help="Cut a cube around every nodule of LUNA16.")
@click.option("--luna-dir", type=FOLDER, required=True, help="LUNA16: subset0 to subset9, or some of them.")
@click.option("--xml-dir", type=FOLDER, required=True, help="LIDC-IDRI's XML files, at any depth.")
@_output
@_cube_size
@click.option(
    "--min-readers", type=click.IntRange(1), default=3, show_default=True, help="Readers who must have marked a nodule."
)
def prepare_luna16(
    luna_dir: Path, xml_dir: Path, output_dir: Path, cube_size: tuple[int, int, int], min_readers: int
) -> None:
    """Cut a cube around every nodule of LUNA16, labeled by the consensus of the LIDC-IDRI radiologists.

    The same command goes on after a stop. Exit status 1 where a patient cannot be used; the others are kept.
    """
    from segxfer3d.data.lidc import luna16

    nodules = luna16.prepare_luna16(
        luna_dir,
        xml_dir,
        output_dir=output_dir,
        cube_size=cube_size,
        min_readers=min_readers,
        progress=sys.stderr.isatty(),
    )
    for why in once_each({name: f"{name}: {why}" for name, why in nodules.bad.items()}):
        click.echo(f"cannot be used: {why}", err=True)
    click.echo(nodules.text())
    if nodules.bad:
        raise SystemExit(1)


@data.command("cubes", short_help="Cut random cubes for pretraining on much data.", context_settings=AS_IN_BUNDLES)
@click.option("--dataset-dir", type=FOLDER, required=True, help="Volumes, in any layout that is known.")
@_output
@_dataset
@_cube_size
@click.option(
    "--cubes-per-volume", type=click.IntRange(1), default=32, show_default=True, help="Wanted of each volume."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the places.")
@click.option(
    "--crop-rule", type=click.Choice(["auto", "genesis", "uniform"]), default="auto", show_default=True,
    help="genesis: away from the borders and with little tissue; uniform: anywhere; auto: genesis for a window of HU.",
)  # fmt: skip
@click.option(
    "--intensity", type=EachChannel(str, ("auto", "window", "percentile")), default="auto", show_default=True,
    help="How intensities become [0, 1], for all channels or as a list; auto: window for CT, percentile otherwise.",
)  # fmt: skip
@click.option("--window-low", type=EachChannel(float), default=-1000.0, show_default=True, help="HU that become 0.")
@click.option("--window-high", type=EachChannel(float), default=1000.0, show_default=True, help="HU that become 1.")
@click.option("--spacing", type=float, nargs=3, default=None, metavar="X Y Z", help="Millimeters [the volumes' own].")
@click.option("--patient-pattern", default="", help="Regular expression that finds the patient in a file's name.")
@volume_files
def cubes(
    dataset_dir: Path,
    output_dir: Path,
    dataset: str,
    cube_size: tuple[int, int, int],
    cubes_per_volume: int,
    seed: int,
    crop_rule: str,
    intensity: str | tuple[str, ...],
    window_low: float | tuple[float, ...],
    window_high: float | tuple[float, ...],
    spacing: tuple[float, float, float] | None,
    patient_pattern: str,
    **files: str,
) -> None:
    """Cut random cubes from all volumes of a data set, once, for pretraining on more than fits in memory.

    The store serves as --dataset_dir of genesis_pretrain. Volumes that cannot be read, are too short or hold too much
    tissue are left out. Of several channels, cubes hold all.
    """
    from segxfer3d.data.cubes.make import make_cube_store

    store = make_cube_store(
        dataset_dir,
        output_dir,
        dataset=dataset,
        cube_size=cube_size,
        cubes_per_volume=cubes_per_volume,
        seed=seed,
        crop_rule=crop_rule,
        intensity=intensity,
        window_low=window_low,
        window_high=window_high,
        spacing=spacing,
        patient_pattern=patient_pattern,
        progress=sys.stderr.isatty(),
        **files,
    )
    for why in once_each({name: f"{name}: {why}" for name, why in store.left_out.items()}):
        click.echo(f"left out: {why}", err=True)
    click.echo(store.text())


@data.command("list", short_help="List the cases that are large enough.", context_settings=AS_IN_BUNDLES)
@click.option("--dataset-dir", type=FOLDER, required=True, help="Labeled volumes, in any layout that is known.")
@_output
@_dataset
@click.option(
    "--min-slices", type=click.IntRange(1), default=1, show_default=True, help="Voxels along z that a case needs."
)
@click.option("--extra-dir", type=FOLDER, help="CTs that are added without labels, for pretraining.")
@click.option("--patient-pattern", default="", help="Regular expression that finds the patient in a file's name.")
@volume_files
def list_cases(
    dataset_dir: Path, output_dir: Path, dataset: str, min_slices: int, extra_dir: Path | None, **files: str
) -> None:
    """Write dataset.json: the labeled cases that are large enough, and CTs without labels.

    The folder serves as --dataset_dir of every bundle and study that takes volumes; it holds paths, no copies.
    """
    from segxfer3d.data.case_list import write_case_list

    written = write_case_list(
        dataset_dir,
        output_dir,
        min_slices=min_slices,
        extra_dir=extra_dir,
        dataset=dataset,
        progress=sys.stderr.isatty(),
        **files,
    )
    click.echo(written.text())


@data.command("store", short_help="List or clear the volumes that are kept preprocessed on disk.")
@click.argument("folder", type=FOLDER, required=False)
@click.option("--clear", is_flag=True, help="Remove them.")
@click.option(
    "--unused-days", type=click.FloatRange(0, min_open=True), help="With --clear: only what nobody used for so long."
)
def store(folder: Path | None, clear: bool, unused_days: float | None) -> None:
    """List what lies in the store FOLDER, by default the usual one: preprocessed volumes, kept where they were too many
    for memory. They are made again where they are missing.

    The usual one is segxfer3d/volumes in the user's cache folder, or what SEGXFER3D_STORE names.
    """
    from segxfer3d.data.store.listing import clear_store, list_store
    from segxfer3d.data.store.place import is_store, usual_folder
    from segxfer3d.machine import size_text

    place = usual_folder() if folder is None else folder
    if unused_days is not None and not clear:
        raise click.UsageError("--unused-days says what --clear removes")
    if folder is None and not is_store(place):
        click.echo(f"{place}: nothing is stored")
        return
    if clear:
        click.echo(f"{place}: {size_text(clear_store(place, unused_days=unused_days or 0))} removed")
    click.echo(list_store(place).text())
