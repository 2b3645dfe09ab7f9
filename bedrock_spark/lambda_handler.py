"""One step of a run's batch jobs as a function of AWS Lambda, for a state machine that waits.

`bedrock-spark deploy stepfunctions` writes the state machine. One function serves all runs: the
event names the config. An error that a person has to correct is raised: the state machine ends with
its name and message. What only takes time is returned, with the exit code that `bedrock-spark
advance` has for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bedrock_spark.chain import config_of_run, leave_to_others
from bedrock_spark.config_file import open_config
from bedrock_spark.errors import ConfigError, ExitCode, RunHeldError
from bedrock_spark.pipeline import Pipeline


def advance(event: Mapping[str, Any], _context: object = None) -> dict[str, Any]:
    """Take one step: list the jobs once, submit new ones.

    event: `config`, the URI or path of the config; of one with stages, a stage: `…yaml#extract`
    Returns `exit_code` (0: all jobs are over; 10: call again; 11: another process controls the
    run, call again) and the counts of `bedrock-spark advance --json`. Raises a BedrockSparkError if
    the run cannot go on.
    """
    config = event.get("config")
    if not isinstance(config, str):
        raise ConfigError("the event has no `config`: it must name the config of the run")
    try:
        opened = open_config(config)
        pipeline = Pipeline.open(config_of_run(opened))
        leave_to_others(pipeline, opened)
        result = pipeline.advance()
    except RunHeldError as exc:
        return {"exit_code": int(exc.exit_code), "message": str(exc)}
    code = ExitCode.DONE if result.is_done else ExitCode.MORE_TO_DO
    return {"exit_code": int(code), **asdict(result)}
