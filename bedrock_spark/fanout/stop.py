"""Stop a run for the user: stop all of its jobs, and submit no more.

The answers of a stopped job are kept. The ledger records the request before the call: a job that
anybody else stopped is submitted again.
"""

from __future__ import annotations

from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.step_result import StepResult, progress_of
from bedrock_spark.fanout.tracker import USER
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder.lease import RENEW_SECONDS
from bedrock_spark.run_folder.ledger.events import Held

STOPPED = "it was stopped by the user; run or submit goes on with it"
_POLL_SECONDS = 10.0
# How long a listing may lag behind: it may not show a job whose creator then died.
_LAG_SECONDS = 60.0


def stop_run(controller: Controller, observe: Observer = ignore_progress) -> StepResult:
    """Stop every active job, wait until they are settled, and hold the run.

    A controller whose lease was taken over may create announced jobs until its next renewal:
    stopping waits that long.
    """
    began = controller.clock.now()
    if controller.hold is None or controller.hold.kind != "stopped":
        controller.note([Held("stopped", STOPPED, began)])
    took_over = controller.lease is not None and controller.lease.took_over
    until = began + (RENEW_SECONDS if took_over else 0.0)
    if controller.tracker.announced_jobs():
        until = max(until, began + _LAG_SECONDS)
    while True:
        result = controller.advance()
        observe(progress_of(result))
        controller.stop_jobs(controller.tracker.running_jobs(), USER)
        if result.active == 0 and controller.clock.now() >= until:
            return result
        configured = controller.run.config.batch.poll_seconds
        controller.clock.sleep(min(configured or _POLL_SECONDS, _POLL_SECONDS))
