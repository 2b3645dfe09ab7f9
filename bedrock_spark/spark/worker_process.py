"""The Python process of an executor: its garbage, its freed memory, and what it does not import.

Spark's daemon calls `gc.collect()` after each task of a worker that it will use again
(`worker` in https://github.com/apache/spark/blob/v4.0.0/python/pyspark/daemon.py). That visits each
object of all imported modules: 60 ms of CPU a task, however little the task did. So what
lives as long as the process is not searched.

Memory that a process gets from the system costs CPU at its first use: some microseconds per page.
So a task that makes arrays of a megabyte for each slice of rows must get the same memory again.
glibc gives it back to the system as soon as 128 kB are free at the end of the heap, or twice the
largest mapped block that the process has freed, up to 64 MB (M_TRIM_THRESHOLD in mallopt(3)).

But glibc has such memory for many threads: up to eight arenas per core (M_ARENA_MAX in mallopt(3)).
The threads that read ahead and upload would each keep some, 18 MB together. They need no arenas of
their own: one of them at a time runs Python.

pyarrow imports pandas when it makes its first array of Python values, to know the types of pandas.
That takes 55 MB and half a second of CPU, and no task of ours needs it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pyarrow as pa
from pyspark import TaskContext

_PANDAS = "pandas"
# A worker keeps at most twice as much freed memory for its next slice of rows.
_REUSED_BYTES = 8_000_000
# M_ARENA_MAX of <malloc.h>, and how many arenas all threads share.
_M_ARENA_MAX, _ARENAS = -8, 2
# The process that is set up, if it is one. A process that it starts by a fork is another.
_SET_UP: list[int] = []


def set_up_worker() -> None:
    """Set this worker up for a task of ours; call it before the work.

    By then a worker has imported its modules, and has made no garbage of its own: it exempts what
    it has from garbage collection. It does this once, and notes that itself: to count what is
    exempt takes 11 ms. Outside of a worker nothing is done.
    """
    if TaskContext.get() is None or os.getpid() in _SET_UP:
        return
    _SET_UP.append(os.getpid())
    _share_arenas()
    _keep_freed_memory()
    gc.freeze()


def _share_arenas() -> None:
    """Let all threads take memory from a few arenas. Only glibc has them."""
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, _ARENAS)


def _keep_freed_memory() -> None:
    """Let this process keep some freed memory and use it again.

    glibc learns how much from the largest block that the process frees. Other allocators do not.
    The memory of this block is never used, so the system never gives it.
    """
    np.empty(_REUSED_BYTES, np.uint8)


def keep_pandas_out() -> None:
    """Let pyarrow find no pandas in this worker, until somebody imports it there.

    pyarrow looks for it once; before version 18 it does each time, and imports pandas after all. If
    it finds none, a Series is any sequence to it, and it refuses a
    mask, or forgets categories. So when a later task of this worker imports pandas, pyarrow looks
    again, and the task gets the same arrays as without us. Outside of a worker nothing is done.
    """
    if TaskContext.get() is None or _PANDAS in sys.modules:
        return
    if any(isinstance(finder, _LatePandas) for finder in sys.meta_path):
        return  # an earlier task of this worker
    finder = _LatePandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(0)
    finally:
        finder.is_hidden = False


class _LatePandas:
    """A finder of modules that hides pandas, and later leads to what the other finders find.

    is_hidden: whether there is no pandas
    """

    def __init__(self) -> None:
        self.is_hidden = True

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ModuleNotFoundError for pandas while it is hidden; know no other module."""
        if name != _PANDAS:
            return None
        if self.is_hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((each for each in found if each is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _PandasLoader(spec.loader, self)
        return spec


class _PandasLoader(Loader):
    """Loads pandas as its own loader does, and then lets pyarrow look for it again."""

    def __init__(self, loader: Loader, finder: _LatePandas) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module that the loader of pandas makes; None lets Python make it."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run pandas. The module has its own loader from now on."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        # pyarrow refuses a pandas that is too old for it, which is no error of the import.
        with suppress(ImportError):
            pa.nulls(0).to_pandas()
