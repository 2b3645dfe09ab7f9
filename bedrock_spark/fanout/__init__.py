"""The fan-out: a run's shards as batch jobs, submitted, watched, and submitted again."""

from bedrock_spark.fanout.controller import FanOut
from bedrock_spark.fanout.retry_invalid import ask_invalid_again
from bedrock_spark.fanout.scheduler import SubmitPolicy
from bedrock_spark.fanout.status import Status, status_of
from bedrock_spark.fanout.step_result import Standing, batch_shards, jobs_by_status, progress_of
from bedrock_spark.fanout.stop import stop_run
from bedrock_spark.fanout.targets import check_targets
from bedrock_spark.fanout.watch import check_reachable, driving, open_fanout, raise_refusal, watch

__all__ = [
    "FanOut",
    "Standing",
    "Status",
    "SubmitPolicy",
    "ask_invalid_again",
    "batch_shards",
    "check_reachable",
    "check_targets",
    "driving",
    "jobs_by_status",
    "open_fanout",
    "progress_of",
    "raise_refusal",
    "status_of",
    "stop_run",
    "watch",
]
