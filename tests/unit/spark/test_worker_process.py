"""What a Python worker exempts from garbage collection, which memory it keeps, what it imports."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from bedrock_spark.spark import worker_process
from bedrock_spark.spark.worker_process import set_up_worker


@pytest.fixture
def freezes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count instead of freezing: what this process has must stay collectable."""
    taken: list[int] = []
    fake = SimpleNamespace(freeze=lambda: taken.append(1))
    monkeypatch.setattr(worker_process, "gc", fake)
    monkeypatch.setattr(worker_process, "_SET_UP", [])
    return taken


def test_a_worker_exempts_once(freezes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What its tasks make is never exempt. A process that is forked from it is another worker."""
    monkeypatch.setattr(worker_process.TaskContext, "get", staticmethod(lambda: object()))
    set_up_worker()
    set_up_worker()
    assert freezes == [1]
    monkeypatch.setattr(worker_process.os, "getpid", lambda: -1)
    set_up_worker()
    assert freezes == [1, 1]


def test_other_processes_are_left_alone(freezes: list[int]) -> None:
    """Tasks that a test or a driver calls itself exempt nothing of its process."""
    set_up_worker()
    assert freezes == []
    assert gc.get_freeze_count() == 0


_FAULTS = """
import resource
import numpy as np
from bedrock_spark.spark import worker_process

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def slice_of_rows():
    return [np.ones(1_200_000, np.uint8) for _ in range(5)]

worker_process.TaskContext.get = {context}
worker_process.set_up_worker()
slice_of_rows()
before = faults()
for _ in range(20):
    slice_of_rows()
print((faults() - before) // 20)
"""
_ARENAS = """
import ctypes
import threading
from bedrock_spark.spark import worker_process

worker_process.TaskContext.get = {context}
worker_process.set_up_worker()
all_hold = threading.Barrier(12)

def hold():
    held = bytearray(100_000)
    all_hold.wait()

threads = [threading.Thread(target=hold) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have no arenas")
def test_the_threads_of_a_worker_share_two_arenas() -> None:
    """Each arena would keep freed memory. Without us, there are more."""
    arenas = {}
    # The user's MALLOC_ARENA_MAX would hide the difference.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    for context in ("object", "lambda: None"):
        command = [sys.executable, "-c", _ARENAS.format(context=context)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        arenas[context] = sum(line.startswith("Arena ") for line in done.stderr.splitlines())
    assert arenas["object"] <= 2 < arenas["lambda: None"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have other rules")
def test_a_worker_uses_freed_memory_again() -> None:
    """A slice of rows has 6 MB of arrays, which are 1,465 pages of 4 kB if all are new."""
    faults = {}
    for context in ("object", "lambda: None"):
        script = _FAULTS.format(context=context)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        faults[context] = int(done.stdout)
    assert faults["object"] < 50
    if not (_HUGE_PAGES.exists() and "[always]" in _HUGE_PAGES.read_text()):
        assert faults["lambda: None"] > 300


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
