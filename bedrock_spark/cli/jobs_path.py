"""`bedrock-spark jobs-path`: where the programs of spark-submit are installed."""

from __future__ import annotations

from pathlib import Path

import click

# The commands that have a program in bedrock_spark/jobs.
_JOBS = ("run", "prepare", "submit", "collect", "fallback", "doctor")


@click.command(
    name="jobs-path",
    epilog='Example: spark-submit "$(bedrock-spark jobs-path)" --config tickets.yaml',
)
@click.argument("stage", type=click.Choice(_JOBS), default="run")
def jobs_path(stage: str) -> None:
    """Print the path of the installed program of a stage, for spark-submit."""
    path = Path(__file__).parents[1] / "jobs" / f"{stage}.py"
    if not path.is_file():
        raise click.ClickException(f"{path} is not a file: the package is in an archive")
    click.echo(path)
