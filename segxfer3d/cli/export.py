"""The command ``segxfer3d export``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from segxfer3d.cli.arguments import FILE, FOLDER, NAMED

TARGETS = ("bundle", "onnx", "openvino", "torchscript")


@click.command(short_help="Export a trained model: ONNX, OpenVINO, TorchScript, a MONAI bundle.")
@click.argument("model", type=NAMED)
@click.option("--to", required=True, type=click.Choice(TARGETS), help="What it becomes.")
@click.option("-o", "--output-dir", type=FOLDER, required=True, help="The folder to write, new or empty.")
@click.option(
    "--case", type=NAMED, default=None, help="A volume or image by which it is compared with torch [a phantom]."
)
@click.option("--external-data", is_flag=True, help="Of onnx: weights in a file beside the graph.")
@click.option("--license", type=FILE, default=None, help="Of bundle: the file that becomes its LICENSE.")
@click.option("--authors", default="", help="Of bundle: whom its metadata name.")
def export(
    model: Path,
    to: str,
    output_dir: Path,
    case: Path | None,
    external_data: bool,
    license: Path | None,
    authors: str,
) -> None:
    """Export MODEL, the model.pt of a fine-tuning, for programs without this package.

    What was exported predicts a case as torch does, or nothing is written.
    """
    from segxfer3d.export import export_model

    compared = export_model(
        model,
        to,
        output_dir,
        case=case,
        external_data=external_data,
        license=license,
        authors=authors,
        progress=sys.stderr.isatty(),
        say=click.echo,
    )
    click.echo(f"{output_dir}: written; {compared}")
