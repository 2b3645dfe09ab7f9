"""The file name of the archive of all packages, which one command builds and another deploys."""

from __future__ import annotations

#: Processors as `uname -m` of Linux has them, by the names that are in use.
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


def archive_name(python: str, architecture: str) -> str:
    """Return the name of the archive for a Python such as "3.11" and a key of `ARCHITECTURES`."""
    return f"environment-{python}-{ARCHITECTURES[architecture]}.tar.gz"
