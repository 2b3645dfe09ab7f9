"""The error tree."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from bedrock_spark import errors
from bedrock_spark.errors import BedrockSparkError

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, BedrockSparkError)
]


@pytest.mark.parametrize("kind", TREE)
def test_an_error_survives_pickling(kind: type[BedrockSparkError]) -> None:
    """Executors send errors to the driver: kind, message and ids must arrive."""
    sent = kind("shard-00042-00: no", shard_id="shard-00042-00", error_code=429, retry_after=None)
    got = pickle.loads(pickle.dumps(sent))
    assert type(got) is kind
    assert str(got) == "shard-00042-00: no"
    assert got.ids == {"shard_id": "shard-00042-00", "error_code": 429, "retry_after": None}


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    """The module's docstring names every class, below the class it derives from."""
    drawn: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([│ ├└─]*)([A-Z]\w+)", line)
        if found:
            depth = len(found[1]) // 4
            drawn[found[2]] = above[depth - 1] if depth else None
            above[depth:] = [found[2]]
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in TREE}
    assert drawn == {**real, "BedrockSparkError": None}


def test_one_except_clause_catches_them_all() -> None:
    """Every error that is raised on purpose is a BedrockSparkError."""
    own = [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, Exception)]
    assert own == TREE
    assert len(TREE) > 15
