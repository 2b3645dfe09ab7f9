"""A record is asked again only if nothing says that it was answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.outputs.claims import FEW_UNREADABLE, FoundLines, unfound_answers
from bedrock_spark.outputs.lines import read_lines
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_reconciled
from bedrock_spark.outputs.record_outcome import BATCH, FALLBACK, Origin
from bedrock_spark.outputs.shard_outputs import open_outputs, read_outputs, shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.spark.result_schema import result_columns_of
from bedrock_spark.storage import LocalStorage
from tests.unit.collect_shard import (
    JOB_FOLDER,
    LINES_KEY,
    PREPARE_ID,
    SHARD,
    collect_shard,
    completed_job,
)

IDS = [f"{n:011d}" for n in range(20)]
MANIFEST_KEY = f"{JOB_FOLDER}/manifest.json.out"


def lines_of(ids: list[str], code: int | None = None) -> bytes:
    """Return answers to these records, or errors with this code."""
    rest: dict[str, Any] = {"modelOutput": {"content": [{"text": "a"}]}}
    if code is not None:
        rest = {"error": {"errorCode": code, "errorMessage": "no"}}
    return b"".join(json.dumps({"recordId": i, **rest}).encode() + b"\n" for i in ids)


def manifest_of(succeeded: int, failed: int = 0) -> bytes:
    return json.dumps({"successRecordCount": succeeded, "errorRecordCount": failed}).encode()


def collect(folder: Path, files: dict[str, bytes], **counts: int) -> ReconciledShard:
    """Collect a shard of 20 records with one job; return its reconciliation with ids."""
    collect_shard(str(folder), IDS, files, [completed_job(1, JOB_FOLDER, **counts)])
    return read_reconciled(LocalStorage(str(folder)), SHARD)


@pytest.mark.parametrize(
    ("claims", "lines", "unreadable", "answered", "expected"),
    [
        ([], 0, 0, 0, None),
        ([(None, None)], 9, 5, 3, None),
        ([(None, None)], 9, 6, 3, 9),
        ([], 9, 6, 3, 9),
        ([], 6, 6, 0, 6),
        # The lines that cannot be read are accounted for: they are errors, or answers.
        ([(3, 6)], 9, 6, 3, None),
        ([(3, 5)], 9, 6, 3, 9),
        ([(8, None)], 9, 6, 3, 9),
        ([(9, None)], 9, 6, 3, 9),
        ([(None, 9)], 9, 6, 3, None),
        ([(None, 8)], 9, 6, 3, 9),
        # The highest claim counts, of the job and of its manifest.
        ([(4, 0), (3, 0)], 3, 0, 3, 4),
        ([(3, 0), (4, 0)], 3, 0, 3, 4),
        ([(3, 9), (3, 0)], 3, 0, 3, None),
        ([(20, 0)], 30, 6, 3, 20),
    ],
)
def test_claimed_answers_are_compared_with_those_that_were_found(
    claims: list[Any], lines: int, unreadable: int, answered: int, expected: int | None
) -> None:
    """A count that is not known is no count; six unreadable lines without one are answers."""
    found = FoundLines(lines=lines, unreadable=unreadable)
    found.answered.update(IDS[:answered])
    unfound = unfound_answers("job", claims, found)
    assert (unfound.claimed if unfound else None) == expected
    if unfound is not None:
        assert unfound.found == answered
        assert unfound.count == unfound.claimed - answered


@pytest.mark.parametrize(
    ("files", "counts", "unfound", "unanswered"),
    [
        ({}, {"succeeded": 20}, IDS, []),
        ({MANIFEST_KEY: manifest_of(20)}, {}, IDS, []),
        ({MANIFEST_KEY: manifest_of(20)}, {"succeeded": 20}, IDS, []),
        ({LINES_KEY: lines_of(IDS[:15])}, {"succeeded": 16}, IDS[15:], []),
        ({LINES_KEY: lines_of(IDS[:15])}, {"succeeded": 15}, [], IDS[15:]),
        ({LINES_KEY: lines_of(IDS[:15]), MANIFEST_KEY: manifest_of(16)}, {}, IDS[15:], []),
        ({LINES_KEY: lines_of([*IDS[:15], *IDS[:5]])}, {"succeeded": 20}, IDS[15:], []),
        ({LINES_KEY: lines_of([f"other{i}" for i in IDS])}, {"succeeded": 20}, IDS, []),
        (
            {LINES_KEY: lines_of(IDS[:10]) + lines_of(IDS[10:15], 500)},
            {"succeeded": 15, "failed": 5},
            IDS[15:],
            IDS[10:15],
        ),
        ({LINES_KEY: lines_of(IDS[:10])}, {"succeeded": 10, "failed": 10}, [], IDS[10:]),
        ({LINES_KEY: lines_of(IDS[:10]) + b"torn\n" * 5}, {}, [], IDS[10:]),
        ({LINES_KEY: lines_of(IDS[:10]) + b"torn\n" * 6}, {}, IDS[10:], []),
        (
            {LINES_KEY: lines_of(IDS[:10]) + b"torn\n" * 6},
            {"succeeded": 10, "failed": 6},
            [],
            IDS[10:],
        ),
        ({f"fallback/{SHARD}/1.jsonl.out": b"torn\n" * 6}, {}, IDS, []),
    ],
    ids=[
        *("no output, by the job", "no output, by the manifest", "no output, by both"),
        *("one line is lost", "all that is claimed is there", "one is lost, by the manifest"),
        *("a repeated line is one answer", "changed ids", "errors are told apart"),
        *("lost errors", "a few torn lines", "many torn lines", "torn errors", "torn fallback"),
    ],
)
def test_what_is_claimed_and_not_found_is_not_asked_again(
    tmp_path: Path,
    files: dict[str, bytes],
    counts: dict[str, int],
    unfound: list[str],
    unanswered: list[str],
) -> None:
    """Its outcome is `unfound`, and a finding names the shard, the job and both counts."""
    reconciled = collect(tmp_path, files, **counts)
    assert reconciled.outcomes.get("unfound", 0) == reconciled.unfound == len(unfound)
    assert reconciled.unfound_records == len(unfound)
    assert list(reconciled.unanswered_ids) == unanswered
    assert sum(reconciled.outcomes.values()) == len(IDS)
    findings = [f for f in reconciled.findings if f.kind == "unfound"]
    assert bool(findings) is bool(unfound)
    for finding in findings:
        assert finding.shard_id == SHARD
        assert "answers are claimed" in finding.detail
        assert "job1" in finding.detail or "fallback/" in finding.detail


def test_answers_that_come_late_are_counted(tmp_path: Path) -> None:
    """Collect is simply run again; then nothing is unfound, and nothing was asked."""
    assert collect(tmp_path, {}, succeeded=20).unfound == 20
    reconciled = collect(tmp_path, {LINES_KEY: lines_of(IDS)}, succeeded=20)
    assert (reconciled.outcomes["ok"], reconciled.unfound) == (20, 0)
    assert not any(f.kind == "unfound" for f in reconciled.findings)


def test_unfound_records_are_asked_if_the_user_says_so(tmp_path: Path) -> None:
    """With `fallback.ask_unfound` they are unanswered; their outcome and the finding stay."""
    collect(tmp_path, {}, succeeded=20)
    storage = LocalStorage(str(tmp_path))
    from bedrock_spark.config import ResultsConfig

    task = CollectTask(storage, "anthropic", result_columns_of(ResultsConfig()), PREPARE_ID, True)
    job = completed_job(1, JOB_FOLDER, succeeded=20)
    reconciled = task(ShardWork(SHARD, None, (job,))).reconciled
    assert (reconciled.unanswered, reconciled.unfound, reconciled.outcomes["unfound"]) == (
        20,
        0,
        20,
    )
    assert "unfound" in {f.kind for f in reconciled.findings}
    assert list(read_reconciled(storage, SHARD).unanswered_ids) == IDS


def test_an_error_of_an_earlier_job_may_be_answered_by_a_later_one(tmp_path: Path) -> None:
    """The second job claims 5 answers that are not found: any record may be one of them."""
    jobs = [
        completed_job(1, JOB_FOLDER, succeeded=10, failed=10),
        completed_job(2, f"output/{SHARD}/a2-abc/job2", succeeded=5),
    ]
    files = {LINES_KEY: lines_of(IDS[:10]) + lines_of(IDS[10:], 500)}
    reconciled, _ = collect_shard(str(tmp_path), IDS, files, jobs)
    assert reconciled.outcomes == {"ok": 10, "error": 10, "missing": 0}
    assert (reconciled.unfound, reconciled.unanswered) == (10, 0)


def test_a_job_that_runs_claims_nothing_yet(tmp_path: Path) -> None:
    """Its counts change, and its output is not written yet."""
    from msgspec.structs import replace

    job = completed_job(1, JOB_FOLDER, succeeded=5)
    assert job.seen is not None
    running = replace(job, seen=replace(job.seen, status="InProgress"))
    reconciled, _ = collect_shard(str(tmp_path), IDS, {}, [running])
    assert (reconciled.outcomes["missing"], reconciled.unfound) == (20, 0)


@given(
    claims=st.lists(
        st.tuples(st.none() | st.integers(0, 30), st.none() | st.integers(0, 30)), max_size=2
    ),
    answered=st.integers(0, 30),
    errors=st.integers(0, 10),
    unreadable=st.integers(0, 3 * FEW_UNREADABLE),
)
def test_what_is_not_found_is_at_least_what_any_claimant_misses(
    claims: list[tuple[int | None, int | None]], answered: int, errors: int, unreadable: int
) -> None:
    """It is never below 0, and None only if every claim is met."""
    ids = {str(n) for n in range(answered + errors)}
    found = FoundLines(
        ids, {str(n) for n in range(answered)}, answered + errors + unreadable, unreadable
    )
    unfound = unfound_answers("job", claims, found)
    missed = max((ok or 0) - answered for ok, _ in [*claims, (0, 0)])
    assert (unfound.count if unfound else 0) >= max(0, missed)
    if unfound is None:
        assert missed <= 0
    elif unreadable <= FEW_UNREADABLE:
        assert unfound.count == missed > 0


@given(
    outputs=st.lists(
        st.tuples(st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)), st.integers(0, 25)),
        min_size=1,
        max_size=3,
    )
)
def test_no_record_is_asked_that_a_job_may_have_answered(
    outputs: list[tuple[set[str], set[str], int]],
) -> None:
    """Whatever jobs answered, refused and claim: a record without a line of a job that claims

    more than was found is not asked, and a record that no such job may have answered is.
    """
    reconciliation = ShardReconciliation(SHARD, dict.fromkeys(IDS, 1))
    suspects: set[str] = set()
    answered: set[str] = set()
    for number, (ok, failed, claimed) in enumerate(outputs):
        folder = f"output/{SHARD}/a{number}-abc/job{number}"
        data = lines_of(sorted(ok)) + lines_of(sorted(failed - ok), 500)
        lines = reconciliation.add(Origin(BATCH, number, None, f"{folder}/x"), read_lines(data))
        reconciliation.compare(folder, lines, None, {"ok": claimed, "error": None})
        answered |= ok
        suspects |= set(IDS) - ok - failed if claimed > len(ok) else set()
    reconciliation.finish()
    assert set(reconciliation.unanswered()) == set(IDS) - answered - suspects
    assert set(reconciliation.unfound()) == suspects - answered
    assert sum(reconciliation.counts().values()) == len(IDS)


def test_results_that_were_deleted_are_collected_again(tmp_path: Path) -> None:
    """The shard's inputs did not change: only the file is gone. The same for dead letters."""
    files = {LINES_KEY: lines_of(IDS[:10])}
    collect(tmp_path, files, succeeded=10)
    storage = LocalStorage(str(tmp_path))
    keys = (layout.results_key(SHARD), layout.deadletters_key(SHARD))
    before = [storage.read(key) for key in keys]
    for key in keys:
        storage.delete([key])
        collect(tmp_path, {}, succeeded=10)
        assert [storage.read(key) for key in keys] == before


def test_an_unchanged_shard_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for its files must not make collect read every shard each time."""
    collect(tmp_path, {LINES_KEY: lines_of(IDS)}, succeeded=20)

    def refuse(*_: Any) -> None:
        raise AssertionError("was collected again")

    monkeypatch.setattr(CollectTask, "_join", refuse)
    collect(tmp_path, {}, succeeded=20)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., ShardReconciliation]:
    """Return a function that reads the outputs in a folder."""

    def read() -> ShardReconciliation:
        storage = LocalStorage(str(tmp_path))
        reconciliation = ShardReconciliation(SHARD, dict.fromkeys(IDS, 1))
        inputs = shard_inputs(storage, SHARD)
        read_outputs(open_outputs(storage, inputs), inputs, [], reconciliation)
        reconciliation.finish()
        return reconciliation

    return read


def test_a_few_unreadable_shards_among_many_are_noticed(
    tmp_path: Path, read: Callable[..., ShardReconciliation]
) -> None:
    """A shard decides for itself, whatever share of the run's lines cannot be read."""
    LocalStorage(str(tmp_path)).write(LINES_KEY, b"\x00\n" * len(IDS))
    reconciliation = read()
    assert reconciliation.unanswered() == []
    assert reconciliation.counts() == {"ok": 0, "error": 0, "missing": 0, "unfound": 20}


def test_an_answer_of_the_fallback_meets_no_claim_of_a_job() -> None:
    """A job claims 20 answers; 20 answers of the fallback do not make the job's own found."""
    reconciliation = ShardReconciliation(SHARD, dict.fromkeys(IDS, 1))
    origin = Origin(FALLBACK, source=f"fallback/{SHARD}/1.jsonl.out")
    reconciliation.add(origin, read_lines(lines_of(IDS[:5])))
    reconciliation.compare("job job1", reconciliation.lines - reconciliation.lines, None, {"ok": 5})
    assert len(reconciliation.unfound()) == 15


@pytest.mark.parametrize("by_fallback", [0, 1, 2])
def test_the_finding_is_gone_once_nothing_is_left_to_ask(tmp_path: Path, by_fallback: int) -> None:
    """The claims do not matter any more if every record has an answer, such as by the fallback."""
    files = {
        LINES_KEY: lines_of(IDS[:18]),
        f"fallback/{SHARD}/a.jsonl.out": lines_of(IDS[18 : 18 + by_fallback]),
    }
    reconciled = collect(tmp_path, files, succeeded=20)
    found = [f.detail for f in reconciled.findings if f.kind == "unfound"]
    assert len(found) == (by_fallback < 2)
    assert reconciled.unfound == 2 - by_fallback


def test_the_finding_names_the_job_by_its_arn_if_that_is_known(tmp_path: Path) -> None:
    """Else by the folder of its output."""
    job = completed_job(1, JOB_FOLDER, succeeded=20)
    assert job.seen is not None
    for name, jobs in ((job.seen.job_arn, [job]), (JOB_FOLDER, [])):
        folder = tmp_path / str(len(jobs))
        collect_shard(str(folder), IDS, {MANIFEST_KEY: manifest_of(20)}, jobs)
        reconciled = read_reconciled(LocalStorage(str(folder)), SHARD)
        (finding,) = (f for f in reconciled.findings if f.kind == "unfound")
        assert finding.detail == f"{name}: 20 answers are claimed, 0 were found"
