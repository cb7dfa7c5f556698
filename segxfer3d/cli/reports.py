"""The commands that look at what runs left: ``weights``, ``report``, ``results``, ``paper``, ``compare``."""

from __future__ import annotations

from pathlib import Path

import click

from segxfer3d.cli.arguments import FILE, FOLDER, NAMED


@click.command(short_help="Say what a checkpoint holds.")
@click.argument("file", type=FILE)
def weights(file: Path) -> None:
    """What a checkpoint holds: its parts, and where it comes from."""
    from segxfer3d.weights.summary import summarize

    click.echo("\n".join(summarize(file)))


@click.command(short_help="Write a page on a study, from the files of its runs.")
@click.argument("folder", type=FOLDER)
@click.option("--output", "-o", type=FILE, required=True, help="The page (HTML).")
@click.option(
    "--margin",
    type=click.FloatRange(0, min_open=True),
    help="Dice points that do not matter [the study file's, or 2].",
)
@click.option("--all-figures", is_flag=True, help="Each figure as PDF, too, and the masks of every label budget.")
@click.option("--channel", default="", help="That pictures show of several, by its name or number [the first].")
def report(folder: Path, output: Path, margin: float | None, all_figures: bool, channel: str) -> None:
    """Write a page on the study in FOLDER, from the files of its runs."""
    import gc

    from segxfer3d.report.page import write_report

    gc.disable()  # the process ends with the page: looking for cycles is a tenth of its time
    write_report(folder, output, margin, all_figures=all_figures, channel=channel)
    click.echo(f"report: {output}")


@click.command(short_help="Write what studies found into a page of Markdown.")
@click.argument("folders", type=FOLDER, nargs=-1, required=True)
@click.option("--output", "-o", type=FILE, required=True, help="The page (Markdown); figures are written beside it.")
@click.option("--validation", is_flag=True, help="Only the dice on the validation part: for choosing settings.")
def results(folders: tuple[Path, ...], output: Path, validation: bool) -> None:
    """Write what the studies in FOLDERS found into a page, a section for each; its other sections stay."""
    from segxfer3d.report.results_page import write_results_page

    write_results_page(folders, output, validation=validation)
    click.echo(f"results: {output}")


@click.command(short_help="Write the paper's tables with what studies found in each cell.")
@click.argument("folders", type=FOLDER, nargs=-1)
@click.option("--output", "-o", type=FILE, required=True, help="The page (Markdown), written anew.")
def paper(folders: tuple[Path, ...], output: Path) -> None:
    """Write the paper's tables, what the studies in FOLDERS found beside each published figure.

    FOLDERS are studies or records of them; without any, the records beside the page.
    """
    from segxfer3d.report.paper_page import write_paper_page

    click.echo(f"paper: {write_paper_page(output, folders)}")


@click.command(short_help="Compare the features of models, by linear CKA.")
@click.argument("checkpoints", type=NAMED, nargs=-1, required=True)
@click.option("--dataset-dir", type=FOLDER, required=True, help="Volumes or images, in any layout that is known.")
@click.option("--output", "-o", type=FOLDER, required=True, help="Where cka.csv, cka.json and the figures go.")
@click.option("--names", default="", help="Of the models, comma between them [what tells their folders apart].")
@click.option("--dataset", default="", help="Layout of the data; nothing: the one that fits.")
@click.option("--target", default="", help="Of a data set of images that has several.")
@click.option("--layer", default="", help="Name of the layer [the encoder's output].")
@click.option("--patches", type=click.IntRange(2), default=256, show_default=True, help="How many, or most images.")
@click.option("--patch-size", type=int, nargs=3, default=None, help="Voxels [what the models trained on].")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Patches held at a time.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice of patches.")
@click.option("--device", default="cpu", show_default=True, help="Where the networks run.")
@click.option("--skip-bad-cases", is_flag=True, help="Go on without cases that cannot be read.")
@click.option("--untrained", is_flag=True, help="Beside them a network of random weights.")
@click.option("--mixed-recipes", is_flag=True, help="Fine-tunings of different recipes are meant.")
def compare(
    checkpoints: tuple[Path, ...],
    dataset_dir: Path,
    output: Path,
    names: str,
    dataset: str,
    target: str,
    layer: str,
    patches: int,
    patch_size: tuple[int, int, int] | None,
    batch_size: int,
    seed: int,
    device: str,
    skip_bad_cases: bool,
    untrained: bool,
    mixed_recipes: bool,
) -> None:
    """How alike the features of models are, as linear CKA.

    CHECKPOINTS are model.pt of two or more runs; a study's folder stands for all of its pretrainings.
    """
    # first, so that a missing matplotlib is said before the work
    from segxfer3d.report.figures.cka import save_cka  # isort: skip
    from segxfer3d.interpret.features import DEFAULT_LAYER  # isort: skip
    from segxfer3d.jobs.compare import compare_representations  # isort: skip

    result = compare_representations(
        checkpoints,
        dataset_dir=dataset_dir,
        output_dir=output,
        names=[name.strip() for name in names.split(",")] if names else (),
        dataset=dataset,
        target=target,
        layer=layer or DEFAULT_LAYER,
        patches=patches,
        patch_size=patch_size or (),
        batch_size=batch_size,
        seed=seed,
        device=device,
        skip_bad_cases=skip_bad_cases,
        mixed_recipes=mixed_recipes,
        untrained=untrained,
    )
    save_cka(output)
    click.echo(result.as_text())
    click.echo(f"biased estimate in cka.csv: {result.biased_estimate}")
    click.echo(f"written: {output}/cka.csv, .json, .png, .svg")
