"""The batch jobs of a run, page by page, and the objects of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from bedrock_spark.browse.jobs import (
    ANNOUNCED,
    JOBS_A_PAGE,
    head_of,
    jobs_page,
    objects_of_job,
)
from bedrock_spark.errors import ConfigError
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import LocalStorage
from tests.unit.fake_run import FakeRun
from tests.unit.page.reports import job, jobs_of

ANNOUNCED_JOB = Job("shard-00099-00", 1, "j99", "t", announced_at=1_800_000_000.0)


def test_jobs_are_paged_and_each_is_on_one_page() -> None:
    jobs = list(jobs_of(250, 7).values())
    pages = [jobs_page(jobs, page=number) for number in (1, 2, 3)]
    assert [len(page.jobs) for page in pages] == [JOBS_A_PAGE, JOBS_A_PAGE, 50]
    assert {page.pages for page in pages} == {3}
    assert len({shown.name for page in pages for shown in page.jobs}) == 250
    begun = [shown.submitted_at or "" for page in pages for shown in page.jobs]
    assert begun == sorted(begun, reverse=True)


@pytest.mark.parametrize(("page", "shown"), [(0, 1), (-3, 1), (9, 2)])
def test_a_page_that_does_not_exist_is_the_nearest_one(page: int, shown: int) -> None:
    assert jobs_page(jobs_of(120, 3).values(), page=page).page == shown


def test_a_filter_counts_all_jobs_and_shows_those_that_fit() -> None:
    jobs = [
        job(1, 0, 60),
        job(2, 0, 60, "Failed", failed=400, message="The role cannot be assumed"),
        job(3, 0, 60, "InProgress"),
        ANNOUNCED_JOB,
    ]
    counts = {"Completed": 1, "Failed": 1, "InProgress": 1, ANNOUNCED: 1}
    for status, names in {
        "": {"j1", "j2", "j3", "j99"},
        "Failed": {"j2"},
        "active": {"j3", "j99"},
        ANNOUNCED: {"j99"},
        "Expired": set(),
    }.items():
        found = jobs_page(jobs, status)
        assert {shown.name for shown in found.jobs} == names, status
        assert (found.counts, found.found, found.pages) == (counts, len(names), 1)
    assert [shown.name for shown in jobs_page(jobs, text="ROLE cannot").jobs] == ["j2"]
    assert [shown.name for shown in jobs_page(jobs, text="00003").jobs] == ["j3"]


def test_jobs_are_sorted_as_asked() -> None:
    jobs = [job(1, 50, 10, failed=2), job(2, 0, 99, failed=9), job(3, 70, 30, failed=0)]
    jobs[2] = replace(jobs[2], shard_id="shard-00000-00")
    for order, names in {
        "newest": ["j3", "j1", "j2"],
        "oldest": ["j2", "j1", "j3"],
        "longest": ["j2", "j3", "j1"],
        "most failed records": ["j2", "j1", "j3"],
        "shard": ["j3", "j1", "j2"],
    }.items():
        assert [shown.name for shown in jobs_page(jobs, order=order).jobs] == names, order
    with pytest.raises(ConfigError, match=r"sort=cost: jobs can be sorted by newest, "):
        jobs_page(jobs, order="cost")


def test_a_job_has_its_objects_with_their_sizes(tmp_path: Path) -> None:
    """And an input that is gone is named."""
    fake = FakeRun(tmp_path, [150, 150])
    fake.put_shard(0)
    fake.put_answers(0, answered=[0, 1])
    fake.advance()
    jobs = {each.shard_id: each for each in fake.controller.jobs.values()}
    first, second = (jobs[shard.shard_id] for shard in fake.manifest.shards)
    found = objects_of_job(fake.run.storage, fake.manifest, first)
    (read,), (written,) = found.inputs, found.outputs
    assert (read.key, read.expected, read.is_text) == (fake.manifest.shards[0].key, 150, True)
    assert read.size == (tmp_path / read.key).stat().st_size
    assert written.key.endswith("/abc/shard-00000-00.jsonl.out")
    assert not found.has_more
    (missing,) = objects_of_job(fake.run.storage, fake.manifest, second).inputs
    assert (missing.key, missing.size) == (fake.manifest.shards[1].key, None)


def test_the_head_of_an_output_is_text_with_a_limit(tmp_path: Path) -> None:
    storage = LocalStorage(str(tmp_path))
    key = "output/shard-00000-00/a1-x/job/shard.jsonl.out"
    lines = [f'{{"recordId":"R{n}","modelOutput":{{"image":"{"A" * 300}"}}}}' for n in range(9)]
    storage.write(key, ("\n".join(lines) + "\n").encode())
    whole = head_of(storage, key)
    assert whole.is_whole
    assert len(whole.lines) == 9
    assert '"recordId": "R8"' in whole.lines[8]
    assert "characters more" in whole.lines[8]
    part = head_of(storage, key, most=1000)
    assert not part.is_whole
    assert part.size == whole.size
    assert len(part.lines) == 3


@pytest.mark.parametrize(
    "key",
    [
        "../secret.jsonl",
        "output/../../secret.jsonl",
        "output/./x.jsonl",
        "/etc/passwd",
        "run.json",
        "results/shard-00000-00.parquet",
        "output//x.jsonl",
    ],
)
def test_nothing_but_lines_of_the_run_folder_is_shown(key: str, tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text("{}")
    run = tmp_path / "run"
    (run / "output").mkdir(parents=True)
    (run / "output" / "x.jsonl").write_text("{}")
    (run / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match="only objects of lines below shards/, remainders/"):
        head_of(LocalStorage(str(run)), key)


def test_an_object_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"output/x.jsonl: there is no such object"):
        head_of(LocalStorage(str(tmp_path)), "output/x.jsonl")
