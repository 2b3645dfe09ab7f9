"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

    scripts/lowest.py EXTRA...      e.g. spark emulator ui lineage

`make test-lowest` installs them: a lower bound that nothing was run with is a guess. An upper end
needs no such target, because .venv has the newest of all.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[(?P<extras>[^]]*)\])?(?P<bounds>[^;]*)")
_LOWEST = re.compile(r">=\s*([0-9][0-9A-Za-z.]*)")


def lowest(project: dict, extras: list[str]) -> dict[str, str]:
    """Return the lowest version of each package that the project and some extras name.

    Raises ValueError for a package without a lower bound.
    """
    found: dict[str, str] = {}
    optional = project["optional-dependencies"]
    for line in [*project["dependencies"], *(line for extra in extras for line in optional[extra])]:
        match = _REQUIREMENT.match(line)
        assert match is not None, line
        if match["name"] == project["name"]:
            found |= lowest(project, [extra.strip() for extra in match["extras"].split(",")])
            continue
        bound = _LOWEST.search(match["bounds"])
        if bound is None:
            raise ValueError(f"{line}: has no lower bound in pyproject.toml")
        found[match["name"]] = bound[1]
    return found


def main() -> None:
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    for name, version in lowest(tomllib.loads(text)["project"], sys.argv[1:]).items():
        sys.stdout.write(f"{name}=={version}\n")


if __name__ == "__main__":
    main()
