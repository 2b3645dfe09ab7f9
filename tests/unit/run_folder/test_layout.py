"""The paths in a run folder."""

from __future__ import annotations

import re

import pytest

from bedrock_spark.aws.s3_uri import S3Location, join_uri, parse_s3_uri
from bedrock_spark.limits import S3_URI
from bedrock_spark.run_folder import layout

SHARD = layout.shard_id(42, 3)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (layout.config_key(1), "config/0001.json"),
        (layout.shard_key(SHARD, "0a1b2c3d4e5f"), "shards/0a1b2c3d4e5f/shard-00042-03.jsonl"),
        (
            layout.file_key(layout.shard_folder(SHARD, "0a1b2c3d4e5f"), 7),
            "shards/0a1b2c3d4e5f/shard-00042-03/file-07.jsonl",
        ),
        (layout.index_key(SHARD, "0a1b2c3d4e5f"), "index/0a1b2c3d4e5f/shard-00042-03.idx"),
        (layout.rows_key(SHARD, "0a1b2c3d4e5f"), "rows/0a1b2c3d4e5f/shard-00042-03.parquet"),
        (layout.rejects_key(7, "0a1b2c3d4e5f"), "rejects/0a1b2c3d4e5f/bucket-00007.parquet"),
        (layout.ledger_key(17), "ledger/000000017.jsonl"),
        (layout.outputs_prefix(SHARD), "output/shard-00042-03/"),
        (layout.attempt_prefix(SHARD, 2, "0a1b2c3d"), "output/shard-00042-03/a2-0a1b2c3d/"),
        (layout.snapshot_key(500), "snapshots/000000500.jsonl"),
        (layout.remainder_key(SHARD, 2), "remainders/shard-00042-03/a2.jsonl"),
        (layout.remainder_folder(SHARD, 2, "0a1b"), "remainders/shard-00042-03/a2-0a1b/"),
        (layout.fallback_prefix(SHARD), "fallback/shard-00042-03/"),
        (layout.fallback_key(SHARD, "p1"), "fallback/shard-00042-03/p1.jsonl.out"),
        (layout.tasks_prefix("0a1b"), "tasks/0a1b/"),
        (layout.ended_task_key("0a1b"), "tasks/0a1b/ended"),
        (layout.claim_key("0a1b", "2c3d"), "claims/0a1b/2c3d.json"),
        (layout.round_key("0a1b"), "claims/0a1b/round"),
        (layout.cost_profile_key("0a1b2c3d4e5f", 2), "cost-profiles/0a1b2c3d4e5f-0002.json"),
        (layout.probe_key("0a1b", "driver"), "probe/0a1b/driver"),
        (layout.doctor_key(1.8e9, "0a1b"), "probe/doctor/001800000000-0a1b"),
        (layout.deadletters_key(SHARD), "deadletters/shard-00042-03.parquet"),
        (layout.results_key("rejects-00007"), "results/rejects-00007.parquet"),
        (layout.reconciliation_key(SHARD), "reconciliation/shard-00042-03.json"),
    ],
)
def test_every_path_is_as_documented_and_accepted_by_bedrock(key: str, path: str) -> None:
    """Later versions read the run folder, and its paths become S3 URIs of jobs."""
    assert key == path
    assert S3_URI.fullmatch(f"s3://bucket/run/{key}")


def test_the_output_of_an_attempt_is_below_the_prefix_of_its_shard() -> None:
    """Collect lists one prefix per shard, and must find every attempt and no other shard."""
    prefix = layout.outputs_prefix(layout.shard_id(4, 1))
    assert layout.attempt_prefix(layout.shard_id(4, 1), 1, "d").startswith(prefix)
    assert not layout.attempt_prefix(layout.shard_id(4, 11), 1, "d").startswith(prefix)


def test_every_file_of_a_prepare_is_in_one_of_its_folders() -> None:
    """Whoever deletes these folders deletes all that one prepare wrote, and nothing else."""
    own, other = layout.new_prepare_id(), layout.new_prepare_id()
    assert own != other
    assert re.fullmatch("[0-9a-f]{12}", own)
    named = (layout.shard_key, layout.index_key, layout.rows_key)
    keys = (*(key(SHARD, own) for key in named), layout.rejects_key(7, own))
    for key in keys:
        assert key.startswith(layout.prepared_prefixes(own))
        assert not key.startswith(layout.prepared_prefixes(other))


def test_ledger_keys_sort_by_number() -> None:
    """Listings are sorted by key; the ledger is replayed in that order."""
    keys = [layout.ledger_key(n) for n in (1, 2, 9, 10, 99, 100, 123456)]
    assert keys == sorted(keys)


def test_the_docstring_draws_every_folder() -> None:
    """Each has a line in the drawing."""
    drawn = set(re.findall(r"<run uri>/([a-z]+)/", layout.__doc__ or ""))
    assert drawn == {
        layout.CONFIGS,
        layout.SHARDS,
        layout.INDEX,
        layout.ROWS,
        layout.REJECTS,
        layout.KEPT,
        layout.LEDGER,
        layout.SNAPSHOTS,
        layout.REMAINDERS,
        layout.OUTPUT,
        layout.FALLBACK,
        layout.RESULTS,
        layout.RECONCILIATION,
        layout.TASKS,
        layout.CLAIMS,
        layout.DEADLETTERS,
        layout.PARTIAL,
        layout.PROVISIONED,
        layout.PROBE,
    }


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://bucket", S3Location("bucket", "")),
        ("s3://bucket/run", S3Location("bucket", "run")),
        ("s3://bucket/a/b/c", S3Location("bucket", "a/b/c")),
    ],
)
def test_an_s3_uri_is_split_at_the_first_slash(uri: str, location: S3Location) -> None:
    """The other slashes belong to the key."""
    assert parse_s3_uri(uri) == location


def test_join_uri_never_doubles_a_slash() -> None:
    """Bedrock refuses `//`."""
    assert join_uri("s3://b/r/", "x/y") == join_uri("s3://b/r", "x/y") == "s3://b/r/x/y"
