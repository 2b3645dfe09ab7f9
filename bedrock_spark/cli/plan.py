"""`bedrock-spark plan`: what a run would do and cost."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from bedrock_spark.chain import config_of_run, last_report
from bedrock_spark.chain.budget import costs_of_others, within_budget
from bedrock_spark.check_stages import Stages, check_stages
from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_to_end
from bedrock_spark.cli.interrupts import exit_code_of
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.cli.plan_table import closing_sentence, plan_table
from bedrock_spark.cli.stages import end_spark, mute_spark
from bedrock_spark.cli.usage_error import WithoutCode2
from bedrock_spark.config import Config
from bedrock_spark.config_file import open_config
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.planning import Plan, plan
from bedrock_spark.planning.agreement import refuse_folder, write_plan
from bedrock_spark.report.values import DONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class StagePlan:
    """A stage by its name. plan: null if its rows are not known before the stage that it reads."""

    name: str
    plan: Plan | None


@dataclass(frozen=True)
class StagesPlan:
    """The stages of a config. pays: false if nothing is left to pay for in all of them."""

    run_uri: str
    pays: bool
    stages: list[StagePlan]


@click.command(
    name="plan",
    cls=WithoutCode2,
    epilog="Example: bedrock-spark plan tickets.yaml --output-tokens 120 --out plan.json",
)
@with_output_options(json_type=Plan | StagesPlan)
@click.option(
    "--output-tokens",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NUMBER",
    help="The output tokens of an answer on average, if you know them.",
)
@click.option(
    "--out",
    metavar="FILE",
    help="Write the plan to a file, here or in S3. run --plan FILE does this, or nothing.",
)
@click.option(
    "--against",
    metavar="RUN_URI",
    help="The run to compare with. Default: the last one of the same source, in the run folder or "
    "beside it.",
)
@with_config
def plan_command(
    config: str,
    overrides: tuple[str, ...],
    output_tokens: float | None,
    out: str | None,
    against: str | None,
    output: Output,
) -> None:
    """Show what a run would do and cost. It pays and submits nothing.

    It exits with 2 if there is something to pay for, with 0 if not, and with 3 and more if the run
    would end before it pays.

    The source is read and cut into shards as in a run, so it takes about as long as prepare. If the
    run is prepared, its shards are counted, and Spark is not needed. Input tokens are counted by
    Amazon Bedrock (CountTokens, which is free) on 100 records, if it can count those of the model.
    """
    display = Display(output)
    output.begin_logging()

    def end_interrupted(interrupt: KeyboardInterrupt) -> int:
        said = "interrupted: nothing was written"
        return display.end_interrupted(exit_code_of(interrupt), said)

    def work() -> int:
        if out is not None:
            refuse_folder(out)
        opened = open_config(config)
        stages = check_stages(opened, overrides)
        if stages is not None:
            if out is not None or against is not None:
                raise ConfigError("--out and --against are about one run: name it by --stage")
            return _show_stages(stages, output_tokens, display)
        checked = config_of_run(opened, overrides)
        found = _planned(checked, output_tokens, against, display)
        display.show_table(plan_table(found))
        return _end(found, config, out, display)

    sys.exit(run_to_end(work, display, end_interrupted, mute_spark, end_spark))


def _show_stages(stages: Stages, mean: float | None, display: Display) -> int:
    """Show the plans of all stages whose rows are known; return the exit code."""
    found: list[tuple[str, Plan | None]] = []
    for stage in stages.stages:
        is_known = stage.source is None or _is_done(stages, stage.source)
        planned = None
        if is_known:
            planned = _planned(within_budget(stages, stage), mean, None, display)
            if stages.max_cost is not None and planned.pays:
                spent = costs_of_others(stages, stage)
                planned = _beside_others(planned, stages.max_cost, found, spent)
        found.append((stage.name, planned))
        known_by = f"known once {stage.source} has run: its rows are the source"
        display.say(f"stage {stage.name}{'' if planned is not None else f': {known_by}'}")
        if planned is not None:
            display.show_table([(f"  {name}", text) for name, text in plan_table(planned)])
    pays = any(planned is None or planned.pays for _, planned in found)
    values = {
        "run_uri": stages.run_uri,
        "pays": pays,
        "stages": [
            {"name": name, "plan": None if planned is None else planned.model_dump(mode="json")}
            for name, planned in found
        ],
    }
    for name, planned in found:
        if planned is not None and planned.refusals:
            first = planned.refusals[0]
            message = f"stage {name}: {first.message}"
            return display.fail_with(ExitCode(first.exit_code), message, values)
    display.show_json(values)
    display.close("nothing was submitted; " + _rest(found, pays=pays))
    return ExitCode.TO_PAY if pays else ExitCode.DONE


def _beside_others(
    planned: Plan,
    limit: Decimal,
    earlier: Sequence[tuple[str, Plan | None]],
    spent: Mapping[str, Decimal],
) -> Plan:
    """Return the plan of a stage with a note if earlier ones would leave too little of the budget.

    limit: the budget of all stages; earlier: their plans
    spent: what the other stages have cost, by name; a plan is about all records, also about those
    """
    costs = {name: p.cost for name, p in earlier if p is not None and p.pays and p.cost is not None}
    if planned.cost is None or not costs:
        return planned
    low, high = planned.cost.low, planned.cost.high
    for name in {*spent, *costs}:
        cost, least = costs.get(name), spent.get(name, Decimal())
        low += least if cost is None else max(least, cost.low)
        most = least if cost is None else cost.high
        high = None if high is None or most is None else high + max(least, most)
    together = f"with what {', '.join(costs)} would cost, it"
    named = f"budget.max_cost_usd {dollars(limit)}, which is that of all stages"
    if low > limit:
        said = f"{together} costs more than {named}: it ends before it asks all records"
    elif high is None or high > limit:
        said = f"{together} may cost more than {named}: then it ends before it asks all records"
    else:
        return planned
    return planned.model_copy(update={"caveats": (*planned.caveats, said)})


def _is_done(stages: Stages, name: str) -> bool:
    source = next(stage for stage in stages.stages if stage.name == name)
    report = last_report(source.config)
    return report is not None and report["state"] == DONE


def _rest(found: Sequence[tuple[str, Plan | None]], *, pays: bool) -> str:
    """Return what is left to pay for, in a sentence."""
    if not pays:
        return "nothing is left to pay for in any stage"
    unknown = [name for name, plan in found if plan is None]
    named = f"; {', '.join(unknown)} cannot be planned yet" if unknown else ""
    return f"{_cost_of([plan for _, plan in found if plan and plan.pays])}{named}"


def _cost_of(plans: Sequence[Plan]) -> str:
    """Return what some stages would cost together, in a sentence."""
    costs = [plan.cost for plan in plans if plan.cost is not None]
    if len(costs) < len(plans):
        return "what the planned stages would cost is not known, because a price is missing"
    low = dollars(sum((cost.low for cost in costs), Decimal()))
    likely = [cost.likely for cost in costs if cost.likely is not None]
    high = [cost.high for cost in costs if cost.high is not None]
    if len(likely) == len(costs):
        about = f"about {dollars(sum(likely, Decimal()))}"
    elif len(high) == len(costs):
        about = f"{low} to {dollars(sum(high, Decimal()))}"
    else:
        about = f"{low} or more"
    is_whole = all(plan.to_ask == plan.source.records for plan in plans)
    what = "the planned stages" if is_whole else "all records of the planned stages"
    return f"{what} would cost {about}"


def _planned(config: Config, mean: float | None, against: str | None, display: Display) -> Plan:
    def session(config: Config) -> SparkSession:
        from bedrock_spark.spark.session import spark_session

        return spark_session(config, display.note)

    found = plan(session, None, config, mean, display.observe, against=against)
    display.finish()
    return found


def _end(found: Plan, path: str, out: str | None, display: Display) -> int:
    """Write the plan if it is asked for and the run may begin; return the exit code."""
    values = found.model_dump(mode="json")
    if found.refusals:
        first = found.refusals[0]
        if out is not None:
            display.note(f"{out} is not written: if there is a plan, it is an older one")
        return display.fail_with(ExitCode(first.exit_code), first.message, values)
    if out is not None:
        write_plan(found, out)
        display.note(f"{out} is written; to run this and nothing else: {_command(path, out)}")
    display.show_json(values)
    display.close(f"{path}: {closing_sentence(found)}")
    return ExitCode.TO_PAY if found.pays else ExitCode.DONE


def _command(path: str, out: str) -> str:
    return shlex.join(["bedrock-spark", "run", path, "--plan", out])
