"""Stop a run, go on with its batch jobs, or leave it: what each does is said before it is done."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from bedrock_spark.browse.standing import waiting_of
from bedrock_spark.costs.tokens import dollars
from bedrock_spark.errors import BedrockSparkError, ConfigError
from bedrock_spark.fanout import check_reachable
from bedrock_spark.page.words import counted
from bedrock_spark.ui.control import config_of, going_on, refuse_stage, stopping
from bedrock_spark.ui.current import require_control, run_argument, ui_settings
from bedrock_spark.ui.looks import Reading
from bedrock_spark.ui.operations import GOING_ON, STOPPING
from bedrock_spark.ui.shared import shared

page = Blueprint("control", __name__)


@page.get("/run/stop")
def stop() -> str:
    """Say what stopping a run does."""
    uri = run_argument()
    reading = shared().looks.of(uri, at_once=True)
    return render_template(
        "run/confirm.html",
        uri=uri,
        title=f"Stop the run {reading.run.run_id}?",
        subject=f"Stopping the run {reading.run.run_id}",
        sentences=[*_what_stop_does(reading)],
        command=f"bedrock-spark stop {uri}",
        refusal=None,
        button="Stop the run",
        button_class="danger",
    )


@page.post("/run/stop")
def do_stop() -> AnyResponse:
    """Stop a run."""
    require_control()
    uri = run_argument()
    shared().operations.begin(uri, STOPPING, stopping(uri, ui_settings().aws))
    shared().looks.forget(uri)
    return redirect(url_for("runs.run.show", uri=uri), 303)


@page.get("/run/go-on")
def go_on() -> str:
    """Say what going on with a run does, and what it may cost."""
    uri = run_argument()
    reading = shared().looks.of(uri, at_once=True)
    refusal = _why_not(uri, reading)
    return render_template(
        "run/confirm.html",
        uri=uri,
        title=f"Go on with the run {reading.run.run_id}?",
        subject=f"Going on with the run {reading.run.run_id}",
        sentences=[*_what_is_left(reading), *(_what_going_on_does(reading) if not refusal else ())],
        command=f"bedrock-spark submit {config_of(uri, ui_settings())}",
        refusal=refusal,
        button="Go on with the batch jobs",
        button_class="first",
    )


@page.post("/run/go-on")
def do_go_on() -> AnyResponse:
    """Go on with the batch jobs of a run."""
    require_control()
    uri = run_argument()
    reading = shared().looks.of(uri, at_once=True)
    why_not = _why_not(uri, reading)
    operation = shared().operations.of(uri)
    goes_on_here = operation is not None and operation.kind == GOING_ON and not operation.is_over
    # A second click changes nothing, and is no error.
    if why_not is not None and not goes_on_here:
        raise ConfigError(why_not)
    shared().operations.begin(uri, GOING_ON, going_on(uri, ui_settings().aws))
    shared().looks.forget(uri)
    return redirect(url_for("runs.run.show", uri=uri), 303)


@page.get("/run/leave")
def leave() -> str:
    """Say what leaving a run does."""
    uri = run_argument()
    reading = shared().looks.of(uri)
    sentences = [
        "This page no longer submits and watches batch jobs of the run.",
        "Jobs that were submitted run on, and are billed. Their answers are kept.",
        "Any process on any machine may go on with the run.",
    ]
    return render_template(
        "run/confirm.html",
        uri=uri,
        title=f"Leave the run {reading.run.run_id}?",
        subject=f"Leaving the run {reading.run.run_id}",
        sentences=sentences,
        command="Ctrl-C ends bedrock-spark submit in the same way",
        refusal=None,
        button="Leave it",
        button_class="first",
    )


@page.post("/run/leave")
def do_leave() -> AnyResponse:
    """End what this process does with a run; its jobs run on."""
    require_control()
    uri = run_argument()
    shared().operations.leave(uri)
    shared().looks.forget(uri)
    return redirect(url_for("runs.run.show", uri=uri), 303)


def _what_stop_does(reading: Reading) -> Iterator[str]:
    known = reading.look.known
    if known is None or known.manifest is None:
        yield "Nothing: the run has no batch job."
        return
    waiting = waiting_of(reading.run, known)
    if waiting.active:
        yield (
            f"{counted(waiting.active, 'batch job')} {_is(waiting.active)} active, with "
            f"{counted(waiting.active_records, 'record')} that are not processed. The service is "
            "asked to stop them. What they have answered so far is kept, and is billed."
        )
    else:
        yield "No batch job is active, as far as is known."
    if waiting.shards:
        yield (
            f"{counted(waiting.shards, 'shard')} {_waits(waiting.shards)} for a job. None is "
            "submitted until somebody goes on with the run."
        )
    if reading.look.holder is not None:
        yield f"The run is {reading.look.holder}. That process ends."
    if any(purchase.may_bill for purchase in known.purchases):
        yield "Provisioned throughput that the run bought is deleted: it bills by the hour."
    yield "No answer is lost, and the run can go on later."


def _what_is_left(reading: Reading) -> Iterator[str]:
    known, run = reading.look.known, reading.run
    if known is None or known.manifest is None:
        return
    waiting = waiting_of(run, known)
    if waiting.shards:
        price = "what they will cost is not known" if waiting.cost is None else "they cost about "
        price += "" if waiting.cost is None else f"{dollars(waiting.cost)} by the run's prices"
        yield (
            f"{counted(waiting.shards, 'shard')} {_waits(waiting.shards)} for a batch job, with "
            f"{counted(waiting.records, 'record')}: {price}."
        )
    if waiting.active:
        yield (
            f"{counted(waiting.active, 'batch job')} {_is(waiting.active)} active. They are "
            "watched, and no second one is made for their records."
        )
    limit = run.config.budget.max_cost_usd
    yield (
        "The run has no budget.max_cost_usd: nothing limits what it costs."
        if limit is None
        else f"The whole run may cost {dollars(limit)} (budget.max_cost_usd)."
    )


def _what_going_on_does(reading: Reading) -> Iterator[str]:
    known, run = reading.look.known, reading.run
    if known is None or known.manifest is None:
        return
    if not known.state.jobs and not known.tries:
        yield "First, a few records are sent to the model by themselves (the canary)."
    hold = reading.standing.hold
    if hold is not None:
        yield f"The run is held: {hold.reason}. Whoever goes on tries its jobs again."
    yield (
        "This page submits and watches the jobs until all are over, or until it ends. Then they "
        "run on, and any process may go on with the run."
    )
    if run.config.fallback is not None:
        yield "The fallback and the results need Spark: bedrock-spark run CONFIG, later."


def _why_not(uri: str, reading: Reading) -> str | None:
    """Return why this page cannot go on with a run; None if it can."""
    look, standing = reading.look, reading.standing
    if look.holder is not None:
        return f"The run goes on already: it is {look.holder}."
    if look.known is None:
        return "The run was cleaned, and cannot go on."
    if look.known.manifest is None:
        return "The run is not prepared. That needs Spark: bedrock-spark run CONFIG"
    if standing.is_batch_over:
        return (
            "All batch jobs are over. What is left, if anything, needs Spark: "
            "bedrock-spark run CONFIG"
        )
    try:
        check_reachable(reading.run)
        refuse_stage(uri, ui_settings().aws)
    except BedrockSparkError as exc:
        return str(exc)
    return None


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _waits(count: int) -> str:
    return "waits" if count == 1 else "wait"
