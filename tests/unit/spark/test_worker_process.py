"""What a Python worker exempts from garbage collection, and does not import."""

from __future__ import annotations

import gc
import subprocess
import sys
from types import SimpleNamespace

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
import math, sys
import pyarrow as pa
from bedrock_spark.spark import worker_process
worker_process.TaskContext.get = {context}
worker_process.keep_pandas_out()
assert pa.array(["a", None, 1.5][:2]).null_count == 1
assert sys.meta_path and not any(f is worker_process._NoPandas for f in sys.meta_path)
print("pandas" in sys.modules)
import pandas as pd
missing = pd.Series([1.0, math.nan])
assert pa.Array.from_pandas(missing).null_count == 1
assert pa.array([1, None]).to_pandas().isna().sum() == 1
assert pa.array(missing, from_pandas=True).null_count == 1
assert pa.array(pd.Series(["a"], dtype="string")).to_pylist() == ["a"]
"""


@pytest.mark.parametrize(("context", "has_pandas"), [("object", "False"), ("lambda: None", "True")])
def test_arrays_in_a_worker_do_not_import_pandas(context: str, has_pandas: str) -> None:
    """A later task of the worker that uses pandas gets the same arrays as without us."""
    script = _IN_A_WORKER.format(context=context)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [has_pandas]
