"""`bedrock-spark deploy TARGET`: the files that run a config on a platform."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from bedrock_spark.archives import ARCHITECTURES
from bedrock_spark.check import check_config
from bedrock_spark.cli.config_argument import SET_HELP, SET_METAVAR
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.deploy import (
    TARGETS,
    Context,
    Option,
    Plan,
    Target,
    option_faults,
    plan_deployment,
    write_files,
)
from bedrock_spark.errors import BedrockSparkError, ExitCode

_PROCESSORS = tuple(dict.fromkeys(ARCHITECTURES.values()))


@dataclass(frozen=True)
class Deployed:
    """The files that were written.

    commands: what to type next, in order: what it does, and the command
    notes: what to know or to do besides
    """

    target: str
    files: list[str]
    commands: list[tuple[str, str]]
    notes: list[str]


@click.group()
def deploy() -> None:
    """Write the files that run a config on a platform. Calls nothing, uploads nothing.

    The commands to type next are printed. docs/clusters.md has a section on each target.
    """


def _add(target: Target) -> None:
    """Add the command of a target."""

    def command(
        config: str,
        overrides: tuple[str, ...],
        out: str | None,
        force: bool,
        output: Output,
        **values: Any,
    ) -> None:
        folder = (out or f"deploy-{target.name}").rstrip("/") or "/"
        sys.exit(_write(target, config, overrides, folder, force, output, values))

    command.__doc__ = target.summary
    decorated: Any = command
    for option in reversed(target.options):
        decorated = _click_option(option)(decorated)
    for add in reversed(_COMMON):
        decorated = add(decorated)
    decorated = with_output_options(json_type=Deployed)(decorated)
    call = f"bedrock-spark deploy {target.name} --config tickets.yaml"
    example = " ".join(f"--{o.name} {o.example}" for o in target.options if o.is_required)
    deploy.command(
        name=target.name,
        help=f"{target.summary} docs/clusters.md has a section on it.",
        short_help=target.summary,
        epilog=f"Example: {call} {example}".strip(),
    )(decorated)


_COMMON = (
    click.option("--config", required=True, type=click.Path(), help="The YAML file of the run."),
    click.option("--set", "overrides", multiple=True, metavar=SET_METAVAR, help=SET_HELP),
    click.option(
        "--out",
        type=click.Path(file_okay=False),
        help="The folder to write. [default: deploy-TARGET]",
    ),
    click.option("--force", is_flag=True, help="Replace files that differ from what is written."),
    click.option("--name", help="The name of jobs. [default: the last part of run_uri]"),
    click.option(
        "--artifacts",
        metavar="S3_URI",
        help="The folder that upload.sh copies to. [default: RUN_URI-deploy]",
    ),
    click.option(
        "--python",
        default="3.11",
        show_default=True,
        type=click.Choice(["3.11", "3.12", "3.13"]),
        help="The Python of the environment archive.",
    ),
    click.option(
        "--arch",
        "architecture",
        default=_PROCESSORS[0],
        show_default=True,
        type=click.Choice(_PROCESSORS),
        help="The processors of the environment archive.",
    ),
    click.option(
        "--spark-conf",
        "spark",
        multiple=True,
        metavar="KEY=VALUE",
        help="A Spark property to add or to replace.",
    ),
)


def _click_option(option: Option) -> Any:
    if option.is_flag:
        return click.option(f"--{option.name}", is_flag=True, help=option.help)
    needed = " [required]" if option.is_required else ""
    return click.option(
        f"--{option.name}",
        default=option.default,
        show_default=option.default is not None,
        metavar="TEXT",
        help=option.help + needed,
    )


def _write(
    target: Target,
    config: str,
    overrides: tuple[str, ...],
    folder: str,
    force: bool,
    output: Output,
    values: dict[str, Any],
) -> int:
    """Check everything, write the files, and say what to type next; return the exit code."""
    display = Display(output)
    output.begin_logging()
    faults = option_faults(target.options, values)
    if faults:
        return display.fail_with(ExitCode.USAGE, "\n  ".join([f"deploy {target.name}:", *faults]))
    try:
        deployment = plan_deployment(
            check_config(config, overrides),
            has_file_system=target.has_file_system,
            name=values.pop("name"),
            artifacts=values.pop("artifacts"),
            python=values.pop("python"),
            architecture=values.pop("architecture"),
            spark=values.pop("spark"),
        )
        plan = target.make(Context(deployment, values, folder, config))
        paths = write_files(Path(folder), plan.files, replace=force)
    except BedrockSparkError as exc:
        return display.fail(exc)
    _show(display, target, folder, plan, [str(path) for path in paths])
    return ExitCode.DONE


def _show(display: Display, target: Target, folder: str, plan: Plan, paths: list[str]) -> None:
    display.show_table([("wrote", path) for path in paths])
    display.say("")
    display.show_table(plan.commands)
    if plan.notes:
        display.say("")
        display.show_table([("note", note) for note in plan.notes])
    display.close(f"{folder}: {len(paths)} files for {target.name}")
    display.show_json(asdict(Deployed(target.name, paths, plan.commands, plan.notes)))


for _target in TARGETS:
    _add(_target)
