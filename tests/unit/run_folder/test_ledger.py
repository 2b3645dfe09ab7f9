"""The ledger: what was appended is replayed, of two writers one stops, and damage is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.aws import clients
from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import AlreadyExistsError, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import plan_job
from bedrock_spark.run_folder.ledger import Job, Ledger, snapshots
from bedrock_spark.run_folder.ledger.events import (
    finding,
    finished,
    held,
    seen,
    stopping,
    submitted,
    submitting,
    swept,
)
from bedrock_spark.storage import LocalStorage, S3Storage
from tests.unit.fakes import CLAUDE, CannedHttp

PLAN = plan_job("run-abcdefgh", "shard-00000-00", "f" * 64, CLAUDE, 1)
OTHER = plan_job("run-abcdefgh", "shard-00001-00", "e" * 64, CLAUDE, 1)
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"


def a_job(status: str, **more: Any) -> SeenJob:
    return SeenJob(ARN, PLAN.job_name, PLAN.token, status, **more)


def replayed(folder: Path) -> dict[str, Job]:
    return Ledger(LocalStorage(str(folder))).replay()


def test_events_are_replayed_in_order(tmp_path: Path) -> None:
    """Announced, taken, seen, seen again: the last word counts, on another machine too."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    announced = Job(PLAN.shard_id, 1, PLAN.job_name, PLAN.token)
    ledger.append([submitting(PLAN, 1.0), submitting(OTHER, 1.0)])
    assert replayed(tmp_path)[PLAN.job_name] == announced
    assert not announced.is_settled
    ledger.append([submitted(PLAN.job_name, ARN, 2.0)])
    assert replayed(tmp_path)[PLAN.job_name].seen == a_job("Submitted")
    ledger.append([seen(a_job("InProgress", total=5, processed=1), 3.0)])
    done = a_job(
        "PartiallyCompleted", message="“später”\n", total=5, processed=4, succeeded=3, failed=1
    )
    ledger.append([seen(done, 4.0)])
    jobs = replayed(tmp_path)
    assert jobs[PLAN.job_name].seen == done
    assert jobs[PLAN.job_name].is_settled
    assert jobs[OTHER.job_name].seen is None
    assert list(jobs) == [PLAN.job_name, OTHER.job_name]


def test_an_empty_ledger_has_no_jobs(tmp_path: Path) -> None:
    """And appending nothing writes nothing."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    assert ledger.replay() == {}
    ledger.append([])
    assert list(tmp_path.iterdir()) == []


def test_an_answer_to_create_does_not_undo_what_was_seen(tmp_path: Path) -> None:
    """An older word that comes later, and words about jobs that were never announced."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), seen(a_job("Completed"), 2.0)])
    ledger.append([submitted(PLAN.job_name, ARN, 3.0), submitting(PLAN, 4.0)])
    ledger.append([submitted("a-stranger", ARN, 5.0)])
    jobs = replayed(tmp_path)
    assert jobs[PLAN.job_name].seen == a_job("Completed")
    assert list(jobs) == [PLAN.job_name]


def test_events_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    """And reported: an older driver may look at the run, too."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([{"event": "cancelled", "why": {"a": 1}}, {**submitting(PLAN, 1.0), "new": 1}])
    assert list(replayed(tmp_path)) == [PLAN.job_name]
    details = [f["detail"].split(":")[0] for f in ledger.state.all_findings()]
    assert details == ["cancelled", "submitting.new"]


def test_of_two_drivers_that_append_at_once_one_stops(tmp_path: Path) -> None:
    """Even if both append the very same events at the same second."""
    first, second = (Ledger(LocalStorage(str(tmp_path))) for _ in range(2))
    first.replay()
    second.replay()
    first.append([submitting(PLAN, 1.0)])
    with pytest.raises(RunFolderError, match="another process is driving this run"):
        second.append([submitting(PLAN, 1.0)])
    first.append([submitted(PLAN.job_name, ARN, 2.0)])
    assert len(list((tmp_path / layout.LEDGER).iterdir())) == 2


def test_a_driver_that_takes_over_carries_on(tmp_path: Path) -> None:
    """Once it has replayed what the other wrote; appending looks first by itself."""
    Ledger(LocalStorage(str(tmp_path))).append([submitting(PLAN, 1.0)])
    Ledger(LocalStorage(str(tmp_path))).append([submitting(OTHER, 2.0)])
    assert list(replayed(tmp_path)) == [PLAN.job_name, OTHER.job_name]


class LosesReplies(LocalStorage):
    """Storage whose first create happens, and is then repeated because its reply was lost."""

    def create(self, key: str, data: bytes) -> None:
        super().create(key, data)
        raise AlreadyExistsError(f"{key}: exists already")


def test_our_own_object_is_not_taken_for_another_drivers(tmp_path: Path) -> None:
    """botocore repeats a put whose reply is lost, and finds the object there: it is ours."""
    ledger = Ledger(LosesReplies(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0)])
    ledger.append([submitted(PLAN.job_name, ARN, 2.0)])
    assert replayed(tmp_path)[PLAN.job_name].seen == a_job("Submitted")


def test_a_put_that_botocore_repeats_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through S3 itself: 500, then 412, then our own bytes."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1", "http://localhost:9"))
    written: list[bytes] = []
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    taken = b"<Error><Code>PreconditionFailed</Code><Message>x</Message></Error>"
    http = CannedHttp(
        clients.s3_client(storage.aws), *[(200, listing)] * 2, (500, b""), (412, taken)
    )
    create = storage.create

    def noted(key: str, data: bytes) -> None:
        written.append(data)
        http._replies.append((200, data))
        create(key, data)

    monkeypatch.setattr(storage, "create", noted)
    Ledger(storage).append([submitting(PLAN, 1.0)])
    assert [r.method for r in http.sent] == ["GET", "GET", "PUT", "PUT", "GET"]
    http.close()


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1][:-40],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b"shard-00000-00", b"shard-00000-01"),
        lambda data: data.split(b"\n", 1)[1],
        lambda data: data.rsplit(b"\n", 2)[0] + b"\n",
        lambda data: data + data,
        lambda data: b"\x00" * len(data),
        lambda data: data.replace(b'"sha256"', b'"sha255"'),
        lambda data: b"[]\n[]\n",
    ],
)
def test_damage_is_seen(tmp_path: Path, damage: Damage) -> None:
    """A torn, changed or empty object is never replayed as less than was written."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), submitting(OTHER, 1.0)])
    ledger.append([submitted(PLAN.job_name, ARN, 2.0)])
    path = tmp_path / layout.ledger_key(1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunFolderError, match=r"000000001\.jsonl: its checksum does not fit"):
        replayed(tmp_path)


def test_a_torn_last_object_is_set_aside(tmp_path: Path) -> None:
    """With a finding; nothing is rewritten, and everything after it is read as ever."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), swept({"": 5.0}, {}, 1.0)])
    ledger.append([submitting(OTHER, 1.0)])
    path = tmp_path / layout.ledger_key(2)
    torn = path.read_bytes()[:-50]
    path.write_bytes(torn)
    again = Ledger(LocalStorage(str(tmp_path)))
    assert list(again.replay()) == [PLAN.job_name]
    assert again.torn == [layout.ledger_key(2)]
    assert again.state.floors == {}  # its jobs are to be looked for, however old
    again.append([submitted(PLAN.job_name, ARN, 2.0)], 2.0)
    assert again.torn == []
    last = Ledger(LocalStorage(str(tmp_path)))
    assert list(last.replay()) == [PLAN.job_name]
    assert [f["kind"] for f in last.state.all_findings()] == ["ledger_object_set_aside"]
    assert path.read_bytes() == torn


def test_a_snapshot_says_what_the_ledger_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is damaged or missing only costs time; none is rewritten."""
    monkeypatch.setattr(snapshots, "EVERY", 3)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), submitting(OTHER, 1.0), held("stopped", "why", 1.0)])
    ledger.append([stopping(PLAN.job_name, "user", 2.0), finished("shard-1", "why", 2.0)])
    ledger.append([seen(a_job("Stopped", processed=3), 3.0, (4, 5)), finding("k", "s", "d", 1.0)])
    ledger.append([swept({"": 7.0}, {"": {"others": 2}}, 4.0)])
    state = Ledger(LocalStorage(str(tmp_path))).load()
    assert state == ledger.state
    assert state.jobs[PLAN.job_name].tokens == (4, 5)
    snapshot = tmp_path / layout.snapshot_key(3)
    for damage in (snapshot.read_bytes()[:-9], b""):
        snapshot.write_bytes(damage)
        assert Ledger(LocalStorage(str(tmp_path))).load() == state
    snapshot.unlink()
    assert Ledger(LocalStorage(str(tmp_path))).load() == state


def test_a_snapshot_saves_reading_what_is_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where a newer version wrote into the ledger, an older one makes none."""
    monkeypatch.setattr(snapshots, "EVERY", 2)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0)])
    ledger.append([submitting(OTHER, 1.0)])
    (tmp_path / layout.ledger_key(1)).write_bytes(b"damaged, and not read")
    assert list(replayed(tmp_path)) == [PLAN.job_name, OTHER.job_name]
    ledger.append([{"event": "invented"}])
    ledger.append([submitted(PLAN.job_name, ARN, 2.0)])
    assert [p.name for p in (tmp_path / layout.SNAPSHOTS).iterdir()] == ["000000002.jsonl"]


@given(st.binary(max_size=60), st.integers(0, 10_000))
def test_no_change_of_a_byte_goes_unseen(tmp_path_factory: Any, noise: bytes, at: int) -> None:
    """Wherever it is, but for the checksum line's own white space and remarks."""
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(LocalStorage(str(folder)))
    ledger.append([submitting(PLAN, 1.0)])
    ledger.append([submitting(OTHER, 1.0)])
    path = folder / layout.ledger_key(1)
    data = path.read_bytes()
    first = data.index(b"\n")
    at %= first
    changed = data[:at] + noise + data[at + len(noise) :]
    path.write_bytes(changed)
    if changed != data:
        with pytest.raises(RunFolderError):
            replayed(folder)


def test_a_long_ledger_is_read_in_its_own_order(tmp_path: Path) -> None:
    """Objects are fetched by many threads at once; the order is that of their numbers."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 0.0)])
    for i in range(150):
        ledger.append([seen(a_job("InProgress", processed=i), float(i))])
    found = replayed(tmp_path)[PLAN.job_name].seen
    assert found is not None
    assert found.processed == 149
    assert len(list((tmp_path / layout.LEDGER).iterdir())) == 151


def test_every_object_is_lines_of_json_and_a_checksum(tmp_path: Path) -> None:
    """As the docstring draws them: readable without this package."""
    Ledger(LocalStorage(str(tmp_path))).append([submitting(PLAN, 1.5)])
    first, end = (tmp_path / layout.ledger_key(1)).read_text().splitlines()
    assert json.loads(first) == {
        "event": "submitting",
        "shard_id": PLAN.shard_id,
        "attempt": 1,
        "job_name": PLAN.job_name,
        "token": PLAN.token,
        "at": 1.5,
    }
    assert json.loads(end).keys() == {"event", "events", "sha256", "writer"}
