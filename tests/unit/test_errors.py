"""The error tree."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest

from bedrock_spark import errors
from bedrock_spark.errors import BedrockSparkError

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, BedrockSparkError)
]
SAMPLES: dict[str, Any] = {
    "rows": 10,
    "key": "run.json",
    "job_name": "tickets-abcdefgh-shard-00042-00-a1-eb43f621",
    "job_arn": "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl",
    "error_code": 429,
    "error_type": "ThrottlingException",
    "retry_after": 1.5,
    "asked": 5,
    "refused": 2,
}


def attributes_of(kind: type[BedrockSparkError]) -> list[str]:
    """Return the names of a class's attributes: the keyword arguments of its constructor."""
    parameters = inspect.signature(kind).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


@pytest.mark.parametrize("kind", TREE)
def test_an_error_survives_pickling(kind: type[BedrockSparkError]) -> None:
    """Executors send errors to the driver: class, message and attributes must arrive."""
    values = {name: SAMPLES[name] for name in attributes_of(kind)}
    sent = kind("shard-00042-00: no", **values)
    sent.add_note("noted by an executor")
    got = pickle.loads(pickle.dumps(sent))
    assert type(got) is kind
    assert str(got) == str(sent) == "shard-00042-00: no"
    assert {name: getattr(got, name) for name in values} == values
    assert got.__notes__ == ["noted by an executor"]


@pytest.mark.parametrize("kind", TREE)
def test_an_error_needs_nothing_but_a_message(kind: type[BedrockSparkError]) -> None:
    """Every attribute that is not given is empty, before pickling and after."""
    for error in (kind("no"), pickle.loads(pickle.dumps(kind("no")))):
        assert (type(error), str(error)) == (kind, "no")
        assert all(getattr(error, name) in (None, ()) for name in attributes_of(kind))


def test_every_sample_is_an_attribute_of_some_error() -> None:
    """Else the test of pickling would leave an attribute out."""
    assert {name for kind in TREE for name in attributes_of(kind)} == SAMPLES.keys()


def test_every_error_is_exported_under_its_public_name() -> None:
    """Tracebacks and pickles name it by `bedrock_spark.errors`, whatever file it is in."""
    found, above = set[type[BedrockSparkError]](), [BedrockSparkError]
    while above:
        kind = above.pop()
        found.add(kind)
        above += kind.__subclasses__()
    own = {kind for kind in found if kind.__module__.startswith("bedrock_spark.")}
    assert own == set(TREE)
    assert {kind.__module__ for kind in own} == {"bedrock_spark.errors"}


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    """The module's docstring names every class, below the class it derives from."""
    drawn: dict[str, str | None] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│ ├└─]*)([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4
            drawn[match[2]] = above[depth - 1] if depth else None
            above[depth:] = [match[2]]
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in TREE}
    assert drawn == {**real, "BedrockSparkError": None}


def test_one_except_clause_catches_them_all() -> None:
    """Every error that is raised on purpose is a BedrockSparkError."""
    raised = [k for _, k in inspect.getmembers(errors, inspect.isclass) if issubclass(k, Exception)]
    assert [k for k in raised if not issubclass(k, Warning)] == TREE
    assert len(TREE) > 15
