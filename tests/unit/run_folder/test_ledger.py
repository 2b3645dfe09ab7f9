"""The ledger: events are replayed as appended, one of two writers stops, damage is detected."""

from __future__ import annotations

import copy
import gc
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bedrock_spark.aws import clients
from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import Place, plan_job
from bedrock_spark.run_folder.ledger import Job, JobTokens, Ledger, snapshots
from bedrock_spark.run_folder.ledger.events import (
    AnyEvent,
    Duplicate,
    Excused,
    ExtraAttempt,
    Finding,
    Finished,
    Held,
    Late,
    Lost,
    Resumed,
    SetAside,
    Stopping,
    Submitted,
    Submitting,
    Swept,
    Withdrawn,
    again,
    as_json,
    read_event,
    seen,
    submitting,
)
from bedrock_spark.run_folder.ledger.objects import decode, decode_known, encode
from bedrock_spark.run_folder.ledger.state import LedgerState
from bedrock_spark.storage import LocalStorage, S3Storage
from bedrock_spark.storage.base import StoredObject
from tests.unit.fakes import CLAUDE, CannedHttp

PLAN = plan_job("run-abcdefgh", "shard-00000-00", "f" * 64, CLAUDE, 1, prepare_id="p")
OTHER = plan_job("run-abcdefgh", "shard-00001-00", "e" * 64, CLAUDE, 1, prepare_id="p")
ARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"


def a_job(status: str, **more: Any) -> SeenJob:
    return SeenJob(ARN, PLAN.job_name, PLAN.token, status, **more)


def replay(folder: Path) -> dict[str, Job]:
    return Ledger(LocalStorage(str(folder))).replay()


def test_events_are_replayed_in_order(tmp_path: Path) -> None:
    """Announced, submitted, seen twice: the last event counts, on another machine too."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    announced = Job(PLAN.shard_id, 1, PLAN.job_name, PLAN.token, announced_at=1.0)
    ledger.append([submitting(PLAN, 1.0), submitting(OTHER, 1.0)])
    assert replay(tmp_path)[PLAN.job_name] == announced
    assert not announced.is_settled
    ledger.append([Submitted(PLAN.job_name, ARN, 2.0)])
    assert replay(tmp_path)[PLAN.job_name].seen == a_job("Submitted")
    ledger.append([seen(a_job("InProgress", total=5, processed=1), 3.0)])
    assert replay(tmp_path)[PLAN.job_name].settled_at is None
    done = a_job(
        "PartiallyCompleted", message="“später”\n", total=5, processed=4, succeeded=3, failed=1
    )
    ledger.append([seen(done, 4.0)])
    ledger.append([seen(done, 5.0)])
    jobs = replay(tmp_path)
    assert (jobs[PLAN.job_name].known_at, jobs[PLAN.job_name].settled_at) == (2.0, 4.0)
    assert jobs[PLAN.job_name].seen == done
    assert jobs[PLAN.job_name].is_settled
    assert jobs[OTHER.job_name].seen is None
    assert list(jobs) == [PLAN.job_name, OTHER.job_name]


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_is_searched_for_after_a_load_as_before(tmp_path: Path, was_enabled: bool) -> None:
    """And after one that fails; there is no search while the jobs become objects."""

    searched: list[bool] = []

    class Watched(LocalStorage):
        def read(self, key: str) -> bytes:
            searched.append(gc.isenabled())
            return super().read(key)

    ledger = Ledger(Watched(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0)])
    (gc.enable if was_enabled else gc.disable)()
    try:
        assert list(ledger.replay()) == [PLAN.job_name]
        assert gc.isenabled() is was_enabled
        (tmp_path / "ledger" / "000000003.jsonl").write_bytes(b"")
        with pytest.raises(RunFolderError, match="is missing"):
            ledger.load()
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
    assert searched == [False]


def test_an_empty_ledger_has_no_jobs(tmp_path: Path) -> None:
    """Appending no events writes no object."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    assert ledger.replay() == {}
    ledger.append([])
    assert list(tmp_path.iterdir()) == []


def test_a_late_event_does_not_undo_a_newer_one(tmp_path: Path) -> None:
    """The reply to a create call comes after the end. Jobs that were not announced are ignored."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), seen(a_job("Completed"), 2.0)])
    ledger.append([Submitted(PLAN.job_name, ARN, 3.0), submitting(PLAN, 4.0)])
    ledger.append([Submitted("unknown-job", ARN, 5.0)])
    jobs = replay(tmp_path)
    assert jobs[PLAN.job_name].seen == a_job("Completed")
    assert list(jobs) == [PLAN.job_name]


def append_raw(folder: Path, *events: dict[str, Any]) -> None:
    """Append an object with events of another version."""
    storage = LocalStorage(str(folder))
    number = len(list(storage.list(f"{layout.LEDGER}/"))) + 1
    storage.create(layout.ledger_key(number), encode(events))


PLACED = plan_job(
    *("run-abcdefgh", "shard-00002-00", "d" * 64, CLAUDE, 2),
    prepare_id="p",
    target="us-west-2/x",
    place=Place("us-west-2", CLAUDE, "s3://bucket/west/run-abcdefgh"),
)


def test_an_intent_says_where_its_job_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Region, model and folder are read from the ledger and from a snapshot of it."""
    monkeypatch.setattr(snapshots, "EVERY", 2)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    for _ in range(3):
        ledger.append([submitting(PLACED, 1.0), submitting(PLAN, 1.0)])
        jobs = replay(tmp_path)
        assert jobs[PLACED.job_name].place == PLACED.place
        assert jobs[PLAN.job_name].place is None  # an intent of an older version


def test_an_event_with_a_wrong_type_is_an_error(tmp_path: Path) -> None:
    """Skipping it would lose a job. The message names the object, and has nothing of a row."""
    append_raw(tmp_path, as_json(submitting(PLAN, 1.0)) | {"attempt": "first"})
    with pytest.raises(RunFolderError, match=r"000000001\.jsonl: an event is not of this version"):
        replay(tmp_path)


def test_every_kind_of_event_is_read_as_it_was_written() -> None:
    """Each kind changes the state."""
    extra = ExtraAttempt(2, "in", 3, "f" * 64)
    events = [
        submitting(PLAN, 1.0),
        Submitted("j", ARN, 2.0),
        seen(a_job("InProgress", submitted_at=1.0), 3.0, JobTokens(4, 5)),
        Duplicate(PLAN.job_name, f"{ARN}2", "InProgress", 3.5),
        Stopping("j", "user", 4.0),
        again("shard-1", extra, 5.0),
        Finished("shard-1", "why", 6.0),
        Excused(PLAN.job_name, 6.5),
        Held("stopped", "why", 7.0),
        Resumed(8.0),
        Swept({"": None}, {"": {"most": 1}}, None),
        Late(None, 9.0),
        SetAside(7, "torn", 10.0),
        Finding("kind", "shard-1", "detail", 11.0),
        submitting(OTHER, 12.0),
        Lost(PLAN.job_name, ARN, "no listing shows it", 3, 12.5),
        Withdrawn(OTHER.job_name, 13.0),
    ]
    assert {type(event) for event in events} == set(AnyEvent.__args__)
    for event in events:
        assert read_event(json.loads(json.dumps(as_json(event)))) == (event, [])
    data = encode(map(as_json, events))
    assert decode_known(data) == events  # at once, without dicts
    newer = encode([*map(as_json, events), {"event": "cancelled"}])
    assert decode_known(newer) == decode(newer) == [*decode(data), {"event": "cancelled"}]
    state = LedgerState()
    for event in events:
        before = copy.deepcopy(state)
        state.apply(event)
        if not isinstance(event, (Submitted, Stopping, Late)):  # of an unknown job; None to None
            assert state != before


def test_of_a_finish_and_an_extra_attempt_the_later_counts(tmp_path: Path) -> None:
    """A shard that was finished for good gets no job any more, by any later controller either."""
    extra = ExtraAttempt(2, "in", 3, "f" * 64)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([Finished("s", "expired", 1.0), again("s", extra, 2.0)])
    state = Ledger(LocalStorage(str(tmp_path))).load()
    assert (state.finished, state.extra_attempts) == ({}, {"s": extra})
    ledger.append([Finished("s", "deadline", 3.0)])
    state = Ledger(LocalStorage(str(tmp_path))).load()
    assert (state.finished, state.extra_attempts) == ({"s": "deadline"}, {})


def test_events_of_a_newer_version_are_ignored_and_reported(tmp_path: Path) -> None:
    """An older version can still read the run."""
    newer = {**as_json(submitting(PLAN, 1.0)), "new": 1}
    append_raw(tmp_path, {"event": "cancelled", "why": {"a": 1}}, newer)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    assert list(ledger.replay()) == [PLAN.job_name]
    details = [f["detail"].split(":")[0] for f in ledger.state.all_findings()]
    assert details == ["cancelled", "submitting.new"]


def test_of_two_controllers_that_append_at_once_one_stops(tmp_path: Path) -> None:
    """Even if both append the same events in the same second."""
    first, second = (Ledger(LocalStorage(str(tmp_path))) for _ in range(2))
    first.replay()
    second.replay()
    first.append([submitting(PLAN, 1.0)])
    with pytest.raises(RunFolderError, match="another process controls this run"):
        second.append([submitting(PLAN, 1.0)])
    first.append([Submitted(PLAN.job_name, ARN, 2.0)])
    assert len(list((tmp_path / layout.LEDGER).iterdir())) == 2


def test_a_controller_that_takes_over_appends_to_the_ledger(tmp_path: Path) -> None:
    """The first append loads the ledger by itself."""
    Ledger(LocalStorage(str(tmp_path))).append([submitting(PLAN, 1.0)])
    Ledger(LocalStorage(str(tmp_path))).append([submitting(OTHER, 2.0)])
    assert list(replay(tmp_path)) == [PLAN.job_name, OTHER.job_name]


def test_a_put_that_botocore_repeats_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies of S3: 500, then 412, then an object with the mark of our own put."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("bedrock_spark.storage.s3.secrets.token_hex", lambda _: "5")
    storage = S3Storage("s3://bucket/run", AwsSettings("us-east-1", "http://localhost:9"))
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    exists = b"<Error><Code>PreconditionFailed</Code><Message>x</Message></Error>"
    own = (200, b"", {"ETag": '"e"', "x-amz-meta-bedrock-spark-put": "5"})
    http = CannedHttp(
        clients.s3_client(storage.aws), *[(200, listing)] * 2, (500, b""), (412, exists), own
    )
    Ledger(storage).append([submitting(PLAN, 1.0)])
    assert [r.method for r in http.sent] == ["GET", "GET", "PUT", "PUT", "HEAD"]
    http.close()


def test_of_two_controllers_that_write_the_same_bytes_one_stops(tmp_path: Path) -> None:
    """Equal events are no proof that the object is one's own."""
    one, other = Ledger(LocalStorage(str(tmp_path))), Ledger(LocalStorage(str(tmp_path)))
    other.load()
    one.append([submitting(PLAN, 1.0)])
    with pytest.raises(RunFolderError, match="another process controls this run"):
        other.append([submitting(PLAN, 1.0)])


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
def test_damage_is_detected(tmp_path: Path, damage: Damage) -> None:
    """A torn, changed or empty object is never replayed as fewer events."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), submitting(OTHER, 1.0)])
    ledger.append([Submitted(PLAN.job_name, ARN, 2.0)])
    path = tmp_path / layout.ledger_key(1)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunFolderError, match=r"000000001\.jsonl: its checksum does not fit"):
        replay(tmp_path)


def test_a_torn_last_object_is_set_aside(tmp_path: Path) -> None:
    """With a finding. It is not rewritten, and later objects are read as usual."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), Swept({"": 5.0}, {}, 1.0)])
    ledger.append([submitting(OTHER, 1.0)])
    path = tmp_path / layout.ledger_key(2)
    torn = path.read_bytes()[:-50]
    path.write_bytes(torn)
    second = Ledger(LocalStorage(str(tmp_path)))
    assert list(second.replay()) == [PLAN.job_name]
    assert second.torn == [layout.ledger_key(2)]
    assert second.state.floors == {}  # all jobs are listed: it may have announced some
    second.append([Submitted(PLAN.job_name, ARN, 2.0)], 2.0)
    assert second.torn == []
    third = Ledger(LocalStorage(str(tmp_path)))
    assert list(third.replay()) == [PLAN.job_name]
    assert [f["kind"] for f in third.state.all_findings()] == ["ledger_object_set_aside"]
    assert path.read_bytes() == torn


def test_a_snapshot_has_the_state_of_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged or missing snapshot only costs time."""
    monkeypatch.setattr(snapshots, "EVERY", 4)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0), submitting(OTHER, 1.0), Held("stopped", "why", 1.0)])
    ledger.append([Stopping(PLAN.job_name, "user", 2.0), Finished("shard-1", "why", 2.0)])
    ledger.append([Duplicate(PLAN.job_name, f"{ARN}2", "Stopped", 2.0, "west")])
    ledger.append(
        [seen(a_job("Stopped", processed=3), 3.0, JobTokens(4, 5)), Finding("k", "s", "d", 1)]
    )
    ledger.append([Swept({"": 7.0}, {"": {"others": 2}}, 4.0)])
    state = Ledger(LocalStorage(str(tmp_path))).load()
    assert state == ledger.state
    assert state.jobs[PLAN.job_name].tokens == JobTokens(4, 5)
    snapshot = tmp_path / layout.snapshot_key(4)
    for damage in (snapshot.read_bytes()[:-9], b""):
        snapshot.write_bytes(damage)
        assert Ledger(LocalStorage(str(tmp_path))).load() == state
    snapshot.unlink()
    assert Ledger(LocalStorage(str(tmp_path))).load() == state


def test_objects_before_a_snapshot_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a newer version wrote into the ledger, an older version writes no snapshot."""
    monkeypatch.setattr(snapshots, "EVERY", 2)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 1.0)])
    ledger.append([submitting(OTHER, 1.0)])
    (tmp_path / layout.ledger_key(1)).write_bytes(b"damaged, and not read")
    assert list(replay(tmp_path)) == [PLAN.job_name, OTHER.job_name]
    append_raw(tmp_path, {"event": "invented"})
    ledger.load()
    ledger.append([Submitted(PLAN.job_name, ARN, 2.0)])
    assert [p.name for p in (tmp_path / layout.SNAPSHOTS).iterdir()] == ["000000002.jsonl"]


@pytest.mark.parametrize("restarts", [False, True])
def test_the_snapshots_of_a_long_run_grow_with_its_jobs_not_with_their_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    """All have at most three times the jobs, also if each object is of another process."""
    monkeypatch.setattr(snapshots, "EVERY", 5)
    storage = LocalStorage(str(tmp_path))
    ledger, jobs = Ledger(storage), 400
    for number in range(jobs):
        if restarts and number % 20 == 0:
            ledger = Ledger(storage)
        ledger.append([structs.replace(submitting(PLAN, 1.0), job_name=f"{number:09d}")])
    written = [p.read_bytes().count(b'"event":"job"') for p in tmp_path.glob("snapshots/*.jsonl")]
    assert len(written) > 3
    assert sum(written) <= 3 * jobs
    assert len(Ledger(storage).replay()) == jobs


class ListsInNoOrder(LocalStorage):
    """Storage whose listings have no order, as those of S3 Express."""

    def list(self, prefix: str) -> list[StoredObject]:
        listed = super().list(prefix)
        return listed[::2][::-1] + listed[1::2]


def a_long_ledger(folder: Path, objects: int) -> Ledger:
    """Write a ledger whose object number n says that shard n - 1 is finished."""
    ledger = Ledger(LocalStorage(str(folder)))
    for number in range(objects):
        ledger.append([Finished(f"shard-{number}", "why", 1.0)])
    return ledger


@given(st.integers(0, 12), st.sets(st.integers(1, 12)), st.sampled_from([3, 5, 500]))
def test_a_missing_object_is_noticed(
    tmp_path_factory: Any, objects: int, lost: set[int], every: int
) -> None:
    """The error names the first one. Those that a snapshot covers are not needed."""
    folder = tmp_path_factory.mktemp("ledger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "EVERY", every)
        state = a_long_ledger(folder, objects).state
    for number in lost:
        (folder / layout.ledger_key(number)).unlink(missing_ok=True)
    left = set(range(1, objects + 1)) - lost
    snapshot, last = objects // every * every, max(left, default=0)
    # The last objects of all leave no trace if they are lost; a snapshot proves that they existed.
    gap = min(set(range(snapshot + 1, last)) - left, default=snapshot if last < snapshot else None)
    ledger = Ledger(ListsInNoOrder(str(folder)))
    if gap is None:
        assert ledger.load().finished == dict(list(state.finished.items())[:last])
        ledger.append([Resumed(2.0)])
        assert (folder / layout.ledger_key(last + 1)).exists()
    else:
        name = re.escape(layout.ledger_key(gap))
        with pytest.raises(RunFolderError, match=rf"{name}: is missing, but .* Restore it from"):
            ledger.load()


def test_an_object_that_a_listing_leaves_out_is_read(tmp_path: Path) -> None:
    """A local folder that changes while it is listed may show a later file and not an earlier."""

    class LeavesOut(LocalStorage):
        def list(self, prefix: str) -> list[StoredObject]:
            return [o for o in super().list(prefix) if o.key != layout.ledger_key(2)]

    state = a_long_ledger(tmp_path, 3).state
    assert Ledger(LeavesOut(str(tmp_path))).load() == state


def test_files_that_are_no_ledger_objects_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A console leaves an object for the folder itself, file managers leave files of their own."""
    monkeypatch.setattr(snapshots, "EVERY", 2)
    state = a_long_ledger(tmp_path, 3).state
    for folder in (layout.LEDGER, layout.SNAPSHOTS):
        (tmp_path / folder / ".DS_Store").write_bytes(b"x")
        (tmp_path / folder / "notes.txt").write_bytes(b"x")
    assert Ledger(LocalStorage(str(tmp_path))).load() == state


def test_the_newest_snapshot_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a long run would read most of its ledger again in every process."""
    monkeypatch.setattr(snapshots, "EVERY", 2)
    ledger = Ledger(LocalStorage(str(tmp_path)))
    for i in range(5):
        ledger.append([seen(a_job("InProgress", processed=i), float(i)), submitting(PLAN, 0.0)])
    number, state = snapshots.read_newest_snapshot(LocalStorage(str(tmp_path)))
    assert (number, list(state.jobs)) == (4, [PLAN.job_name])


def test_a_snapshot_of_another_format_is_not_read(tmp_path: Path) -> None:
    """Its values may mean something else. The ledger has everything that it has."""
    storage = LocalStorage(str(tmp_path))
    state = LedgerState()
    state.apply(submitting(PLAN, 0.0))
    snapshots.write_snapshot(storage, 500, state)
    number, read = snapshots.read_newest_snapshot(storage)
    assert (number, list(read.jobs)) == (500, [PLAN.job_name])
    events = decode(storage.read(layout.snapshot_key(500)))
    events[0]["format"] = "another"
    storage.write(layout.snapshot_key(500), encode(events))
    assert snapshots.read_newest_snapshot(storage) == (0, LedgerState())


@given(st.binary(max_size=60), st.integers(0, 10_000))
def test_every_changed_byte_is_detected(tmp_path_factory: Any, noise: bytes, at: int) -> None:
    """If the change begins before the checksum line, which may differ in white space."""
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(LocalStorage(str(folder)))
    ledger.append([submitting(PLAN, 1.0)])
    ledger.append([submitting(OTHER, 1.0)])
    path = folder / layout.ledger_key(1)
    data = path.read_bytes()
    end = data.index(b"\n")
    at %= end
    changed = data[:at] + noise + data[at + len(noise) :]
    path.write_bytes(changed)
    if changed != data:
        with pytest.raises(RunFolderError):
            replay(folder)


def test_a_long_ledger_is_read_in_order(tmp_path: Path) -> None:
    """Many threads read objects at once; they are replayed in the order of their numbers."""
    ledger = Ledger(LocalStorage(str(tmp_path)))
    ledger.append([submitting(PLAN, 0.0)])
    for i in range(150):
        ledger.append([seen(a_job("InProgress", processed=i), float(i))])
    job = replay(tmp_path)[PLAN.job_name].seen
    assert job is not None
    assert job.processed == 149
    assert len(list((tmp_path / layout.LEDGER).iterdir())) == 151


def test_every_object_is_lines_of_json_and_a_checksum(tmp_path: Path) -> None:
    """As its docstring says: readable without this package."""
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


@pytest.mark.parametrize(
    ("seen_job", "more", "expected"),
    [
        (None, {}, None),
        (a_job("InProgress", succeeded=5), {}, None),
        (SeenJob("", PLAN.job_name, PLAN.token, "Failed", succeeded=5), {}, None),
        (a_job("Completed", succeeded=5), {}, True),
        (a_job("Stopped", succeeded=5), {}, True),
        (a_job("Completed", succeeded=0), {}, False),
        (a_job("Failed", succeeded=0), {}, False),
        (a_job("Failed"), {}, False),
        (a_job("Failed"), {"stopping": "user"}, None),
        (a_job("Stopped", succeeded=0), {}, None),
        (a_job("Expired"), {}, None),
        # Neither the service nor a manifest counts answers.
        (a_job("Completed"), {}, None),
        (a_job("Completed"), {"tokens": (0, 0)}, None),
        (a_job("Completed"), {"tokens": (7, 0)}, True),
    ],
)
def test_what_a_job_says_about_answers(
    seen_job: SeenJob | None, more: dict[str, Any], expected: bool | None
) -> None:
    """The breaker counts jobs that answered nothing; other jobs say nothing about the next one."""
    job = Job(PLAN.shard_id, 1, PLAN.job_name, PLAN.token, seen_job, **more)
    assert job.has_answers is expected


@pytest.mark.parametrize(
    ("region", "model", "has_place"),
    [("us-east-1", "m", True), ("us-east-1", None, False), (None, "m", False), (None, None, False)],
)
def test_an_intent_has_a_place_only_with_region_and_model(
    region: str | None, model: str | None, has_place: bool
) -> None:
    state = LedgerState()
    state.apply(Submitting(PLAN.shard_id, 1, "job", "token", 1.0, region=region, model=model))
    assert (state.jobs["job"].place is not None) == has_place


def test_only_an_intent_that_the_service_has_not_shown_is_withdrawn() -> None:
    """A job that exists may answer, so the run must not forget it. An unknown name is ignored."""
    state = LedgerState()
    state.apply(submitting(PLAN, 1.0))
    state.apply(submitting(OTHER, 1.0))
    state.apply(Submitted(PLAN.job_name, ARN, 2.0))
    for name in (PLAN.job_name, OTHER.job_name, "unknown"):
        state.apply(Withdrawn(name, 3.0))
    assert list(state.jobs) == [PLAN.job_name]


def test_a_job_without_answers_counts_once_in_the_streak() -> None:
    """However often the service shows it."""
    state = LedgerState()
    state.apply(submitting(PLAN, 1.0))
    for at in (2.0, 3.0):
        state.apply(seen(a_job("Failed", succeeded=0), at))
    assert state.streak.job_names == [PLAN.job_name]


def test_all_jobs_are_listed_after_an_object_was_set_aside() -> None:
    """It may have announced jobs that are older than the low watermark. It is one finding."""
    state = LedgerState()
    state.apply(Swept({"us-east-1": 5.0}, {}, 6.0))
    assert state.floors == {"us-east-1": 5.0}
    state.apply(SetAside(3, "it is empty", 7.0))
    assert state.floors == {}
    (finding,) = state.all_findings()
    assert (finding["kind"], finding["count"]) == ("ledger_object_set_aside", 1)
