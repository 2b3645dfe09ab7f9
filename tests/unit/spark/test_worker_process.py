"""What a Python worker exempts from garbage collection, and does not import."""

from __future__ import annotations

import gc
import subprocess
import sys
from types import SimpleNamespace

import pyarrow as pa
import pytest

from bedrock_spark.spark import worker_process
from bedrock_spark.spark.worker_process import exempt_modules_from_gc


@pytest.fixture
def freezes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count instead of freezing: what this process has must stay collectable."""
    taken: list[int] = []
    fake = SimpleNamespace(freeze=lambda: taken.append(1), get_freeze_count=lambda: len(taken))
    monkeypatch.setattr(worker_process, "gc", fake)
    return taken


def test_a_worker_exempts_once(freezes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What its tasks make is never exempt."""
    monkeypatch.setattr(worker_process.TaskContext, "get", staticmethod(lambda: object()))
    exempt_modules_from_gc()
    exempt_modules_from_gc()
    assert freezes == [1]


def test_other_processes_are_left_alone(freezes: list[int]) -> None:
    """Tasks that a test or a driver calls itself exempt nothing of its process."""
    exempt_modules_from_gc()
    assert freezes == []
    assert gc.get_freeze_count() == 0


_IN_A_WORKER = """
import importlib.util, math, sys
import json as any_module
import pyarrow as pa
from bedrock_spark.spark import worker_process
worker_process.TaskContext.get = {context}
worker_process.keep_pandas_out()
assert pa.array(["a", None, 1.5][:2]).null_count == 1
worker_process.keep_pandas_out()  # a second task
print("pandas" in sys.modules)
assert importlib.util.find_spec("pandas").origin.endswith("__init__.py")
import pandas as pd
names = [type(finder).__name__ for finder in sys.meta_path]
assert sys.meta_path and "_LatePandas" not in names, names
assert type(pd.__loader__) is type(pd.__spec__.loader) is type(any_module.__loader__)
missing = pd.Series([1.0, math.nan])
{first}
assert pa.Array.from_pandas(missing).null_count == 1
assert pa.array([1, None]).to_pandas().isna().sum() == 1
assert pa.array(missing, from_pandas=True).null_count == 1
assert pa.array(pd.Series(["a"], dtype="string")).to_pylist() == ["a"]
"""


# What is the first that a task makes of objects of pandas. Each alone: some let pyarrow look for
# pandas by themselves.
_FIRST = (
    "assert pa.Array.from_pandas(missing, mask=missing.isnull(), type=pa.int64()).null_count == 1",
    'assert str(pa.array(pd.Series(["a"], dtype="category")).type).startswith("dictionary")',
    "assert pa.array([1, None]).to_pandas().isna().sum() == 1",
)


@pytest.mark.parametrize(
    ("context", "has_pandas", "first"),
    [*(("object", "False", first) for first in _FIRST), ("lambda: None", "True", _FIRST[0])],
)
def test_arrays_in_a_worker_do_not_import_pandas(context: str, has_pandas: str, first: str) -> None:
    """A later task of the worker that uses pandas gets the same arrays as without us."""
    script = _IN_A_WORKER.format(context=context, first=first)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Before version 18, pyarrow looks for pandas each time.
    looks_once = int(pa.__version__.split(".")[0]) >= 18
    assert done.stdout.split() == [has_pandas if looks_once else "True"]
