"""Clean: what a finished run no longer needs is deleted, and nothing else."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bedrock_spark import cleaning
from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.browse.runs import find_runs
from bedrock_spark.cleaning import check_parts, clean, measure
from bedrock_spark.cli import main
from bedrock_spark.config import parse_config
from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    ExitCode,
    RunCleanedError,
    RunFolderError,
    RunHeldError,
    StorageError,
)
from bedrock_spark.report import Reporter
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import PARTS, read_cleaned
from bedrock_spark.run_folder.job_plan import Place, plan_job
from bedrock_spark.run_folder.lease import CONTROL, PUBLISH, Lease
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.ledger.events import seen, submitting
from bedrock_spark.run_folder.published import (
    DONE,
    WRITING,
    Publication,
    Publications,
    results_fingerprint,
)
from bedrock_spark.run_folder.run import Run, begin_run, open_run
from bedrock_spark.storage import LocalStorage, Storage, StoredObject
from tests.unit.browse.finished_run import finished_run
from tests.unit.fakes import CLAUDE, FakeClock, config_values, report_json
from tests.unit.moto_s3 import s3_in_process

SHARD = layout.shard_id(0, 0)
ENDED_AT = 1_700_000_000.0
NOW = ENDED_AT + 40 * 86_400
REPORT = {
    "version": 1,
    "state": "done",
    "stage": "report",
    "rows": 13,
    "outcomes": {"ok": 13},
    "published": None,
    "ended_at": "2023-11-14T22:13:20Z",
}
# Always there after a clean, beside what is kept.
STAYS = {layout.RUN_FILE, layout.REPORT_FILE, layout.REPORT_PAGE, layout.CLEANED_FILE}
STAYS |= {layout.LEASE_FILE, layout.PUBLISHER_FILE}
IMAGE = layout.image_key(SHARD, "R1", 0, "png")
# One object of each folder and file of a run folder.
EVERY_KEY = (
    layout.shard_key(SHARD, "p"),
    layout.index_key(SHARD, "p"),
    layout.rows_key(SHARD, "p"),
    layout.rejects_key(0, "p"),
    layout.remainder_key(SHARD, 2),
    f"{layout.attempt_prefix(SHARD, 1, 'd')}id/{SHARD}.jsonl.out",
    layout.fallback_key(SHARD, "p1"),
    layout.snapshot_key(500),
    layout.ended_task_key("r"),
    layout.claim_key("r", "t"),
    layout.probe_key("p", "driver"),
    layout.deadletters_key(SHARD),
    IMAGE,
    layout.partial_key(SHARD),
    layout.reconciliation_key(SHARD),
    layout.RECONCILIATIONS_FILE,
    layout.RECONCILIATION_FILE,
)


def done_run(folder: Path, **report: Any) -> Run:
    """Write a run that is done, with an object in each of its folders; return it.

    Its answers have no images if its results are published: that would not publish the images.
    """
    run = finished_run(folder)
    for key in EVERY_KEY:
        if key != IMAGE or "published" not in report:
            run.storage.write(key, b"123")
    write_report(run.storage, run.run_id, **report)
    return run


def write_report(storage: Storage, run_id: str, **report: Any) -> None:
    values = report_json(**{**REPORT, "run_id": run_id, **report})
    storage.write(layout.REPORT_FILE, json.dumps(values).encode())
    if values["published"] is not None:
        note = Publication("overwrite", DONE, results_fingerprint(storage))
        Publications(storage).note(values["published"], note)


def keys_of(storage: Storage) -> set[str]:
    return {stored.key for stored in storage.list("")}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["clean", *arguments])


def test_every_object_of_the_layout_stays_or_belongs_to_one_part() -> None:
    """A new folder must say what clean does with it."""
    names = {value for name, value in vars(layout).items() if name.isupper()}
    names.remove(layout.OUTPUT_MANIFEST_FILE)  # in a job's own folder
    stays = STAYS | {layout.CANARY_FILE, layout.PRICES_FILE, layout.PUBLISHED_FILE, layout.CONFIGS}
    stays |= {layout.NOTIFIED_FILE, layout.ANSWERS_FILE}
    stays |= {layout.FALLBACK_END_FILE, layout.PROVISIONED, layout.COST_PROFILES}
    parts = [name.rstrip("/") for names in PARTS.values() for name in names]
    assert len(parts) == len(set(parts))
    assert set(parts) | stays == names
    assert not set(parts) & stays


@pytest.mark.parametrize("keep", [(), ("results",), ("results", "report"), tuple(PARTS)])
def test_what_is_not_kept_is_deleted_and_counted(tmp_path: Path, keep: Sequence[str]) -> None:
    run = done_run(tmp_path, published="s3://lake/answers")
    (tmp_path / "shards" / "notes.txt").write_text("in a folder of the run")
    (tmp_path / "mine.txt").write_text("not written by this package")
    (tmp_path.parent / "beside.txt").write_text("outside")
    before = keys_of(run.storage)
    kept = {key for key in before if key.startswith(tuple(n for p in keep for n in PARTS[p]))}
    doomed = {key for key in before if key.startswith(tuple(n for p in PARTS for n in PARTS[p]))}
    foreseen = measure(run, keep)
    assert keys_of(run.storage) == before
    deleted = clean(run, keep, FakeClock(NOW))
    assert deleted == foreseen
    assert sum(each.objects for each in deleted) == len(doomed - kept)
    assert not set(keep) & {each.part for each in deleted}
    assert keys_of(run.storage) - STAYS == before - (doomed - kept) - STAYS
    assert "mine.txt" in keys_of(run.storage)
    assert (tmp_path.parent / "beside.txt").exists()


@pytest.mark.parametrize("state", ["unfinished", "held", "failed", "interrupted", None])
def test_a_run_that_is_not_done_is_refused(tmp_path: Path, state: str | None) -> None:
    run = done_run(tmp_path, state=state)
    before = keys_of(run.storage)
    for spelled in (str(tmp_path), f"{tmp_path}/"):
        result = invoke(spelled, "--yes")
        assert result.exit_code == ExitCode.FAILED
        assert "is not done" in result.stderr
    assert keys_of(run.storage) == before


def test_a_run_without_a_report_is_refused(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    with pytest.raises(RunFolderError, match="is not done, but begun"):
        cleaning.check_cleanable(run, (), NOW)


@pytest.mark.parametrize("purpose", [CONTROL, PUBLISH])
def test_a_run_that_is_at_work_is_refused(tmp_path: Path, purpose: str) -> None:
    run = done_run(tmp_path)
    with Lease(run.storage, FakeClock(NOW), purpose):
        for attempt in (
            lambda: cleaning.check_cleanable(run, ("results",), NOW),
            lambda: clean(run, ("results",), FakeClock(NOW)),
        ):
            with pytest.raises(RunHeldError):
                attempt()
    assert read_cleaned(run.storage) is None


def test_results_that_are_nowhere_else_are_not_deleted(tmp_path: Path) -> None:
    run = done_run(tmp_path)
    run.storage.delete([IMAGE])
    with pytest.raises(RunFolderError, match=r"its results are nowhere .* --keep results"):
        clean(run, ("report",), FakeClock(NOW))
    assert read_cleaned(run.storage) is None
    write_report(run.storage, run.run_id, published="s3://lake/answers")
    clean(run, ("report",), FakeClock(NOW))
    assert run.storage.list("results/") == []
    clean(run, (), FakeClock(NOW))


def test_a_second_clean_does_not_delete_the_only_results_either(tmp_path: Path) -> None:
    run = done_run(tmp_path)
    run.storage.delete([IMAGE])
    clean(run, ("results", "report"), FakeClock(NOW))
    for attempt in (
        lambda: cleaning.check_cleanable(run, ("report",), NOW),
        lambda: clean(run, ("report",), FakeClock(NOW)),
    ):
        with pytest.raises(RunFolderError, match=r"its results are nowhere .* --keep results"):
            attempt()
    assert run.storage.list("results/")
    clean(run, ("results",), FakeClock(NOW))
    assert run.storage.list("results/")
    assert not run.storage.list("reconciliation/")


def test_published_results_have_the_uris_of_images_and_not_the_images(tmp_path: Path) -> None:
    run = done_run(tmp_path, published="s3://lake/answers")
    run.storage.write(IMAGE, b"123")
    for _ in range(2):  # a second clean does not delete them either
        with pytest.raises(RunFolderError, match=r"the images of its answers .* --keep results"):
            clean(run, ("report",), FakeClock(NOW))
        clean(run, ("results", "report"), FakeClock(NOW))
    assert run.storage.read(IMAGE) == b"123"


@pytest.mark.parametrize("keep", ["results,report", "report"])
@pytest.mark.parametrize("fault", ["changed", "killed", "partial", "lost"])
def test_results_that_are_not_published_as_they_are_now_are_refused(
    tmp_path: Path, keep: str, fault: str
) -> None:
    """The report says where they were published when it was written. A later process was killed."""
    place = "s3://lake/answers"
    run = done_run(tmp_path, published=place)
    now = results_fingerprint(run.storage)
    notes = Publications(run.storage)
    if fault == "changed":
        run.storage.write(layout.results_key(SHARD), b"of another collect")
    elif fault == "killed":
        notes.note(place, Publication("overwrite", WRITING, now))
    elif fault == "partial":
        notes.note(place, Publication("overwrite", DONE, now, is_partial=True))
    else:
        run.storage.delete([layout.PUBLISHED_FILE])
    before = keys_of(run.storage)
    result = invoke(str(tmp_path), "--yes", "--keep", keep)
    assert (result.exit_code, keys_of(run.storage)) == (ExitCode.FAILED, before)
    assert "its results are not published as they are now" in result.stderr
    other = Publication("overwrite", DONE, results_fingerprint(run.storage))
    Publications(run.storage).note("s3://lake/another", other)
    assert invoke(str(tmp_path), "--yes", "--keep", keep).exit_code == ExitCode.DONE


def ledger_of(run: Run, announced_at: float, settled_at: float | None) -> None:
    """Write a ledger with one job; settled_at: None if it is active."""
    plan = plan_job(run.run_id, SHARD, "0" * 64, CLAUDE, 1, prepare_id="p")
    job = SeenJob("arn", plan.job_name, None, "Completed" if settled_at else "InProgress")
    ledger = Ledger(run.storage)
    ledger.append([submitting(plan, announced_at), seen(job, settled_at or announced_at)])


@pytest.mark.parametrize(
    ("announced_at", "settled_at", "answered_at", "is_refused"),
    [
        (ENDED_AT - 90, ENDED_AT - 1, ENDED_AT - 50, False),
        (ENDED_AT - 90, ENDED_AT + 0.9, ENDED_AT + 0.9, False),  # the report has whole seconds
        (ENDED_AT - 90, ENDED_AT + 60, ENDED_AT - 50, True),
        (ENDED_AT + 30, ENDED_AT + 60, ENDED_AT - 50, True),
        (ENDED_AT - 90, None, ENDED_AT - 50, True),
        (ENDED_AT - 90, ENDED_AT - 1, ENDED_AT + 50, True),
    ],
)
def test_a_run_that_went_on_after_its_last_report_is_refused(
    tmp_path: Path,
    announced_at: float,
    settled_at: float | None,
    answered_at: float,
    is_refused: bool,
) -> None:
    """A process that was killed wrote no report: that of an earlier command still says done."""
    run = done_run(tmp_path)
    ledger_of(run, announced_at, settled_at)
    name = layout.fallback_part(answered_at, "0" * 8)
    run.storage.write(layout.fallback_key(SHARD, name), b"123")
    before = keys_of(run.storage)
    result = invoke(str(tmp_path), "--yes")
    if is_refused:
        assert (result.exit_code, keys_of(run.storage)) == (ExitCode.FAILED, before)
        assert "the run went on after its last report" in result.stderr
    else:
        assert result.exit_code == ExitCode.DONE
        assert not run.storage.list(f"{layout.LEDGER}/")


def test_the_name_of_fallback_answers_tells_when_they_were_written() -> None:
    for at in (0.0, 1.5, NOW + 0.25):
        key = layout.fallback_key(SHARD, layout.fallback_part(at, "0a1b2c3d"))
        assert layout.answered_at(key) == at
    assert layout.answered_at(layout.fallback_key(SHARD, "copied-by-hand")) == 0.0


def test_a_run_that_goes_on_meanwhile_stops_no_other_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was looked at before. A run that is given alone is an error."""
    runs = {name: done_run(tmp_path / "runs" / name) for name in ("a", "b", "c")}
    held = runs["b"].storage.uri

    def clean_or_held(run: Run, *args: Any) -> Any:
        if run.storage.uri == held:
            raise RunHeldError(f"{held}: is controlled by another process")
        return clean(run, *args)

    monkeypatch.setattr("bedrock_spark.cli.clean.clean", clean_or_held)
    result = invoke(str(tmp_path / "runs"), "--yes", "--json")
    assert result.exit_code == ExitCode.DONE
    found = json.loads(result.stdout)
    assert {run["run_uri"] for run in found["runs"]} == {runs[n].storage.uri for n in "ac"}
    assert [run["run_uri"] for run in found["refused"]] == [held]
    assert invoke(held, "--yes").exit_code == ExitCode.BUSY


def test_model_units_that_may_bill_stay_known(tmp_path: Path) -> None:
    run = done_run(tmp_path)
    intent = {"name": "n", "token": "t", "model_id": "m", "model_units": 1, "bought_at": 0.0}
    run.storage.write(layout.purchase_key(1, "intent"), json.dumps(intent).encode())
    with pytest.raises(RunFolderError, match="bedrock-spark stop"):
        clean(run, ("results",), FakeClock(NOW))


def test_a_young_run_is_left_alone(tmp_path: Path) -> None:
    done_run(tmp_path / "runs" / "old")
    young = done_run(tmp_path / "runs" / "young", ended_at="2099-01-01T00:00:00Z")
    before = keys_of(young.storage)
    result = invoke(str(tmp_path / "runs"), "--older-than", "30d", "--yes", "--json")
    found = json.loads(result.stdout)
    assert [run["run_uri"] for run in found["runs"]] == [str(tmp_path / "runs" / "old")]
    assert [run["run_uri"] for run in found["refused"]] == [str(tmp_path / "runs" / "young")]
    assert keys_of(young.storage) == before
    assert invoke(str(tmp_path / "runs"), "--older-than", "30 days").exit_code == ExitCode.USAGE


def commands_of(folder: Path) -> Iterator[list[str]]:
    """Yield commands that would go on with a run, or read what is deleted."""
    values = {**config_values(), "run_uri": str(folder)}
    path = folder.parent / "config.json"
    path.write_text(json.dumps(values))
    for stage in ("submit", "advance", "plan"):
        yield [stage, str(path)]
    yield ["stop", str(folder)]
    yield ["show", str(folder), "--record", "R1"]
    yield ["invoke", "--run", str(folder), "--record", "R1"]


def test_a_cleaned_run_is_listed_and_read_and_goes_on_with_nothing(tmp_path: Path) -> None:
    run = done_run(tmp_path / "run")
    assert invoke(str(tmp_path / "run"), "--yes").exit_code == ExitCode.DONE
    (found,) = find_runs(str(tmp_path), AwsSettings())
    assert (found.state, found.stage, found.rows, found.ok) == ("cleaned", None, 13, 13)
    assert json.loads(run.storage.read(layout.REPORT_FILE))["state"] == "done"
    status = CliRunner().invoke(main, ["status", str(tmp_path / "run")])
    assert status.stdout.splitlines()[-1] == "stage: cleaned, finished"
    rows = CliRunner().invoke(main, ["results", str(tmp_path / "run"), "--format", "jsonl"])
    assert len(rows.stdout.splitlines()) == 13
    for command in commands_of(tmp_path / "run"):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == ExitCode.CONFIG, (command, result.output)
        assert "was cleaned at 2" in result.stderr, command


def test_results_that_did_not_stay_are_named(tmp_path: Path) -> None:
    done_run(tmp_path, published="s3://lake/answers")
    invoke(str(tmp_path), "--yes", "--keep", "report")
    result = CliRunner().invoke(main, ["results", str(tmp_path)])
    assert result.exit_code == ExitCode.CONFIG
    assert "its results did not stay" in result.stderr


@pytest.mark.parametrize("purpose", [CONTROL, PUBLISH])
def test_a_process_that_opened_the_run_before_cannot_go_on(tmp_path: Path, purpose: str) -> None:
    """Its jobs would be paid for twice. The lease is released again."""
    run = done_run(tmp_path)
    lease = Lease(run.storage, FakeClock(NOW), purpose)
    clean(run, ("results",), FakeClock(NOW))
    with pytest.raises(RunCleanedError), lease:
        pytest.fail("it has the lease of a cleaned run")
    clean(run, ("results",), FakeClock(NOW))


def test_a_process_that_is_refused_leaves_the_report_as_it_is(tmp_path: Path) -> None:
    """Else the run would be listed as failed."""
    run = done_run(tmp_path)
    reporter = Reporter(FakeClock(NOW))
    clean(run, ("results",), FakeClock(NOW))
    before = run.storage.read(layout.REPORT_FILE)
    with (
        pytest.raises(RunCleanedError),
        reporter.command(lambda: run),
        Lease(run.storage, FakeClock(NOW)),
    ):
        pytest.fail("it has the lease of a cleaned run")
    assert run.storage.read(layout.REPORT_FILE) == before


class KilledError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("survives", range(40))
def test_a_clean_that_was_killed_anywhere_is_carried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    """Before its first deletion the run is whole; after it, nothing goes on with the run."""
    run = done_run(tmp_path)
    before, writes = keys_of(run.storage), 0
    monkeypatch.setattr(cleaning, "_THREADS", 1)
    with monkeypatch.context() as patch:
        for name in ("write", "replace", "create", "delete"):
            original = getattr(LocalStorage, name)

            def counted(self: Any, *args: Any, original: Any = original, **kwargs: Any) -> Any:
                nonlocal writes
                writes += 1
                if writes > survives:
                    raise KilledError
                return original(self, *args, **kwargs)

            patch.setattr(LocalStorage, name, counted)
        try:
            clean(run, ("results", "report"), FakeClock(NOW))
        except (KilledError, BedrockSparkError):
            pass
        else:
            assert survives >= writes
    is_whole = before <= keys_of(run.storage)
    assert is_whole or read_cleaned(run.storage) is not None
    if read_cleaned(run.storage) is not None:
        with pytest.raises(RunCleanedError):
            open_run(run.config, FakeClock(NOW))
    clean(run, ("results", "report"), FakeClock(NOW + 1_000))  # the dead process's lease has ended
    cleaned = read_cleaned(run.storage)
    assert cleaned is not None
    assert cleaned.is_over
    left = keys_of(run.storage) - STAYS - {layout.PRICES_FILE}
    assert left
    assert all(key.startswith(PARTS["results"] + PARTS["report"]) for key in left)


@pytest.mark.parametrize("error", [StorageError("denied"), RunHeldError("lost"), KilledError()])
def test_an_error_ends_the_work_on_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Else a clean that is interrupted would delete everything before it ends."""
    run = done_run(tmp_path)
    monkeypatch.setattr(cleaning, "_KEYS", 1)
    many, deletes, has_begun = 200_000, 0, threading.Event()
    scan, delete = LocalStorage.scan, LocalStorage.delete

    def long_scan(self: Any, prefix: str) -> Iterator[StoredObject]:
        if prefix != "rows/":
            return scan(self, prefix)
        return (StoredObject(layout.rows_key(str(i), "p"), 1, "v") for i in range(many))

    def counted(self: Any, keys: Sequence[str]) -> None:
        nonlocal deletes
        (key,) = keys
        if key.startswith("rows/"):
            deletes += 1
            has_begun.set()
            return
        if key.startswith("output/"):
            assert has_begun.wait(60)
            raise error
        delete(self, keys)

    monkeypatch.setattr(LocalStorage, "scan", long_scan)
    monkeypatch.setattr(LocalStorage, "delete", counted)
    with pytest.raises(type(error)):
        clean(run, ("results",), FakeClock(NOW))
    assert 0 < deletes < many
    cleaned = read_cleaned(run.storage)
    assert cleaned is not None
    assert not cleaned.is_over


def test_a_part_that_an_earlier_clean_deleted_is_not_said_to_be_kept(tmp_path: Path) -> None:
    run = done_run(tmp_path, published="s3://lake/answers")
    clean(run, ("report",), FakeClock(NOW))
    clean(run, ("report", "results"), FakeClock(NOW))
    cleaned = read_cleaned(run.storage)
    assert cleaned is not None
    assert cleaned.kept == ("report",)


def test_the_folders_in_other_regions_are_cleaned_even_after_the_ledger_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = done_run(tmp_path / "run")
    west = LocalStorage(str(tmp_path / "west"))
    west.write(layout.shard_key(SHARD, "p"), b"123")
    west.write("other/object", b"123")
    plan = replace(
        plan_job(run.run_id, SHARD, "0" * 64, CLAUDE, 1, prepare_id="p"),
        place=Place("us-west-2", CLAUDE, west.uri),
    )
    job = SeenJob("arn", plan.job_name, None, "Completed")
    Ledger(run.storage).append([submitting(plan, 0.0), seen(job, 1.0)], 0.0)
    monkeypatch.setattr(cleaning, "_THREADS", 1)
    with monkeypatch.context() as patch:

        def fail(self: Any, keys: Sequence[str]) -> None:
            if self.root == west.root:
                raise StorageError("no")
            delete(self, keys)

        delete = LocalStorage.delete
        patch.setattr(LocalStorage, "delete", fail)
        with pytest.raises(StorageError):
            clean(run, ("results",), FakeClock(NOW))
    assert run.storage.list(f"{layout.LEDGER}/") == []
    clean(run, ("results",), FakeClock(NOW))
    assert keys_of(west) == {"other/object"}


def test_nothing_is_deleted_without_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = done_run(tmp_path)
    before = keys_of(run.storage)
    nobody = invoke(str(tmp_path))
    assert nobody.exit_code == ExitCode.USAGE
    assert "--yes deletes" in nobody.stderr
    dry = invoke(str(tmp_path), "--dry-run", "--keep", "report, results")
    assert dry.exit_code == ExitCode.DONE
    assert dry.stdout.splitlines()[-1] == "1 run: 13 objects, 39 bytes would be deleted"
    monkeypatch.setattr("bedrock_spark.cli.clean.sys", _Terminal())
    no = CliRunner().invoke(main, ["clean", str(tmp_path)], input="n\n")
    assert (no.exit_code, "13 objects, 39 bytes of 1 run?" in no.stderr) == (1, True)
    assert keys_of(run.storage) == before
    yes = CliRunner().invoke(main, ["clean", str(tmp_path)], input="y\n")
    assert yes.exit_code == ExitCode.DONE
    assert keys_of(run.storage) < before | STAYS
    again = invoke(str(tmp_path), "--yes")
    assert again.stdout.splitlines() == ["1 run cleaned already"]


class _Terminal:
    """The module sys, at a terminal."""

    exit = sys.exit

    class stdin:  # noqa: N801
        isatty = staticmethod(lambda: True)


def test_a_part_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--keep answer: the parts are results, report"):
        check_parts(["results", "answer"])
    assert invoke(str(tmp_path / "nothing"), "--yes").exit_code == ExitCode.FAILED


@pytest.mark.long
@pytest.mark.parametrize("versioned", [False, True])
def test_in_s3_a_call_deletes_up_to_1000_keys_and_old_versions_are_named(versioned: bool) -> None:
    with s3_in_process() as s3:
        if versioned:
            s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        values = {**config_values(), "run_uri": "s3://bucket/runs/a"}
        run = begin_run(open_run(parse_config(values), FakeClock()))
        write_report(run.storage, run.run_id)
        for i in range(1_200):
            run.storage.write(layout.rows_key(layout.shard_id(i, 0), "p"), b"12345")
        s3.put_object(Bucket="bucket", Key="runs/ab/shards/p/x.jsonl", Body=b"other run")
        calls: list[int] = []
        s3_client = run.storage._client  # type: ignore[attr-defined]
        s3_client.meta.events.register(
            "before-parameter-build.s3.DeleteObjects",
            lambda params, **_: calls.append(len(params["Delete"]["Objects"])),
        )
        result = invoke("s3://bucket/runs/a/", "--yes", "--json", "--region", "us-east-1")
        assert result.exit_code == ExitCode.DONE, result.output
        assert calls == [1_000, 200]
        found = json.loads(result.stdout)
        assert (found["objects"], found["bytes"]) == (1_200, 6_000)
        assert found["old_versions_stay"] is versioned
        assert ("the bucket keeps versions" in result.stderr) is versioned
        left = [o["Key"] for o in s3.list_objects_v2(Bucket="bucket")["Contents"]]
        assert "runs/ab/shards/p/x.jsonl" in left
        assert not any("runs/a/rows" in key for key in left)
