"""The digest of this package's code: which code began a run, whatever its version number says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_PACKAGE = "bedrock_spark"
# What Python writes beside the code, and what differs with who runs it.
_LEFT_OUT = "__pycache__"


@cache
def code_digest() -> str:
    """Return the SHA-256 of all files of the package, in hexadecimal. Read once in a process.

    Two installations with one digest have the same code, templates and price lists, whether they
    are in a folder or in an archive.
    """
    return digest_of(files(_PACKAGE))


def digest_of(package: Traversable) -> str:
    """Return the SHA-256 of the names and the contents of all files of a package."""
    digest = hashlib.sha256()
    for name, file in sorted(_files(package, ""), key=lambda pair: pair[0]):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{content}  {name}\n".encode())
    return digest.hexdigest()


def _files(folder: Traversable, above: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.is_dir():
            if each.name != _LEFT_OUT:
                yield from _files(each, f"{above}{each.name}/")
        elif not each.name.endswith(".pyc"):
            yield f"{above}{each.name}", each
