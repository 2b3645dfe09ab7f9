"""Measure the pages of `bedrock-spark ui`: the rows of a run, and one record, on a local folder.

    python bench/ui.py [--rows 100000] [--shards 10000]

The goals: a first page in less than 1 s, a record of a run of 100,000 rows in less than 0.5 s. A
run of a thousand times as many shards shall show a page as fast, once its counts are read. Requests
go to the app itself, without HTTP. A figure is the median of several requests; each is for another
record, or another process's first. Prints one JSON object per line: `{name, value, unit, goal,
better, detail}`.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flask.testing import FlaskClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from common.corpus import write_corpus
from common.figures import report
from common.looked_at import collected_run, run_of_many_shards

from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.guard import cookie_name
from bedrock_spark.ui.settings import UiSettings

ROWS, SHARDS, FEW = 100_000, 10_000, 10
FIRST_PAGE, RECORD, TIMES = 1.0, 0.5, 1.5
REQUESTS = 15
ERRORS = 3
_TOKEN = "bench"


def new_client() -> FlaskClient:
    """Return a client of an app that has read nothing yet."""
    client = create_app(UiSettings(), _TOKEN).test_client()
    client.set_cookie(cookie_name(_TOKEN), _TOKEN, domain="localhost")
    return client


def get(client: FlaskClient, path: str, uri: str, **query: str) -> str:
    answer = client.get(path, query_string={"uri": uri, **query})
    assert answer.status_code == 200, answer.text
    return answer.text


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(works: Iterator[Callable[[], object]]) -> float:
    return statistics.median(timed(work) for work in works)


def measure_rows(uri: str, rows: int) -> None:
    """Report the pages of a run of many rows."""
    client = new_client()
    first = median(lambda: get(new_client(), "/run/records", uri) for _ in range(REQUESTS))
    report("ui_first_page", first, "s", FIRST_PAGE, "lower", rows=rows)
    places = re.findall(r"at=(shard-[0-9.-]+)", get(client, "/run/records", uri, sort="record_id"))
    chosen = list(dict.fromkeys(places))[:REQUESTS]
    record = median(lambda at=at: get(client, "/run/record", uri, at=at) for at in chosen)
    report("ui_record", record, "s", RECORD, "lower", rows=rows, records=len(chosen))
    deep = median(lambda at=at: get(client, "/run/records", uri, at=at) for at in chosen)
    report("ui_deep_page", deep, "s", FIRST_PAGE, "lower", rows=rows)
    for name, query in {
        "ui_text_page": {"text": "no such words"},
        "ui_sorted_shard": {"within": "shard-00000-00", "sort": "output_tokens"},
        "ui_sorted_sample": {"sort": "output_tokens"},
    }.items():
        seconds = median(
            lambda query=query: get(client, "/run/records", uri, **query) for _ in range(5)
        )
        report(name, seconds, "s", None, "lower", rows=rows)


def measure_shards(folder: Path, shards: int) -> None:
    """Report how the pages of a run of many shards compare with those of one with a few."""
    runs = {n: run_of_many_shards(folder / f"of-{n}", n, ERRORS) for n in (FEW, shards)}
    uris = {n: run.storage.uri for n, run in runs.items()}
    client = new_client()
    opened = {n: timed(lambda n=n: get(client, "/run/records", uris[n])) for n in uris}
    report("ui_open_shards", opened[shards], "s", None, "lower", shards=shards)
    found = {}
    for number, uri in uris.items():
        page = get(client, "/run/records", uri, outcome="error")
        assert page.count('class="tag bad"') == ERRORS, page
        found[number] = median(
            lambda uri=uri: get(client, "/run/records", uri, outcome="error")
            for _ in range(REQUESTS)
        )
    report(
        "ui_three_errors",
        found[shards] / found[FEW],
        "ratio",
        TIMES,
        "lower",
        shards=[FEW, shards],
        milliseconds=[round(1_000 * found[n], 1) for n in (FEW, shards)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--shards", type=int, default=SHARDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-ui-") as name:
        folder = Path(name)
        write_corpus(folder / "corpus", arguments.rows)
        run = collected_run(folder / "corpus", folder / "run", arguments.rows)
        measure_rows(run.storage.uri, arguments.rows)
        measure_shards(folder, arguments.shards)


if __name__ == "__main__":
    main()
