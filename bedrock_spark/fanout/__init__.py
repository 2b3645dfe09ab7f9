"""The fan-out: a run's shards as batch jobs, submitted, watched, and submitted again."""

from bedrock_spark.fanout.again import ask_invalid_again
from bedrock_spark.fanout.driver import FanOut
from bedrock_spark.fanout.loop import check_reachable, driving, open_fanout, raise_refusal, watch
from bedrock_spark.fanout.policy import SubmitPolicy
from bedrock_spark.fanout.standing import Standing, batch_shards, jobs_by_status, progress_of
from bedrock_spark.fanout.status import Status, status_of
from bedrock_spark.fanout.stopping import stop_run
from bedrock_spark.fanout.targets import check_targets

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
