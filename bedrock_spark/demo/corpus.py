"""The demo's table: the documentation of Python's standard library, one row per documented name.

Real text on every machine and no download: about 6,500 rows, 1.3 million characters, from one
word to several pages. The text is read by `stdlib_docs.py` in an interpreter of its own, so this
process imports none of the modules it has rows about.
"""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_spark.demo import stdlib_docs

CORPUS_SCHEMA = pa.schema(
    [
        pa.field("qualified_name", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("module", pa.string(), nullable=False),
        pa.field("docstring", pa.string(), nullable=False),
    ]
)

_WALK_TIMEOUT_SECONDS = 120  # it takes one; a slow disk and a cold cache may take ten


def build_corpus() -> pa.Table:
    """Read the standard library's documentation into a table, sorted by name.

    Columns, all strings and never null: `qualified_name` (unique: the key), `kind` (module,
    class, function, method or property), `module`, `docstring`. Two calls under one interpreter
    give equal tables. Raises subprocess.SubprocessError if the interpreter cannot be run.
    """
    # -I and -S leave out the environment, the working folder and site-packages, so that only the
    # standard library can be imported and PYTHONOPTIMIZE cannot strip its docstrings.
    command = [sys.executable, "-I", "-S", "-W", "ignore", stdlib_docs.__file__]
    child = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=_WALK_TIMEOUT_SECONDS,
        check=True,
    )
    columns = zip(*json.loads(child.stdout), strict=True)
    return pa.table([pa.array(column) for column in columns], schema=CORPUS_SCHEMA)


def write_corpus(path: Path) -> int:
    """Write the corpus as one Parquet file, creating its folder, and return its number of rows."""
    table = build_corpus()
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return int(table.num_rows)
