"""The Python process of an executor: what lives as long as it is not searched for garbage.

Spark's daemon calls `gc.collect()` after each task of a worker that it will use again
(`worker` in https://github.com/apache/spark/blob/v4.0.0/python/pyspark/daemon.py). That visits each
object of all imported modules: 60 ms of CPU a task, however little the task did.
"""

from __future__ import annotations

import gc

from pyspark import TaskContext


def exempt_modules_from_gc() -> None:
    """Exempt from garbage collection what this worker has by now, once; call it before the work.

    By then a worker has imported its modules, and has made no garbage of its own. Outside of a
    worker nothing is done.
    """
    if TaskContext.get() is not None and not gc.get_freeze_count():
        gc.freeze()
