"""Answers of a preview are shown, whatever becomes of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from bedrock_spark.errors import AnswerStoreError, StorageAccessError
from bedrock_spark.preview.asking import _keep
from tests.unit.fakes import FakeClock


@dataclass
class Keeper:
    error: Exception

    def write(self, now: float) -> int:
        raise self.error


@dataclass
class Asker:
    keeper: Keeper


@pytest.mark.parametrize("kind", [AnswerStoreError, StorageAccessError])
def test_a_store_that_takes_no_answers_is_a_warning(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    _keep(cast(Any, Asker(Keeper(kind("no right to write")))), FakeClock())
    assert "the answers of this preview are not kept: no right to write" in caplog.text


def test_any_other_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        _keep(cast(Any, Asker(Keeper(ZeroDivisionError()))), FakeClock())
