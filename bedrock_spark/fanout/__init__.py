"""The fan-out: submit a run's shards as batch jobs, watch the jobs, and retry failed ones."""

from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.requeue import requeue_answered
from bedrock_spark.fanout.scheduler import SubmitPolicy
from bedrock_spark.fanout.status import Status, status_cleaned, status_of, status_unprepared
from bedrock_spark.fanout.step_result import StepResult, batch_shards, jobs_by_status, progress_of
from bedrock_spark.fanout.stop import stop_run
from bedrock_spark.fanout.targets import check_targets
from bedrock_spark.fanout.unsettled import count_unsettled, unsettled_shards
from bedrock_spark.fanout.watch import (
    check_reachable,
    leased_controller,
    open_controller,
    raise_refusal,
    watch,
)

__all__ = [
    "Controller",
    "Status",
    "StepResult",
    "SubmitPolicy",
    "batch_shards",
    "check_reachable",
    "check_targets",
    "count_unsettled",
    "jobs_by_status",
    "leased_controller",
    "open_controller",
    "progress_of",
    "raise_refusal",
    "requeue_answered",
    "status_cleaned",
    "status_of",
    "status_unprepared",
    "stop_run",
    "unsettled_shards",
    "watch",
]
