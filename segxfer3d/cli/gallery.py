"""The commands ``segxfer3d gallery``: figures of images, as in the paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segxfer3d.cli.arguments import FILE, FOLDER

if TYPE_CHECKING:
    from segxfer3d.jobs.pictures import Chosen
    from segxfer3d.report.figures.galleries import Sample


@click.group(short_help="Draw images with masks, predictions or reconstructions.")
def gallery() -> None:
    """Figures of images: a data set with its masks, what models predict, what a pretext reconstructs.

    Volumes are shown by `segxfer3d report`.
    """


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice of images."),
        click.option("--count", type=click.IntRange(1), default=6, show_default=True, help="How many images, at most."),
        click.option("--target", default="", help="Of a data set that has several."),
        click.option("--dataset", default="", help="Layout of the data; nothing: the one that fits."),
        click.option("--dataset-dir", type=FOLDER, required=True, help="Images, in any layout that is known."),
        click.option("--output", "-o", type=FILE, required=True, help="The figure: .png, .pdf or .svg."),
    ):
        command = option(command)
    return command


@gallery.command("data", short_help="Images of a data set with their masks.")
@_options
def data(output: Path, dataset_dir: Path, dataset: str, target: str, count: int, seed: int) -> None:
    """Images of a data set, each above itself with its mask (the paper's Figure 2)."""
    from segxfer3d.jobs.pictures import choose_images
    from segxfer3d.report.figures.galleries import dataset_gallery
    from segxfer3d.report.figures.style import save

    chosen = choose_images(dataset_dir, dataset=dataset, target=target, count=count, seed=seed)
    click.echo(f"gallery: {save(dataset_gallery(_samples(chosen), chosen.classes), output)}")


@gallery.command("masks", short_help="What models predict, side by side.")
@click.argument("models", type=FILE, nargs=-1, required=True)
@click.option("--names", default="", help="Of the models, comma between them [what tells their folders apart].")
@_options
def masks(
    models: tuple[Path, ...],
    names: str,
    output: Path,
    dataset_dir: Path,
    dataset: str,
    target: str,
    count: int,
    seed: int,
) -> None:
    """Truth and prediction of MODELS (model.pt of fine-tunings), a column each (the paper's Figure 6)."""
    from segxfer3d.errors import InputError
    from segxfer3d.jobs.compare import short_names
    from segxfer3d.jobs.pictures import choose_images, predicted
    from segxfer3d.report.figures.galleries import mask_gallery
    from segxfer3d.report.figures.style import save

    titles = [name.strip() for name in names.split(",")] if names else short_names(models)
    if len(set(titles)) != len(models):
        raise InputError(f"--names: expected {len(models)} different ones, one for each model, got {titles}")
    chosen = choose_images(dataset_dir, dataset=dataset, target=target, count=count, seed=seed)
    found = {title: predicted(model, chosen) for title, model in zip(titles, models, strict=True)}
    figure = mask_gallery(
        _samples(chosen),
        {title: predictions for title, (predictions, _) in found.items()},
        chosen.classes,
        dice={title: scores for title, (_, scores) in found.items()},
    )
    click.echo(f"gallery: {save(figure, output)}")


@gallery.command("reconstruction", short_help="What a pretext sees, gives and should give.")
@click.argument("model", type=FILE)
@_options
def reconstruction(
    model: Path, output: Path, dataset_dir: Path, dataset: str, target: str, count: int, seed: int
) -> None:
    """Corrupted images, what MODEL (model.pt of a reconstructing pretext) makes of them, and the images (Figure 3)."""
    from segxfer3d.jobs.pictures import choose_images, reconstructed
    from segxfer3d.report.figures.galleries import reconstruction_gallery
    from segxfer3d.report.figures.style import save

    chosen = choose_images(dataset_dir, dataset=dataset, target=target, count=count, seed=seed, labels=False)
    figure = reconstruction_gallery(reconstructed(model, chosen, seed=seed), [case.name for case in chosen.cases])
    click.echo(f"gallery: {save(figure, output)}")


def _samples(chosen: Chosen) -> list[Sample]:
    """As the galleries take them."""
    from segxfer3d.report.figures.galleries import Sample

    return [
        Sample(case.name, image / 255, label)
        for case, image, label in zip(chosen.cases, chosen.images, chosen.labels, strict=True)
    ]
