"""The demo's table: the documentation of Python's standard library, one row per documented name.

It is real text that is on every machine, without a download: about 6,500 rows and 1.3 million
characters, from one word to several pages per row. `stdlib_docs.py` reads it in a child
interpreter, so this process imports none of the documented modules.
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

_WALK_TIMEOUT_SECONDS = 120  # usually 1 s; up to 10 s with a slow disk and a cold cache


def build_corpus() -> pa.Table:
    """Read the standard library's documentation into a table, sorted by name.

    Columns, all strings and never null: `qualified_name` (unique: the key), `kind` (module,
    class, function, method or property), `module`, `docstring`. Two calls with one Python version
    return equal tables. Raises subprocess.SubprocessError if the child interpreter fails.
    """
    # -I and -S ignore environment variables, the working folder and site-packages: so only the
    # standard library can be imported, and PYTHONOPTIMIZE cannot remove its docstrings.
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
