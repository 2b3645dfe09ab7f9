"""`bedrock-spark environment`: build what a cluster gets."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from bedrock_spark.archives import ARCHITECTURES
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.environment import Built, build_environment, build_py_files
from bedrock_spark.errors import BedrockSparkError, ExitCode

_THIS_MACHINE = ARCHITECTURES.get(platform.machine().lower(), "x86_64")


@dataclass(frozen=True)
class BuiltFile:
    """A file that was built, and its sizes."""

    path: str
    bytes: int
    unpacked_bytes: int


@dataclass(frozen=True)
class Files:
    """What a cluster gets."""

    archive: BuiltFile
    py_files: BuiltFile


@click.command(epilog="Example: bedrock-spark environment --python 3.11 --arch aarch64")
@click.option(
    "--python",
    default="{}.{}".format(*sys.version_info),
    show_default=True,
    help="The version of the cluster's Python; this machine need not have it.",
)
@click.option(
    "--arch",
    type=click.Choice(list(ARCHITECTURES), case_sensitive=False),
    default=_THIS_MACHINE,
    show_default=True,
    help="The cluster's processors; Graviton is aarch64.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="dist",
    show_default=True,
    help="The folder for both files.",
)
@click.option(
    "--executors-only",
    is_flag=True,
    help="Leave out pandas, which only the driver needs: for a driver with an environment of its "
    "own, such as a notebook or client mode.",
)
@with_output_options(json_type=Files)
def environment(python: str, arch: str, out: Path, executors_only: bool, output: Output) -> None:
    """Build what a cluster needs: an archive of all packages, and a zip of this one.

    The archive is for spark-submit --archives. The zip is for --py-files, on clusters that have
    the packages that this one needs. Downloads wheels with pip; builds nothing.
    """
    display = Display(output)
    output.begin_logging()
    try:
        display.note(f"pip downloads the packages for Python {python} on {ARCHITECTURES[arch]} ...")
        archive = build_environment(out, python, arch, with_pandas=not executors_only)
        py_files = build_py_files(out)
    except BedrockSparkError as exc:
        sys.exit(display.fail(exc))
    display.show_table([_row(archive), _row(py_files)])
    display.close(
        f"spark-submit --archives {archive.path}#environment "
        "--conf spark.pyspark.python=./environment/bin/python"
    )
    display.show_json(asdict(Files(_built(archive), _built(py_files))))
    sys.exit(ExitCode.DONE)


def _row(built: Built) -> tuple[str, str]:
    sizes = f"{built.packed / 1e6:,.1f} MB, {built.unpacked / 1e6:,.1f} MB unpacked"
    return str(built.path), sizes


def _built(built: Built) -> BuiltFile:
    return BuiltFile(str(built.path), built.packed, built.unpacked)
