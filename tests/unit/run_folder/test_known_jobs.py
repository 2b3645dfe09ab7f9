"""A sum over jobs is that of the jobs that are known, whatever changed, and looks at no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bedrock_spark.run_folder.ledger import Job, KnownJobs, RunningSum

NAMES = st.integers(0, 5)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.integers(1, 100)),
        st.tuples(st.just("remove"), NAMES, st.just(0)),
        st.tuples(st.just("look"), st.just(0), st.just(0)),
    )
)


def numbered_job(number: int) -> Job:
    return Job(f"shard-{number:05d}-00", 1, f"job-{number}", "t")


def records_of(job: Job) -> int:
    return job.records or 0


@given(CHANGES)
def test_a_running_sum_is_the_sum(changes: list[tuple[str, int, int]]) -> None:
    """Jobs come, change and are withdrawn between two looks."""
    jobs, running, expected = KnownJobs(), RunningSum(records_of, 0), dict[str, int]()
    for change, number, records in [*changes, ("look", 0, 0)]:
        job = replace(numbered_job(number), records=records)
        if change == "put":
            jobs.put(job)
            expected[job.job_name] = records
        elif change == "remove" and job.job_name in jobs:
            assert jobs.remove(job.job_name).records == expected.pop(job.job_name)
        elif change == "look":
            assert running.over(jobs) == sum(expected.values())
            assert running.part_of(job.job_name) == expected.get(job.job_name, 0)
    assert {name: job.records for name, job in jobs.items()} == expected


def test_only_what_changed_is_looked_at() -> None:
    """So a thousand looks at a run of a thousand jobs cost a thousand parts, not a million."""
    seen: list[str] = []

    def part(job: Job) -> int:
        seen.append(job.job_name)
        return 1

    jobs, running = KnownJobs(), RunningSum(part, 0)
    for number in range(1_000):
        jobs.put(numbered_job(number))
        assert running.over(jobs) == number + 1
    assert len(seen) == len(set(seen)) == 1_000
    assert running.over(KnownJobs(jobs.values())) == 1_000
    assert len(seen) == 2_000


def test_a_job_that_is_not_known_cannot_be_removed() -> None:
    """It is an error of the caller."""
    with pytest.raises(KeyError):
        KnownJobs().remove("job")
