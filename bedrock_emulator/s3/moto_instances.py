"""Keeps moto from remembering every object that it has ever made.

moto lists all instances of its models for a dashboard, which the emulator does not serve. So each
object that is put, or replaced, would stay in memory until the end.
"""

from __future__ import annotations

from typing import Any


def forget_instances() -> None:
    """List no instances from now on. This replaces a method of moto 5.2. May be called twice."""
    from moto.core.common_models import BaseModel

    def create(cls: type[Any], *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    BaseModel.__new__ = create  # type: ignore[method-assign]
