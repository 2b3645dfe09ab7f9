"""`bedrock-spark schema`: the JSON Schema of what a command prints with --json."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bedrock_spark.cli.json_schema import printing_commands, schema_of


@click.command(epilog="Examples: bedrock-spark schema plan; bedrock-spark schema --out schemas")
@click.argument("command", required=False)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the schemas of all commands into this folder.",
)
@click.pass_context
def schema(context: click.Context, command: str | None, out: Path | None) -> None:
    """Print the JSON Schema of what a command prints with --json, such as `plan`."""
    root = context.find_root().command
    assert isinstance(root, click.Group)
    types = dict(printing_commands(root))
    if (command is None) == (out is None):
        raise click.UsageError("give a COMMAND, or a folder with --out")
    if out is not None:
        for name, json_type in types.items():
            _write(out / f"{name}.json", schema_of(name, json_type))
        return
    if command not in types:
        raise click.UsageError(f"{command}: has no --json; those that have: {', '.join(types)}")
    click.echo(json.dumps(schema_of(command, types[command]), indent=2))


def _write(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo(path)
