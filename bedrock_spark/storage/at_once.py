"""Make several calls to a storage at once: a caller waits for the slowest, not for their sum.

Only calls whose order does not matter belong into one block: they may take effect in any order, and
all of them are made even if one fails. After an interrupt, those that have not begun are not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from bedrock_spark.storage.base import Storage
from bedrock_spark.storage.local import LocalStorage

_CALLS = 16

P = ParamSpec("P")
T = TypeVar("T")


class Calls:
    """Begins calls. `result` of what `begin` returns waits for one, and raises its error."""

    def __init__(self, pool: ThreadPoolExecutor | None) -> None:
        self._pool = pool

    def begin(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a call. Without threads it is made here and now."""
        if self._pool is not None:
            return self._pool.submit(call, *args, **kwargs)
        made: Future[T] = Future()
        try:
            made.set_result(call(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001 - `result` raises it, as that of a thread's call
            made.set_exception(exc)
        return made


@contextmanager
def calls_at_once(storage: Storage) -> Iterator[Calls]:
    """Provide a way to begin calls; all are over when the block ends.

    In a local folder they are made one after another: a thread would cost more than the call.
    """
    if isinstance(storage, LocalStorage):
        yield Calls(None)
        return
    pool = ThreadPoolExecutor(_CALLS, thread_name_prefix="at-once")
    try:
        try:
            yield Calls(pool)
        except Exception:
            pool.shutdown()  # as without an error: all calls are made
            raise
        pool.shutdown()
    except BaseException:
        # Who interrupts does not wait for hundreds of calls. Python would make them at its exit.
        pool.shutdown(cancel_futures=True)
        raise
