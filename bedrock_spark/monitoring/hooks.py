"""Tell a command or an SNS topic that a run is done, held or failed.

At least once: what was told is noted in the run folder after it was told. A process that is killed
in between, or a hook that fails, is followed by another telling with the same `id`, when the next
command ends in the same state. The same event is not told again by commands that change nothing.
What is told has numbers, names and our own messages: no prompt, no answer, no value of a row.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from bedrock_spark.aws.topic import publish
from bedrock_spark.clock import iso_time
from bedrock_spark.errors import BedrockSparkError, StorageError
from bedrock_spark.report import Report
from bedrock_spark.report.findings import ON_HOLD
from bedrock_spark.report.shortfall import shortfall_of
from bedrock_spark.report.values import DONE, FAILED, HELD
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import scratch_folder

log = logging.getLogger(__name__)

VERSION = 1
_ERROR_CHARACTERS = 500
# A sum of dollars, a count, the id of a request or of a job.
_WORD_WITH_DIGITS = re.compile(r"\w*\d[\w.,:-]*")


def notify(run: Run, report: Report, now: float) -> None:
    """Run the hooks of the config, if the report has an event that was not told yet.

    Never raises but on Ctrl-C: what goes wrong is a warning.
    """
    config = run.config.notify
    hooks = _hooks(run)
    if not hooks:
        return
    event = report.state if report.state in config.on else None
    try:
        told = _read_told(run)
        if event is None:
            if told is not None:
                run.storage.delete([layout.NOTIFIED_FILE])  # the next hold is another event
            return
        payload = payload_of(run, report, event)
        if told == payload["id"] or not _tell(hooks, payload):
            return
        noted = {"id": payload["id"], "event": event, "at": now}
        run.storage.write(layout.NOTIFIED_FILE, json.dumps(noted).encode())
    except StorageError as exc:
        log.warning("%s: a notification may be told again: %s", run.storage.uri, exc)


def payload_of(run: Run, report: Report, event: str) -> dict[str, Any]:
    """Return what is told: JSON on the standard input of a command, or the message of SNS."""
    values: dict[str, Any] = {
        "version": VERSION,
        "id": _id_of(report, event),
        "event": event,
        "run_id": report.run_id,
        "run_uri": report.run_uri,
        "model_id": report.model_id,
        "stage": report.stage,
        "reason": _reason(run, report, event),
        "rows": report.rows,
        "outcomes": report.outcomes,
        "unanswered": report.unanswered,
        "cost_usd": report.whole_cost,
        "started_at": iso_time(report.started_at),
        "ended_at": iso_time(report.ended_at),
        "published": report.published,
        "findings": sorted({finding["kind"] for finding in report.findings}),
    }
    return values


def _reason(run: Run, report: Report, event: str) -> str | None:
    """Return why the run is held or failed; if it is done, what is wrong with its rows."""
    if event == DONE:
        return shortfall_of(report, run.config)
    held = next((f["detail"] for f in report.findings if f["kind"] == ON_HOLD), None)
    if event == HELD and held is not None:
        return str(held)
    if report.error is None:
        return None
    return report.error.message or report.error.kind


def _id_of(report: Report, event: str) -> str:
    """Return what identifies an event: two commands that end alike tell it once.

    They end alike if their messages differ in numbers and ids only: what was spent rises while jobs
    end, and each refusal of AWS has another request id.
    """
    what: list[Any] = [report.run_id, event]
    if event == DONE:
        what.append(sorted(report.outcomes.items()))
    elif event == HELD:
        what += [_alike(str(f["detail"])) for f in report.findings if f["kind"] == ON_HOLD]
    elif event == FAILED and report.error is not None:
        what += [report.error.kind, _alike(report.error.message or "")]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _alike(message: str) -> str:
    return _WORD_WITH_DIGITS.sub("#", message)


# The key of the config, and what tells a payload; it returns what went wrong, or None.
_Hook = tuple[str, Callable[[dict[str, Any]], str | None]]


def _hooks(run: Run) -> list[_Hook]:
    config, hooks = run.config.notify, list[_Hook]()
    if config.command:
        command, seconds = config.command, config.timeout_seconds
        hooks.append(("notify.command", lambda payload: run_command(command, payload, seconds)))
    topic = config.sns_topic_arn
    if topic is not None:
        hooks.append(("notify.sns_topic_arn", lambda payload: _publish(run, topic, payload)))
    return hooks


def _tell(hooks: Sequence[_Hook], payload: dict[str, Any]) -> bool:
    """Run every hook, also after one that failed; tell whether none of them failed."""
    wrong = [(name, _why_it_failed(hook, payload)) for name, hook in hooks]
    for name, why in wrong:
        if why is not None:
            log.warning("%s: %s", name, why)
    return all(why is None for _, why in wrong)


def _why_it_failed(
    hook: Callable[[dict[str, Any]], str | None], payload: dict[str, Any]
) -> str | None:
    try:
        return hook(payload)
    except (OSError, ValueError, BedrockSparkError) as exc:
        # No room for the payload, a NUL byte in the command line, no credentials for the topic.
        return str(exc)


def _publish(run: Run, topic: str, payload: dict[str, Any]) -> str | None:
    subject = f"bedrock-spark: {payload['event']}: {run.run_id}"
    message = json.dumps(payload, indent=2, ensure_ascii=False)
    return publish(run.aws, topic, subject, message, run.run_id, str(payload["id"]))


def run_command(command: Sequence[str], payload: dict[str, Any], seconds: float) -> str | None:
    """Run a command with the payload as JSON on its standard input; return what went wrong.

    If it is not over in time, it is killed, with all processes of its group.
    """
    # Files, not pipes: a process that the command leaves behind must not be waited for.
    with ExitStack() as files:
        folder = files.enter_context(scratch_folder("notify"))
        (folder / "payload").write_text(json.dumps(payload, ensure_ascii=False), encoding="utf-8")
        given = files.enter_context((folder / "payload").open("rb"))
        errors = files.enter_context((folder / "said").open("w+b"))
        try:
            process = subprocess.Popen(
                command,
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as exc:
            return f"{command[0]}: cannot be started: {exc}"
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"{command[0]}: was not over in {seconds:g} seconds and was ended"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not code:
            return None
        errors.seek(0)
        said = errors.read(_ERROR_CHARACTERS).decode(errors="replace").strip()
        return f"{command[0]}: ended with {code}{f': {said}' if said else ''}"


def _read_told(run: Run) -> str | None:
    data = run.storage.read_if_present(layout.NOTIFIED_FILE)
    try:
        values = json.loads(data) if data is not None else None
    except ValueError:
        return None
    return values.get("id") if isinstance(values, dict) else None
