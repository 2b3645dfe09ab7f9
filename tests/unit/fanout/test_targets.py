"""Several targets: a shard goes where a slot is free, and its answers come home."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.fanout import Controller
from bedrock_spark.fanout.targets import check_targets, targets_of
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.driving import RUN_ID, Drive
from tests.unit.fakes import CLAUDE, ROLE, FakeBatchJobs, make_config

SONNET = "anthropic.claude-3-5-sonnet-20241022-v2:0"


class TwoRegions(Drive):
    """A run with a target at home and one in another Region, each with two slots."""

    def __init__(self, folder: Path, records: list[int]) -> None:
        super().__init__(folder / "run", records)
        self.away = FakeBatchJobs()
        config = make_config(
            targets=[
                {"model_id": CLAUDE, "max_active_jobs": 2},
                {
                    "model_id": SONNET,
                    "region": "us-west-2",
                    "role_arn": ROLE + "West",
                    "max_active_jobs": 2,
                    "uri": str(folder / "west"),
                },
            ]
        )
        self.west = LocalStorage(str(folder / "west" / RUN_ID))
        self.run = Run(RUN_ID, config, self.run.storage, AwsSettings("us-east-1"))
        for shard in range(len(records)):
            self.put_shard(shard)
        self.restart()

    def opened(self) -> Controller:
        # There is none yet when the run of one target is opened.
        away = getattr(self, "away", None)
        calls: dict[str | None, Any] = {"us-east-1": self.service, "us-west-2": away}

        def jobs_in(aws: AwsSettings) -> BatchJobs:
            found: BatchJobs = calls[aws.region]
            return found

        targets = targets_of(self.run, jobs_in)
        return Controller(self.run, self.manifest, self.clock, targets, Ledger(self.run.storage))


@pytest.fixture
def two(tmp_path: Path) -> Callable[[list[int]], TwoRegions]:
    return lambda records: TwoRegions(tmp_path, records)


def test_a_shard_goes_where_a_slot_is_free(two: Callable[[list[int]], TwoRegions]) -> None:
    """With the model, the role and the place of its target."""
    d = two([50] * 6)
    assert d.advance().active == 4
    assert (len(d.service.jobs), len(d.away.jobs)) == (2, 2)
    d.away.move_all("Completed", processed=50)
    assert d.advance().active == 4
    assert (len(d.service.jobs), len(d.away.jobs)) == (2, 4)
    request = d.away.requests[0]
    assert (request["modelId"], request["roleArn"]) == (SONNET, ROLE + "West")
    source = request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
    assert source.startswith(d.west.uri)
    assert len({r["jobName"] for r in d.service.requests + d.away.requests}) == 6


def test_inputs_are_there_before_the_job_and_outputs_here_before_it_is_settled(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """Killed while they are copied, the next driver copies them: the ledger does not say done."""
    d = two([50] * 4)
    d.advance()
    job = next(j for j in d.controller.tracker.jobs.values() if j.target)
    key = layout.shard_key(job.shard_id)
    assert d.west.read(key) == d.run.storage.read(key)
    prefix = output_prefix(job.shard_id, job.attempt, job.token)
    for name in ("abc/x.jsonl.out", "abc/manifest.json.out"):
        d.west.write(prefix + name, b"1")
    d.away.move(job.job_name, "Completed", processed=50)
    upload, calls = LocalStorage.upload, []

    def die_at_the_second(self: LocalStorage, path: Path, key: str) -> None:
        calls.append(key)
        if len(calls) == 2:
            raise KeyboardInterrupt
        upload(self, path, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStorage, "upload", die_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            d.advance()
    assert "Completed" not in d.statuses()
    d.restart()
    d.advance()
    assert d.statuses()["Completed"] == 1
    assert len(d.run.storage.list(prefix)) == 2


def test_a_full_target_does_not_keep_shards_from_the_other(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """Its refusal is its own."""
    d = two([50] * 4)
    d.service.slots = 0
    d.advance()
    assert (len(d.service.jobs), len(d.away.jobs)) == (0, 2)


def test_the_next_driver_knows_which_job_is_where(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """The target is in the intent; each Region is swept once a step."""
    d = two([50] * 4)
    d.advance()
    d.restart()
    d.service.calls.clear()
    d.away.calls.clear()
    d.service.move_all("Completed", processed=50)
    d.away.move_all("Completed", processed=50)
    assert d.advance().is_done
    assert d.service.calls == d.away.calls == [f"list {RUN_ID}"]
    assert (
        sorted(j.target for j in d.controller.tracker.jobs.values())
        == ["", ""] + [f"us-west-2/{SONNET}"] * 2
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"model_id": "amazon.nova-pro-v1:0"}, r"targets\[0\]\.model_id = .* family nova"),
        ({"model_id": SONNET, "region": "eu-west-1"}, r"targets\[0\]\.uri: is needed"),
    ],
)
def test_targets_that_cannot_serve_the_run_are_refused(
    target: dict[str, Any], message: str
) -> None:
    """Before anything is submitted."""
    with pytest.raises(ConfigError, match=message):
        check_targets(make_config(targets=[target]))


def test_a_target_is_listed_once() -> None:
    """Twice the same quota is one quota."""
    config: Config = make_config(targets=[{"model_id": SONNET}] * 2)
    with pytest.raises(ConfigError, match=r"targets\[1\]: is the same model and Region"):
        check_targets(config)
