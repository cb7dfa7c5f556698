"""The command ``segxfer3d``; each of its commands imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

import sys
from typing import Any

import click

from segxfer3d.cli import bundles, cross, data, export, gallery, plan, power, reports, study
from segxfer3d.config import stopping
from segxfer3d.config.short_errors import kept_and_shortened
from segxfer3d.errors import InputError


def main() -> None:
    """The entry point: bad input is one line and exit status 1, never a trace."""
    stopping.install()
    try:
        cli(prog_name="segxfer3d")
    except InputError as error:
        print(f"error: {kept_and_shortened(str(error))}", file=sys.stderr)
        raise SystemExit(1) from None


class _Commands(click.Group):
    """Commands that say with which signal they were ended, click itself says 1 for all; and end with 1 for whatever bad
    input, also for words that click does not know, for which it says 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except SystemExit as end:
            if end.code == 2:
                raise SystemExit(1) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            print("stopped", file=sys.stderr)
            raise SystemExit(stopping.status_of(error)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="segxfer3d")
def cli() -> None:
    """What to pretrain and what to transfer, to segment your own volumes from few labels.

    `segxfer3d run NAME` runs a single training, evaluation or inference: the same as python -m monai.bundle run
    --config_file bundles/NAME.json.
    """


for _command in (
    bundles.run, bundles.bundles, cross.cross, study.study, study.tune, data.check, plan.plan, data.data,
    export.export, reports.weights, reports.report, reports.results, reports.paper, reports.compare,
    gallery.gallery,
):  # fmt: skip
    cli.add_command(_command)
study.study.add_command(power.study_power)
