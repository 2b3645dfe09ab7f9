"""Several targets: a shard goes to a free slot, and its answers are copied to the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

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
from tests.models import SONNET
from tests.unit.fake_run import RUN_ID, FakeRun
from tests.unit.fakes import CLAUDE, ROLE, FakeBatchJobs, make_config


class TwoRegions(FakeRun):
    """A run with a home target and a target in another Region, each with two slots.

    away, west: the service in the other Region, and the folder there
    """

    def __init__(self, folder: Path, records: list[int]) -> None:
        super().__init__(folder / "run", records)
        self.away = FakeBatchJobs(region="us-west-2")
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

    def open_controller(self, *_: object, **options: Any) -> Controller:
        # FakeRun opens a controller with one target before there is a service in the other Region.
        away = getattr(self, "away", None)
        calls: dict[str | None, Any] = {"us-east-1": self.service, "us-west-2": away}

        def jobs_in(aws: AwsSettings) -> BatchJobs:
            service: BatchJobs = calls[aws.region]
            return service

        targets = targets_of(self.run, jobs_in)
        return Controller(
            self.run,
            self.manifest,
            self.clock,
            targets,
            Ledger(self.run.storage),
            jobs_in=jobs_in,
        )


@pytest.fixture
def two(tmp_path: Path) -> Callable[[list[int]], TwoRegions]:
    return lambda records: TwoRegions(tmp_path, records)


def test_a_shard_goes_where_a_slot_is_free(two: Callable[[list[int]], TwoRegions]) -> None:
    """With the model, the role and the folder of its target."""
    fake = two([50] * 6)
    assert fake.advance().active == 4
    assert (len(fake.service.jobs), len(fake.away.jobs)) == (2, 2)
    fake.away.move_all("Completed", processed=50)
    assert fake.advance().active == 4
    assert (len(fake.service.jobs), len(fake.away.jobs)) == (2, 4)
    request = fake.away.requests[0]
    assert (request["modelId"], request["roleArn"]) == (SONNET, ROLE + "West")
    source = request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
    assert source.startswith(fake.west.uri)
    assert len({r["jobName"] for r in fake.service.requests + fake.away.requests}) == 6


def test_inputs_are_copied_before_the_job_and_outputs_before_it_is_settled(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """If the copy of the outputs is killed, the next controller copies them and notes the end."""
    fake = two([50] * 4)
    fake.advance()
    job = next(j for j in fake.controller.tracker.jobs.values() if j.target)
    key = fake.controller.tracker.shards[job.shard_id].key
    assert fake.west.read(key) == fake.run.storage.read(key)
    prefix = output_prefix(job.shard_id, job.attempt, job.token)
    for name in ("abc/x.jsonl.out", "abc/manifest.json.out"):
        fake.west.write(prefix + name, b"1")
    fake.away.move(job.job_name, "Completed", processed=50)
    upload, calls = LocalStorage.upload, []

    def kill_the_second(self: LocalStorage, path: Path, key: str) -> None:
        calls.append(key)
        if len(calls) == 2:
            raise KeyboardInterrupt
        upload(self, path, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStorage, "upload", kill_the_second)
        with pytest.raises(KeyboardInterrupt):
            fake.advance()
    assert "Completed" not in fake.statuses()
    fake.restart()
    fake.advance()
    assert fake.statuses()["Completed"] == 1
    assert len(fake.run.storage.list(prefix)) == 2


@pytest.mark.parametrize("comes_after", [60, 600])
def test_late_output_in_the_folder_of_a_target_is_copied_before_the_next_attempt(
    two: Callable[[list[int]], TwoRegions], comes_after: float
) -> None:
    """The job was stopped with 30 answers. Only the other 20 records are asked again."""
    fake = two([50] * 4)
    fake.advance()
    job = next(j for j in fake.controller.tracker.jobs.values() if j.target)
    fake.away.move(job.job_name, "Stopped", processed=30, succeeded=30)
    fake.advance()
    fake.clock.time += comes_after
    assert fake.advance().waiting == 1
    job_id = fake.away.jobs[job.job_name].job_id
    prefix = output_prefix(job.shard_id, job.attempt, job.token)
    lines = (f'{{"recordId":"R{i}","modelOutput":{{}}}}\n' for i in range(30))
    fake.west.write(f"{prefix}{job_id}/x.jsonl.out", "".join(lines).encode())
    fake.clock.time += 60
    assert fake.advance().active == 4
    rest = fake.run.storage.read(layout.remainder_key(job.shard_id, 2))
    assert len(rest.splitlines()) == 20


def test_every_file_of_a_shard_is_copied_before_the_job(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """A copy that was cut short by a kill is completed."""
    fake = two([50] * 4)
    shards = [structs.replace(shard, files=(10, 20, 30)) for shard in fake.manifest.shards]
    fake.manifest = replace(fake.manifest, shards=tuple(shards))
    for shard in shards:
        for key, size in shard.sizes.items():
            fake.run.storage.write(key, b"x" * size)
    fake.west.write(layout.file_key(shards[2].key, 0), b"x" * 10)
    fake.restart()
    assert fake.advance().active == 4
    for request in fake.away.requests:
        source = request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"]
        key = source.removeprefix(f"{fake.west.uri}/")
        assert key in {shard.key for shard in shards}
        assert [o.size for o in fake.west.list(key)] == [10, 20, 30]


def test_a_full_target_does_not_keep_shards_from_the_other(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """A refusal by one target does not affect the other."""
    fake = two([50] * 4)
    fake.service.slots = 0
    fake.advance()
    assert (len(fake.service.jobs), len(fake.away.jobs)) == (0, 2)


def test_the_next_controller_knows_the_target_of_each_job(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """The ledger has it. Each Region is listed once per step."""
    fake = two([50] * 4)
    fake.advance()
    fake.restart()
    fake.service.calls.clear()
    fake.away.calls.clear()
    fake.service.move_all("Completed", processed=50)
    fake.away.move_all("Completed", processed=50)
    assert fake.advance().is_done
    assert fake.service.calls == fake.away.calls == [f"list {RUN_ID}"]
    assert (
        sorted(j.target for j in fake.controller.tracker.jobs.values())
        == ["", ""] + [f"us-west-2/{SONNET}"] * 2
    )


def test_a_shard_whose_job_was_adopted_is_not_taken_twice(
    two: Callable[[list[int]], TwoRegions],
) -> None:
    """Its intent was lost while it waited, its job expires: attempt 2 is one job, at one target."""
    fake = two([50])
    fake.advance()
    (path,) = (Path(fake.run.storage.uri) / layout.LEDGER).iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    fake.restart()
    fake.advance()
    for service in (fake.service, fake.away):
        service.move_all("Expired")
    fake.advance()
    attempts = [j.attempt for j in fake.controller.tracker.jobs.values()]
    assert attempts == [1, 2]
    assert len(fake.service.jobs) + len(fake.away.jobs) == 2


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


def test_a_target_that_is_configured_twice_is_refused() -> None:
    """Both entries would use the same quota."""
    config: Config = make_config(targets=[{"model_id": SONNET}] * 2)
    with pytest.raises(ConfigError, match=r"targets\[1\]: is the same model and Region"):
        check_targets(config)


def test_a_bucket_of_another_account_is_named_in_its_jobs(tmp_path: Path) -> None:
    """The run folder's by `batch.bucket_owner`, that of a target with a folder by its own key."""
    config = make_config(
        batch={"bucket_owner": "111122223333"},
        targets=[
            {"model_id": CLAUDE},
            {
                "model_id": SONNET,
                "region": "us-west-2",
                "uri": str(tmp_path / "west"),
                "bucket_owner": "444455556666",
            },
            {"model_id": CLAUDE, "region": "eu-west-1", "uri": str(tmp_path / "eu")},
        ],
    )
    storage = LocalStorage(str(tmp_path / "run"))
    run = Run(RUN_ID, config, storage, AwsSettings("us-east-1"))
    service: Any = FakeBatchJobs()
    owners = [target.bucket_owner for target in targets_of(run, lambda _: service)]
    assert owners == ["111122223333", "444455556666", None]
    run = replace(run, config=config.model_copy(update={"targets": ()}))
    (home,) = targets_of(run, lambda _: service)
    assert home.bucket_owner == "111122223333"


@pytest.mark.parametrize("owner", ["12345", "1234567890123", "abcdefghijkl", 123456789012])
def test_a_bucket_owner_is_an_account(owner: object) -> None:
    """12 digits, as text: a number would lose its leading zeros."""
    with pytest.raises(ConfigError, match=r"batch\.bucket_owner"):
        make_config(batch={"bucket_owner": owner})
