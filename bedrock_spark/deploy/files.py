"""The files of a deployment: rendered from templates, and written without losing edits.

A file that exists with other content is not replaced unless that is asked for: a person may have
edited it.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from bedrock_spark.errors import AlreadyExistsError, StorageError

_MOST_LINES = 12


@dataclass(frozen=True)
class DeployedFile:
    """A file of a deployment. name: its path in the folder of the deployment."""

    name: str
    text: str
    is_program: bool = False


def json_file(name: str, value: Any) -> DeployedFile:
    """Return a file with a JSON value."""
    return DeployedFile(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def rendered_file(name: str, template: str, **values: Any) -> DeployedFile:
    """Return a file that a template in `files/` makes of these values. Scripts end in .sh."""
    source = resources.files("bedrock_spark.deploy") / "files" / template
    # Nothing here is HTML. Values reach shell scripts through `sh`, and Python through `py`.
    jinja = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    jinja.filters |= {"sh": lambda value: shlex.quote(str(value)), "py": _as_python}
    text = jinja.from_string(source.read_text(encoding="utf-8")).render(values)
    return DeployedFile(name, text, is_program=name.endswith(".sh"))


def _as_python(value: Any, indent: int = 0) -> str:
    """Return a JSON value as a Python literal, broken into lines."""
    pad, inner = " " * indent, " " * (indent + 4)
    if isinstance(value, dict) and value:
        items = [f"{inner}{k!r}: {_as_python(v, indent + 4)},\n" for k, v in value.items()]
        return "{\n" + "".join(items) + pad + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{inner}{_as_python(v, indent + 4)},\n" for v in value) + pad + "]"
    return repr(value)


def write_files(folder: Path, files: Iterable[DeployedFile], *, replace: bool) -> list[Path]:
    """Write the files into a folder; return their paths. Files of the same content are left alone.

    replace: whether files of other content are replaced
    Raises AlreadyExistsError, before anything is written, if they would have to be.
    """
    planned = [(folder / file.name, file) for file in files]
    differing = [(path, file) for path, file in planned if _differs(path, file.text)]
    if differing and not replace:
        shown = "\n".join(_difference(path, file.text) for path, file in differing)
        names = ", ".join(str(path) for path, _ in differing)
        raise AlreadyExistsError(
            f"{names}: would be replaced, and may have been edited; --force replaces\n{shown}"
        )
    for path, file in planned:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text, encoding="utf-8")
            path.chmod(0o755 if file.is_program else 0o644)
        except OSError as exc:
            raise StorageError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    return [path for path, _ in planned]


def _differs(path: Path, text: str) -> bool:
    return path.exists() and _text_of(path) != text


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise StorageError(f"{path}: cannot be read: {exc.strerror or exc}") from exc


def _difference(path: Path, text: str) -> str:
    """Return the first changed lines of a file, as `diff -u` shows them."""
    old, new = _text_of(path).splitlines(), text.splitlines()
    lines = list(difflib.unified_diff(old, new, str(path), f"{path} (new)", n=0, lineterm=""))
    more = [f"… {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
    return "\n".join([*lines[:_MOST_LINES], *more])
