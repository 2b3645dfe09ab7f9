"""The pause of Python's search for garbage."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest

from bedrock_spark.garbage import garbage_collection_paused


@pytest.mark.parametrize("was_enabled", [True, False])
def test_a_pause_ends_as_it_began(was_enabled: bool) -> None:
    """Also one inside another, and one that an error ends."""
    before = gc.isenabled()
    try:
        (gc.enable if was_enabled else gc.disable)()
        with garbage_collection_paused():
            with suppress(ValueError), garbage_collection_paused():
                raise ValueError
            assert not gc.isenabled()
        assert gc.isenabled() is was_enabled
    finally:
        (gc.enable if before else gc.disable)()
