"""Some records of a run with their prompts and answers, for a page that was asked to show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, zip_longest
from typing import Any

from bedrock_spark.browse.record import ids_with_outcome, show_record
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.page import Sample
from bedrock_spark.page.short_values import shortened_json
from bedrock_spark.run_folder.manifest import require_manifest
from bedrock_spark.run_folder.report_file import WAITING
from bedrock_spark.run_folder.run import Run


def samples_of(run: Run, report: Mapping[str, Any], most: int) -> list[Sample]:
    """Return up to `most` records, of each outcome in turn.

    report: as report.json holds it; reads results until each outcome in it has enough records
    Raises RunFolderError if a shard is not collected.
    """
    without = (REJECTED, WAITING)  # these have no record, or no result
    outcomes = [name for name, rows in report["outcomes"].items() if rows and name not in without]
    by_outcome = [[(i, o) for i in ids_with_outcome(run, o, most)] for o in outcomes]
    in_turn = (pair for pairs in zip_longest(*by_outcome) for pair in pairs if pair is not None)
    return [*_samples(run, islice(in_turn, most))]


def _samples(run: Run, pairs: Iterator[tuple[str, str]]) -> Iterator[Sample]:
    manifest = require_manifest(run.storage)
    for record_id, outcome in pairs:
        shown = show_record(run, manifest, record_id)
        replies = tuple(
            shortened_json(reply.output)
            if reply.output is not None
            else f"error {reply.error_code or ''}: {reply.error_message or 'without a message'}"
            for reply in shown.replies
        )
        request = shown.note if shown.request is None else shortened_json(shown.request)
        yield Sample(record_id, outcome, request, replies)
