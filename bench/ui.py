"""Measure the pages of `bedrock-spark ui`: the rows of a run, and one record, on a local folder.

    python bench/ui.py [--rows 100000] [--shards 100000]

The goals: a first page in less than 1 s, a record of a run of 100,000 rows in less than 0.5 s. A
run of a thousand times as many shards shall show a page as fast, once its counts are read. Requests
go to the app itself, without HTTP. A figure is the median of several requests; each is for another
record, or another process's first. Prints one JSON object per line: `{name, value, unit, goal,
better, detail}`.
"""

from __future__ import annotations

import argparse
import os
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
from common.looked_at import collected_run, run_of_many_shards, shards_with_errors

from bedrock_spark.run_folder import layout
from bedrock_spark.ui.app import create_app
from bedrock_spark.ui.guard import cookie_name
from bedrock_spark.ui.settings import UiSettings

ROWS, SHARDS, FEW = 100_000, 100_000, 10
FIRST_PAGE, RECORD, TIMES, MEMORY = 1.0, 0.5, 1.5, 200.0
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


def open_wholly(client: FlaskClient, uri: str) -> None:
    """Ask for the rows of a run until they are there."""
    while "The run is being read" in get(client, "/run/records", uri):
        pass


def resident_megabytes() -> float:
    """Return the resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


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
    # What a user waits for is the first page, which comes before all counts are read.
    first = timed(lambda: get(new_client(), "/run/records", uris[shards]))
    report("ui_first_page_of_shards", first, "s", FIRST_PAGE, "lower", shards=shards)
    before = resident_megabytes()
    opened = {n: timed(lambda n=n: open_wholly(client, uris[n])) for n in uris}
    grown = resident_megabytes() - before
    report("ui_open_shards", opened[shards], "s", None, "lower", shards=shards)
    report("ui_open_memory", grown, "MB", MEMORY, "lower", shards=shards)
    places = [f"{layout.shard_id(n, 0)}.0.500" for n in shards_with_errors(shards, ERRORS)]
    deep = median(
        lambda at=at: get(client, "/run/records", uris[shards], at=at) for at in places * 5
    )
    report("ui_any_page", deep, "s", FIRST_PAGE, "lower", shards=shards, places=places)
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
