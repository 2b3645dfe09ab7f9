"""The batch jobs of a run: all, page by page; one with its objects; the beginning of an object."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for

from bedrock_spark.browse.jobs import (
    HEAD_BYTES,
    ORDERS,
    head_of,
    jobs_page,
    objects_of_job,
    shown_job,
)
from bedrock_spark.clock import iso_time
from bedrock_spark.errors import ConfigError
from bedrock_spark.report.gather import Known
from bedrock_spark.ui.current import argument, number_argument, run_argument
from bedrock_spark.ui.looks import Reading
from bedrock_spark.ui.shared import shared

page = Blueprint("jobs", __name__)


@page.get("/run/jobs")
def show_all() -> str:
    """Show the jobs of a run that fit a filter."""
    uri = run_argument()
    reading, known = _known(uri)
    status, text = request.args.get("status", ""), request.args.get("text", "").strip()
    order = request.args.get("sort") or next(iter(ORDERS))
    found = jobs_page(known.state.jobs.values(), status, text, order, number_argument("page", 1))

    def page_url(number: int) -> str:
        values: dict[str, Any] = {"status": status, "text": text}
        used = {name: value for name, value in values.items() if value}
        return url_for("runs.jobs.show_all", uri=uri, **used, sort=order, page=number)

    return render_template(
        "run/all_jobs.html",
        uri=uri,
        jobs=found,
        status=status,
        text=text,
        order=order,
        orders=ORDERS,
        page_url=page_url,
        read_at=iso_time(reading.read_at),
    )


@page.get("/run/job")
def show() -> str:
    """Show a job: what the service says of it, and what it reads and writes."""
    uri = run_argument()
    reading, known = _known(uri)
    name = argument("job")
    job = known.state.jobs.get(name)
    if job is None or known.manifest is None:
        raise ConfigError(f"{uri}: has no batch job {name}")
    others = [each for each in known.state.jobs.values() if each.shard_id == job.shard_id]
    attempts = [shown_job(each) for each in sorted(others, key=lambda each: each.attempt)]
    return render_template(
        "run/job.html",
        uri=uri,
        job=shown_job(job),
        attempts=attempts,
        objects=objects_of_job(reading.run.storage, known.manifest, job),
        folder=job.place.folder if job.place is not None else None,
        model_id=reading.run.config.model.id,
    )


@page.get("/run/object")
def head() -> str:
    """Show the beginning of an object that a job reads or writes."""
    uri = run_argument()
    reading = shared().looks.of(uri)
    found = head_of(reading.run.storage, argument("key"))
    return render_template("run/object.html", uri=uri, head=found, limit=HEAD_BYTES)


def _known(uri: str) -> tuple[Reading, Known]:
    """Return a run and what its folder says. Raises ConfigError if it was cleaned."""
    reading = shared().looks.of(uri)
    if reading.look.known is None:
        raise ConfigError(f"{uri}: was cleaned; what is known of its jobs is in its report")
    return reading, reading.look.known
