"""Which extra of the package installs a module that is missing."""

from __future__ import annotations

from importlib.util import find_spec

# The modules of each extra of pyproject.toml that a command imports.
MODULES = {
    "emulator": ("bedrock_emulator", "moto", "flask", "flask_cors", "werkzeug", "hypercorn"),
    "spark": ("pyspark",),
    "cluster": ("pandas", "pyarrow"),
    "ui": ("waitress",),  # its others are those of other extras
}


def how_to_install(exc: ModuleNotFoundError) -> str | None:
    """Return which extra installs the module that an import did not find; None if none does."""
    root = (exc.name or "").split(".")[0]
    extras = [extra for extra, modules in MODULES.items() if root in modules]
    return _advice([root], extras) if extras else None


def missing_of(*extras: str) -> str | None:
    """Return how to install what is missing of some extras; None if nothing is."""
    missing = {e: [m for m in MODULES[e] if find_spec(m) is None] for e in extras}
    modules = [module for found in missing.values() for module in found]
    return _advice(modules, [e for e, found in missing.items() if found]) if modules else None


def _advice(modules: list[str], extras: list[str]) -> str:
    are = "is" if len(modules) == 1 else "are"
    names = ", ".join(modules)
    return f'{names} {are} not installed here: pip install "bedrock-spark[{",".join(extras)}]"'
