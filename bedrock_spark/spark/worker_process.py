"""The Python process of an executor: what lives as long as it is not searched for garbage.

Spark's daemon calls `gc.collect()` after each task of a worker that it will use again
(`worker` in https://github.com/apache/spark/blob/v4.0.0/python/pyspark/daemon.py). That visits each
object of all imported modules: 60 ms of CPU a task, however little the task did.

pyarrow imports pandas when it makes its first array of Python values, to know the types of pandas.
That takes 55 MB and half a second of CPU, and no task of ours needs it.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

import pyarrow as pa
from pyspark import TaskContext

_PANDAS = "pandas"


def exempt_modules_from_gc() -> None:
    """Exempt from garbage collection what this worker has by now, once; call it before the work.

    By then a worker has imported its modules, and has made no garbage of its own. Outside of a
    worker nothing is done.
    """
    if TaskContext.get() is not None and not gc.get_freeze_count():
        gc.freeze()


def keep_pandas_out() -> None:
    """Let pyarrow find no pandas in this worker, unless it is imported already.

    pyarrow looks for it once, and again if something is to become an object of pandas. So a later
    task of this worker that does use pandas works as ever. Outside of a worker nothing is done.
    """
    if TaskContext.get() is None or _PANDAS in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    """A finder of modules for which there is no pandas."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        """Raise ModuleNotFoundError for pandas; leave other modules to other finders."""
        if name == _PANDAS:
            raise ModuleNotFoundError(name)
