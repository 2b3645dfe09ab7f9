"""Stop a run: all its jobs, for the user.

What a stopped job answered is kept. That the run asked for it is in the ledger before the call: a
job that was stopped by anybody else is submitted again.
"""

from __future__ import annotations

from bedrock_spark.fanout.controller import FanOut
from bedrock_spark.fanout.step_result import Standing, progress_of
from bedrock_spark.fanout.tracker import USER
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder.lease import RENEW_SECONDS
from bedrock_spark.run_folder.ledger import events

STOPPED = "it was stopped by the user; run or submit goes on with it"
_LOOK_SECONDS = 10.0
# So long the listing may not show a job that a driver created and then died.
_LAG_SECONDS = 60.0


def stop_run(fanout: FanOut, observe: Observer = unobserved) -> Standing:
    """Stop every active job, wait until they are settled, and hold the run.

    A driver from whom the lease was taken over may create jobs that it had announced until its next
    renewal: so long is waited.
    """
    began = fanout.clock.now()
    if fanout.hold is None or fanout.hold.kind != "stopped":
        fanout.note([events.held("stopped", STOPPED, began)])
    took_over = fanout.lease is not None and fanout.lease.took_over
    until = began + (RENEW_SECONDS if took_over else 0.0)
    if fanout.board.announced():
        until = max(until, began + _LAG_SECONDS)
    while True:
        standing = fanout.advance()
        observe(progress_of(standing))
        fanout.ask_to_stop(fanout.board.running(), USER)
        if standing.active == 0 and fanout.clock.now() >= until:
            return standing
        fixed = fanout.run.config.batch.poll_seconds
        fanout.clock.sleep(min(fixed or _LOOK_SECONDS, _LOOK_SECONDS))
