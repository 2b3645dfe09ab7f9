"""What a Python worker exempts from garbage collection."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import pytest

from bedrock_spark.spark import worker_process
from bedrock_spark.spark.worker_process import exempt_modules_from_gc


@pytest.fixture
def freezes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count instead of freezing: what this process has must stay collectable."""
    taken: list[int] = []
    fake = SimpleNamespace(freeze=lambda: taken.append(1), get_freeze_count=lambda: len(taken))
    monkeypatch.setattr(worker_process, "gc", fake)
    return taken


def test_a_worker_exempts_once(freezes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What its tasks make is never exempt."""
    monkeypatch.setattr(worker_process.TaskContext, "get", staticmethod(lambda: object()))
    exempt_modules_from_gc()
    exempt_modules_from_gc()
    assert freezes == [1]


def test_other_processes_are_left_alone(freezes: list[int]) -> None:
    """Tasks that a test or a driver calls itself exempt nothing of its process."""
    exempt_modules_from_gc()
    assert freezes == []
    assert gc.get_freeze_count() == 0
