"""Read a script, of faults or of answers. It is checked when it is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict


class ScriptModel(BaseModel):
    """A part of a script. An unknown key is an error: a misspelt fault must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check_expression(text: str) -> str:
    """Return a text. Raise ValueError if it is no regular expression."""
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"is no regular expression: {exc}") from exc
    return text


Expression: TypeAlias = Annotated[str, AfterValidator(check_expression)]
Script = TypeVar("Script", bound=ScriptModel)


def read_script(kind: type[Script], source: dict[str, Any] | Path | str | None) -> Script:
    """Read a script from a dict, or from a YAML or JSON file. None gives an empty script.

    Raises pydantic's ValidationError, which names every mistake.
    """
    if source is None:
        return kind()
    if isinstance(source, dict):
        # Via JSON, so that a dict means exactly the same here as in a file or a request.
        return kind.model_validate_json(json.dumps(source))
    return kind.model_validate(yaml.safe_load(Path(source).read_text("utf-8")) or {})
