"""`bedrock-spark completion SHELL`: the script that completes commands and options in a shell."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_PROGRAM = "bedrock-spark"
# The name that click looks for in the environment.
_VARIABLE = "_BEDROCK_SPARK_COMPLETE"
_SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "fish": FishComplete,
    "zsh": ZshComplete,
}


@click.command(epilog='Example: eval "$(bedrock-spark completion bash)"')
@click.argument("shell", type=click.Choice(tuple(_SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in bash (4.4 or newer), fish or zsh."""
    completer = _SHELLS[shell](context.find_root().command, {}, _PROGRAM, _VARIABLE)
    # Not `source()`: that of bash starts a bash, to warn of old versions.
    click.echo(completer.source_template % completer.source_vars())
