"""Values with a lock for each key: made once, forgotten in order, and never while they are made."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.browse.last_used import LastUsed


class Slow:
    """A value that is made when the test says so."""

    def __init__(self, value: str = "made") -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.value = value
        self.times = 0

    def __call__(self, _: str | None) -> str:
        self.times += 1
        self.begun.set()
        assert self.go_on.wait(30)
        return self.value


def kept(value: str) -> Callable[[str | None], str]:
    return lambda known: known or value


def test_a_slow_key_delays_no_other() -> None:
    """Neither one that is made, nor one that is there, nor a look at any."""
    store, slow = LastUsed[str, str](4), Slow()
    store.make("b", kept("old"))
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(store.make, "a", slow)
        assert slow.begun.wait(30)
        try:
            assert store.make("c", kept("new")) == "new"
            assert store.make("b", kept("other")) == "old"
            assert (store.get("a"), store.get("b")) == (None, "old")
            assert store.values() == ["new", "old"]
        finally:
            slow.go_on.set()
        assert made.result() == "made"
    assert store.get("a") == "made"


def test_a_key_is_made_once_for_all_who_ask() -> None:
    store, slow = LastUsed[str, str](4), Slow()

    def ask(_: int) -> str:
        return store.make("a", lambda known: known or slow(None))

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, n) for n in range(8)]
        assert slow.begun.wait(30)
        slow.go_on.set()
        assert {each.result() for each in asked} == {"made"}
    assert slow.times == 1


def test_who_does_not_wait_gets_the_value_of_before() -> None:
    """The one of whoever makes it is there afterwards; without any value, everybody waits."""
    store, slow = LastUsed[str, str](4), Slow("second")
    store.make("a", kept("first"))
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(store.make, "a", slow)
        assert slow.begun.wait(30)
        try:
            assert store.make("a", slow, waits=False) == "first"
        finally:
            slow.go_on.set()
        assert made.result() == "second"
    assert (store.get("a"), slow.times) == ("second", 1)


def test_a_key_that_is_made_is_not_forgotten() -> None:
    """Else a second one would be made beside it."""
    store, slow = LastUsed[str, str](1), Slow()
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(store.make, "a", slow)
        assert slow.begun.wait(30)
        try:
            for key in "bcd":
                store.make(key, kept(key))
        finally:
            slow.go_on.set()
        made.result()
    assert store.make("a", kept("again")) == "made"


def test_an_error_leaves_what_was_there() -> None:
    """A key that could not be made takes no place, and the next one makes it."""
    store = LastUsed[str, str](2)

    def fail(_: str | None) -> str:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        store.make("a", fail)
    assert store.make("a", kept("there")) == "there"
    with pytest.raises(OSError, match="gone"):
        store.make("a", fail)
    assert store.get("a") == "there"
    for n in range(9):
        with pytest.raises(OSError, match="gone"):
            store.make(f"x{n}", fail)
    assert store.values() == ["there"]


def test_a_change_waits_for_whoever_makes_the_value() -> None:
    """So it is not lost. A key without a value has nothing to change."""
    store, slow = LastUsed[str, str](2), Slow()
    with ThreadPoolExecutor(2) as pool:
        made = pool.submit(store.make, "a", slow)
        assert slow.begun.wait(30)
        changed = pool.submit(store.change, "a", lambda value: f"{value}, changed")
        slow.go_on.set()
        made.result()
        changed.result()
    assert store.get("a") == "made, changed"
    store.change("b", lambda _: "never")
    assert store.get("b") is None


@given(
    keys=st.lists(st.integers(0, 6)),
    most=st.integers(1, 4),
    held=st.sets(st.integers(0, 6), max_size=3),
)
def test_the_keys_that_were_used_longest_ago_are_forgotten(
    keys: list[int], most: int, held: set[int]
) -> None:
    """But none that may not go, for which the others make room."""
    store = LastUsed[int, int](most, lambda value: value not in held)
    model: OrderedDict[int, None] = OrderedDict()
    for key in keys:
        store.make(key, lambda known, key=key: key if known is None else known)  # type: ignore[misc]
        model[key] = None
        model.move_to_end(key)
        for old in [k for k in model if k not in held]:
            if len(model) > most:
                del model[old]
        assert store.values() == list(model)
