"""Measure what a lookup in the store of answers adds to prepare.

    python bench/answers.py [--rows 1000000] [--kept 10000000] [--known 0.99] [--rounds 3]

Prepare with a lookup of every row and prepare without it take turns. The figure is the CPU time
that the lookup adds, by the CPU time without it: seconds of a loaded machine mean little. Also
reported: the same with no row known, and the memory of a worker with a tenth of the kept answers
and with all.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from common.corpus import write_corpus
from common.figures import report
from common.prepared import bench_config, prepare_corpus
from common.scale import scale_run, scaled
from common.spark_session import bench_session
from common.versus import Programs, Rounds
from pyspark.sql import SparkSession

from bedrock_spark.answers.digest import asking_of, request_digest
from bedrock_spark.answers.store import HIGHEST, LOWEST, begin_store
from bedrock_spark.answers.table import SCHEMA, write_answers
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.shards.record_ids import body_hash
from bedrock_spark.spark.prepare.stage import prepare
from bedrock_spark.storage import LocalStorage
from tests.models import CLAUDE

ROWS, KEPT, KNOWN, ROUNDS = 1_000_000, 10_000_000, 0.99, 3
GOAL, MEMORY_GOAL = 0.5, 1.1
_PER_FILE = 1_500_000
_ANSWERED_AT = 1_790_000_000_000_000

Body = tuple[int, str]


def with_store(corpus: Path, folder: Path, store: Path, mode: str = "read_write") -> Config:
    values = bench_config(corpus, folder).model_dump(mode="json", exclude_unset=True)
    return Config.model_validate({**values, "answers": {"uri": str(store), "mode": mode}})


def prepare_with(
    spark: SparkSession, corpus: Path, folder: Path, store: Path, mode: str = "read_write"
) -> RunManifest:
    """Prepare a corpus in a folder with a store, after deleting that folder."""
    shutil.rmtree(folder, ignore_errors=True)
    return prepare(spark, open_run(with_store(corpus, folder, store, mode), SystemClock()))


def bodies_of(spark: SparkSession, corpus: Path, home: Path) -> list[Body]:
    """Return hash and digest of what each row of a corpus asks."""
    folder = home / "asked"
    manifest = prepare_with(spark, corpus, folder, home / "no-store")
    context = asking_of(with_store(corpus, folder, home / "no-store")).context(CLAUDE)
    found: list[Body] = []
    for shard in manifest.shards:
        with (folder / shard.key).open("rb") as lines:
            for line in lines:
                body = line[line.index(b'"modelInput":') + len(b'"modelInput":') : -2]
                digest = request_digest(hashlib.sha256(body).digest(), context)
                found.append((body_hash(body), digest))
    shutil.rmtree(folder)
    return found


def write_store(store: Path, known: list[Body], kept: int) -> int:
    """Write a store of `kept` answers, among them those to known bodies; return its bytes."""
    storage = LocalStorage(str(store))
    begin_store(storage)
    random = np.random.default_rng(5)
    files = -(-kept // _PER_FILE)
    hashes = np.array([one for one, _ in known], np.int64)
    digests = pa.array([digest for _, digest in known], pa.string())
    order = np.argsort(hashes)
    hashes, digests = hashes[order], digests.take(pa.array(order))
    edges = [LOWEST + ((HIGHEST - LOWEST) * number // files) for number in range(files + 1)]
    size = 0
    for number in range(files):
        start, stop = np.searchsorted(hashes, edges[number : number + 2])
        others = (kept - len(known)) // files
        made = random.integers(edges[number], edges[number + 1], others, np.int64)
        own = np.concatenate([hashes[start:stop], made])
        own_digests = pa.concat_arrays([digests[start:stop], _hexadecimal(random, others, 32)])
        rows = _rows(random, own, own_digests)
        file = write_answers(storage, 1_790_000_000, "bench", number, rows)
        size += file.size if file is not None else 0
    return size


def _hexadecimal(random: np.random.Generator, count: int, size: int) -> pa.Array:
    text = random.bytes(count * size).hex().encode()
    offsets = np.arange(0, len(text) + 1, 2 * size, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), count, buffers)


def _rows(
    random: np.random.Generator, hashes: npt.NDArray[np.int64], digests: pa.Array
) -> Iterator[pa.RecordBatch]:
    """Yield answers of Claude in the order of hashes; each has an id of its own."""
    order = np.argsort(hashes, kind="stable")
    labels = pa.array(["bug", "question", "wish"])
    for start in range(0, len(order), 50_000):
        chosen = order[start : start + 50_000]
        rows = len(chosen)
        words = labels.take(pa.array(random.integers(0, 3, rows)))
        ids, tokens = _hexadecimal(random, rows, 12), random.integers(60, 400, rows)
        output = pc.binary_join_element_wise(
            *('{"id":"msg_bdrk_', ids, '","type":"message","role":"assistant","model":"'),
            *(CLAUDE, '","content":[{"type":"text","text":"', words, '"}],"stop_reason":'),
            '"end_turn","stop_sequence":null,"usage":{"input_tokens":',
            *(pa.array(tokens).cast(pa.string()), ',"output_tokens":4}}', ""),
        )
        columns = {
            "body_hash": pa.array(hashes[chosen]),
            "request_digest": digests.take(pa.array(chosen)),
            "answered_at": pa.array(np.full(rows, _ANSWERED_AT), pa.timestamp("us", "UTC")),
            "outcome": pa.array(["ok"] * rows),
            "model_id": pa.array([CLAUDE] * rows),
            "run_id": pa.array(["bench-00000000"] * rows),
            "record_id": _hexadecimal(random, rows, 5),
            "served_by": pa.array(["batch"] * rows),
            "input_tokens": pa.array(tokens),
            "output_tokens": pa.array(np.full(rows, 4)),
            "cost_usd": pa.array(np.full(rows, 0.0001)),
            "model_output": output,
        }
        arrays = [columns[name] for name in SCHEMA.names]
        yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def compare(
    spark: SparkSession, home: Path, corpus: Path, store: Path, rounds: int, **detail: object
) -> None:
    """Report what a lookup adds, in turns with prepare without it.

    The figure with a goal compares with `answers.mode: refresh`: the same prepare by the hashes of
    bodies, without the lookup. The other one compares with prepare by the hashes of keys.
    """
    kept = 0

    def in_mode(mode: str) -> None:
        nonlocal kept
        kept = prepare_with(spark, corpus, home / "with", store, mode).kept_rows

    programs: Programs = {
        "by_key": lambda: prepare_corpus(spark, corpus, home / "without"),
        "by_body": lambda: in_mode("refresh"),
        "with_lookup": lambda: in_mode("read_write"),
    }
    taken = Rounds.of(programs, rounds)
    for name, base, goal in (
        ("answers_lookup", "by_body", GOAL),
        ("answers_lookup_and_body_hashes", "by_key", None),
    ):
        pairs = zip(taken.cpu[base], taken.cpu["with_lookup"], strict=True)
        ratios = [after / before - 1 for before, after in pairs]
        report(
            *(name, statistics.median(ratios), "ratio", goal, "lower"),
            **detail,
            rows_known=kept,
            ratios=[round(ratio, 3) for ratio in ratios],
            cpu_seconds={each: [round(s, 2) for s in own] for each, own in taken.cpu.items()},
            seconds={each: [round(s, 2) for s in own] for each, own in taken.seconds.items()},
        )


def memory(home: Path, corpus: Path, few: Path, many: Path, kept: int) -> None:
    """Report how the memory of a worker grows with ten times the kept answers."""
    once, more = (scaled(__file__, corpus, store, home / "memory") for store in (few, many))
    report(
        "answers_lookup_worker_memory",
        more["worker"] / once["worker"],
        "ratio",
        MEMORY_GOAL,
        "lower",
        kept=[kept // 10, kept],
        megabytes=[round(f["worker"]) for f in (once, more)],
        driver_megabytes=[round(f["driver"]) for f in (once, more)],
        jvm_megabytes=[round(f["jvm"]) for f in (once, more)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--kept", type=int, default=KEPT)
    parser.add_argument("--known", type=float, default=KNOWN, help="share of the rows")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--scale-run", nargs=3, metavar=("CORPUS", "STORE", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.scale_run:
        corpus, store, folder = map(Path, arguments.scale_run)
        scale_run(lambda spark: None, lambda spark: prepare_with(spark, corpus, folder, store))
        return
    rows, kept = arguments.rows, arguments.kept
    with tempfile.TemporaryDirectory(prefix="bench-answers-") as name:
        home = Path(name)
        corpus, few, many, none = (home / part for part in ("corpus", "few", "many", "none"))
        write_corpus(corpus, rows)
        with bench_session() as spark:
            bodies = bodies_of(spark, corpus, home)
            known = bodies[: round(len(bodies) * arguments.known)]
            size = write_store(many, known, max(kept, len(known)))
            sizes = {"rows": rows, "kept": kept, "store_megabytes": round(size / 1e6)}
            compare(spark, home, corpus, many, arguments.rounds, **sizes)
            write_store(none, [], kept)
            compare(spark, home, corpus, none, 1, **sizes)
            shutil.rmtree(none)
        write_store(few, known[: kept // 10], kept // 10)
        memory(home, corpus, few, many, kept)


if __name__ == "__main__":
    main()
