"""Calls at once: none waits for another one, each is made, and errors come where results do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from bedrock_spark.errors import StorageError
from bedrock_spark.storage import LocalStorage, StoredObject, calls_at_once, scan_ahead

PAGE = 1_000


class Remote:
    """A store. Its listing of `objects` notes in `pages` which pages it has begun."""

    def __init__(self, objects: int = 0, fails_after: int | None = None) -> None:
        self.pages: list[int] = []
        self.begun = threading.Condition()
        self._objects = objects
        self._fails_after = fails_after

    def scan(self, prefix: str) -> Iterator[StoredObject]:
        for number in range(self._objects):
            if number == self._fails_after:
                raise StorageError(prefix)
            if number % PAGE == 0:
                with self.begun:
                    self.pages.append(number // PAGE)
                    self.begun.notify_all()
            yield StoredObject(f"{prefix}{number:05d}", 1, "v")

    def await_page(self, page: int) -> None:
        with self.begun:
            assert self.begun.wait_for(lambda: page in self.pages, 60)


@pytest.fixture
def remote() -> Any:
    return Remote()


def test_calls_do_not_wait_for_each_other(remote: Any) -> None:
    """Each of them goes on only if the other one has begun."""
    meeting = threading.Barrier(2, timeout=60)
    with calls_at_once(remote) as calls:
        both = [calls.begin(meeting.wait) for _ in range(2)]
    assert sorted(each.result() for each in both) == [0, 1]


@pytest.mark.parametrize("is_local", [True, False])
def test_one_that_fails_stops_no_other_one(remote: Any, tmp_path: Path, is_local: bool) -> None:
    """The caller finds the error where the result would be."""
    made: list[str] = []

    def fail() -> None:
        raise StorageError("full")

    with calls_at_once(LocalStorage(str(tmp_path)) if is_local else remote) as calls:
        failed, done = calls.begin(fail), calls.begin(made.append, "a")
    assert (made, done.result()) == (["a"], None)
    with pytest.raises(StorageError, match="full"):
        failed.result()


def test_in_a_local_folder_calls_are_made_one_after_another(tmp_path: Path) -> None:
    """In their order, by the thread that begins them."""
    made: list[tuple[int, int]] = []
    with calls_at_once(LocalStorage(str(tmp_path))) as calls:
        for number in range(3):
            calls.begin(lambda number=number: made.append((number, threading.get_ident())))
    assert made == [(number, threading.get_ident()) for number in range(3)]


@pytest.mark.parametrize("objects", [0, 1, PAGE, PAGE + 1, 3 * PAGE + 7])
def test_a_listing_that_runs_ahead_is_the_listing(objects: int) -> None:
    """Every object once, in order, whatever the pages are."""
    remote: Any = Remote(objects)
    assert list(scan_ahead(remote, "a/")) == list(Remote(objects).scan("a/"))


def test_a_listing_runs_one_page_ahead() -> None:
    """It begins before anybody reads it, and goes no further than the next page."""
    remote: Any = Remote(4 * PAGE)
    listed = scan_ahead(remote, "a/")
    remote.await_page(0)
    for _ in range(PAGE):
        next(listed)
    remote.await_page(1)
    assert 3 not in remote.pages
    assert next(listed).key == f"a/{PAGE:05d}"


def test_a_listing_that_fails_says_so_at_the_page_that_failed() -> None:
    """Not as if the folder ended there."""
    listed = scan_ahead(Remote(2 * PAGE, fails_after=PAGE + 5), "a/")  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        list(listed)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_after_an_interrupt_no_further_call_is_made(remote: Any, kind: type[BaseException]) -> None:
    """Those under way are waited for, and those that have not begun are dropped."""
    made: list[int] = []
    dropped = threading.Event()

    def call(number: int) -> None:
        assert dropped.wait(60)
        made.append(number)

    begun: list[Future[None]] = []

    def interrupted() -> None:
        with calls_at_once(remote) as calls:
            begun.extend(calls.begin(call, number) for number in range(200))
            begun[-1].add_done_callback(lambda _: dropped.set())
            raise kind

    with pytest.raises(kind):
        interrupted()
    assert sorted(made) == list(range(len(made)))
    assert len(made) == sum(not each.cancelled() for each in begun) < 100
