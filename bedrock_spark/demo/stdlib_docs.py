"""Read the documentation of Python's standard library from the running interpreter.

Reading a module's documentation means importing it, and about 450 imports have side effects on a
process: loaded modules, warning filters, readline's state, registered handlers. So `corpus.py` runs
this file as a script in a child interpreter, and the file imports only the standard library. It
prints one JSON array of [qualified_name, kind, module, docstring].

It does not import modules that act on import: that open a browser or a window, print, or start a
program.
"""

import importlib
import inspect
import json
import os
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

Row = tuple[str, str, str, str]

NEVER_IMPORTED = frozenset(
    {
        # They act on import, or need a display.
        *("antigravity", "this", "tkinter", "turtle", "turtledemo", "idlelib"),
        # Tests are no documentation, and some of them act on import.
        *("test", "tests", "idle_test"),
        # Removed from the library or deprecated, and missing from many distributions of it.
        *("distutils", "ensurepip", "lib2to3", "msilib"),
        # Users know these as `os`. Python's manual says "Do not import this module directly".
        *("posix", "nt"),
    }
)


def is_public(name: str) -> bool:
    """Tell whether a name is public: neither private nor special."""
    return not name.startswith("_")


def import_or_none(name: str) -> ModuleType | None:
    """Import a module; return None if this platform or build does not have it."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit):  # noqa: BLE001 - a module may raise anything on import
        return None


def public_modules() -> list[ModuleType]:
    """Import every public module of the standard library, each package before its modules."""
    names = sorted(sys.stdlib_module_names)
    modules = []
    for name in names:  # the list grows: a package's modules are added to its end
        leaf = name.rpartition(".")[2]
        if not is_public(leaf) or leaf in NEVER_IMPORTED:
            continue
        module = import_or_none(name)
        if module is not None:
            modules.append(module)
            children = pkgutil.iter_modules(getattr(module, "__path__", ()))
            names += sorted(f"{name}.{child.name}" for child in children)
    return modules


def kind_of(value: object) -> str | None:
    """Return the kind of a module's member; None for data, which has only its type's docstring."""
    if inspect.isclass(value):
        return "class"
    if inspect.isroutine(value) or inspect.isfunction(getattr(value, "__wrapped__", None)):
        return "function"
    return None


def docstring_of(value: object) -> str:
    """Return an object's own docstring without its indentation, "" if it has none."""
    text = getattr(value, "__doc__", None)
    if not isinstance(text, str) or (kind_of(value) != "class" and text == type(value).__doc__):
        return ""
    return inspect.cleandoc(text).strip()


def members(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield a module's own public classes and functions: defined in it, or in its `__all__`."""
    listed = frozenset(getattr(module, "__all__", ()))
    for name, value in vars(module).items():
        is_own = getattr(value, "__module__", None) == module.__name__ or name in listed
        if is_own and is_public(name) and kind_of(value):
            yield name, value


def best_names(modules: list[ModuleType]) -> dict[str, tuple[str, object]]:
    """Return each class and function once: its module's name and itself, by qualified name.

    A package exports names that its modules define (`asyncio.run` is `asyncio.runners.run`). The
    name that users write is kept: the one with the fewest dots, then the one in the defining
    module, then the first in the alphabet.
    """
    best: dict[int, tuple[tuple[int, bool, str], str, object]] = {}
    for module in modules:
        for name, value in members(module):
            qualified_name = f"{module.__name__}.{name}"
            is_imported = getattr(value, "__module__", None) != module.__name__
            rank = (qualified_name.count("."), is_imported, qualified_name)
            if id(value) not in best or rank < best[id(value)][0]:
                best[id(value)] = (rank, module.__name__, value)
    return {rank[2]: (module_name, value) for rank, module_name, value in best.values()}


def method_rows(class_name: str, module_name: str, cls: type) -> Iterator[Row]:
    """Yield a row for each method and property that a class itself defines.

    Special methods are included if they are Python functions. Those of C types all have the same
    docstrings.
    """
    for name, value in vars(cls).items():
        member = getattr(value, "__func__", value)  # unwrap a staticmethod or classmethod
        is_method = inspect.isroutine(member) and not isinstance(value, type)
        is_property = inspect.isdatadescriptor(member)
        if (is_public(name) and (is_method or is_property)) or (
            name.endswith("__") and inspect.isfunction(member)
        ):
            kind = "method" if is_method else "property"
            yield f"{class_name}.{name}", kind, module_name, docstring_of(member)


def documentation() -> list[Row]:
    """Return (qualified_name, kind, module, docstring) of every documented name, sorted by name.

    Each name has one row. If a package has a function and a module of the same name, it is the
    module's.
    """
    modules = public_modules()
    rows: dict[str, Row] = {
        m.__name__: (m.__name__, "module", m.__name__, docstring_of(m)) for m in modules
    }
    for name, (module_name, value) in best_names(modules).items():
        rows.setdefault(name, (name, str(kind_of(value)), module_name, docstring_of(value)))
        if isinstance(value, type):
            for row in method_rows(name, module_name, value):
                rows.setdefault(row[0], row)
    return [rows[name] for name in sorted(rows) if rows[name][3]]


def main() -> None:
    """Print the rows. Output that modules print on import is discarded."""
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with os.fdopen(output, "w", encoding="ascii") as stream:
        json.dump(documentation(), stream)


if __name__ == "__main__":
    main()
