"""Stop a run: all its jobs, for the user.

What a stopped job answered is kept. That the run asked for it is in the ledger before the call: a
job that was stopped by anybody else is submitted again.
"""

from __future__ import annotations

from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.step_result import StepResult, progress_of
from bedrock_spark.fanout.tracker import USER
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder.lease import RENEW_SECONDS
from bedrock_spark.run_folder.ledger import events

STOPPED = "it was stopped by the user; run or submit goes on with it"
_LOOK_SECONDS = 10.0
# So long the listing may not show a job that a driver created and then died.
_LAG_SECONDS = 60.0


def stop_run(controller: Controller, observe: Observer = unobserved) -> StepResult:
    """Stop every active job, wait until they are settled, and hold the run.

    A driver from whom the lease was taken over may create jobs that it had announced until its next
    renewal: so long is waited.
    """
    began = controller.clock.now()
    if controller.hold is None or controller.hold.kind != "stopped":
        controller.note([events.held("stopped", STOPPED, began)])
    took_over = controller.lease is not None and controller.lease.took_over
    until = began + (RENEW_SECONDS if took_over else 0.0)
    if controller.tracker.announced():
        until = max(until, began + _LAG_SECONDS)
    while True:
        result = controller.advance()
        observe(progress_of(result))
        controller.ask_to_stop(controller.tracker.running(), USER)
        if result.active == 0 and controller.clock.now() >= until:
            return result
        fixed = controller.run.config.batch.poll_seconds
        controller.clock.sleep(min(fixed or _LOOK_SECONDS, _LOOK_SECONDS))
