"""The demo's corpus: its rows, and that building it has no side effects."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bedrock_spark.demo import stdlib_docs
from bedrock_spark.demo.corpus import CORPUS_SCHEMA, build_corpus, write_corpus


@pytest.fixture(scope="module")
def corpus() -> pa.Table:
    return build_corpus()


@pytest.fixture(scope="module")
def rows_by_name(corpus: pa.Table) -> dict[str, dict[str, str]]:
    return {row["qualified_name"]: row for row in corpus.to_pylist()}


def test_the_size_is_that_of_the_standard_library(corpus: pa.Table) -> None:
    """About 6,500 rows: far fewer mean that a part of the library was not read."""
    assert 5_500 <= corpus.num_rows <= 9_000
    assert len(set(corpus["module"].to_pylist())) > 250


def test_qualified_names_are_a_key_and_in_order(corpus: pa.Table) -> None:
    names = corpus["qualified_name"].to_pylist()
    assert names == sorted(set(names))


def test_every_cell_is_text(corpus: pa.Table) -> None:
    assert corpus.schema == CORPUS_SCHEMA
    assert [column.null_count for column in corpus.columns] == [0, 0, 0, 0]
    assert pc.min(pc.utf8_length(pc.utf8_trim_whitespace(corpus["docstring"]))).as_py() > 0


def test_kinds_are_the_five_and_all_occur(corpus: pa.Table) -> None:
    kinds = set(corpus["kind"].to_pylist())
    assert kinds == {"module", "class", "function", "method", "property"}


@pytest.mark.parametrize(
    ("name", "kind", "module", "opening"),
    [
        ("json", "module", "json", "JSON (JavaScript Object Notation)"),
        ("json.dumps", "function", "json", "Serialize ``obj`` to a JSON formatted ``str``."),
        ("json.JSONDecoder", "class", "json", "Simple JSON"),
        ("json.JSONDecoder.decode", "method", "json", "Return the Python representation"),
        ("asyncio.run", "function", "asyncio", "Execute the coroutine"),
        ("os.getcwd", "function", "os", "Return a unicode string"),
        ("builtins.str.join", "method", "builtins", "Concatenate any number of strings."),
        ("threading.Thread.name", "property", "threading", "A string used for identification"),
        ("urllib.parse.urlsplit", "function", "urllib.parse", "Parse a URL into 5 components"),
    ],
)
def test_known_names_have_their_documentation(
    rows_by_name: dict[str, dict[str, str]], name: str, kind: str, module: str, opening: str
) -> None:
    """Functions, C methods, properties, and names under the package that exports them."""
    row = rows_by_name[name]
    assert (row["kind"], row["module"]) == (kind, module)
    assert row["docstring"].startswith(opening)


def test_a_docstring_is_the_running_interpreters_own(
    rows_by_name: dict[str, dict[str, str]],
) -> None:
    """Indentation aside, the text is what help() shows."""
    shown = [line.strip() for line in str(json.dumps.__doc__).strip().splitlines()]
    assert [line.strip() for line in rows_by_name["json.dumps"]["docstring"].splitlines()] == shown


def test_an_exported_function_has_one_row(rows_by_name: dict[str, dict[str, str]]) -> None:
    """asyncio.run is defined in asyncio.runners; one function is one row."""
    assert "asyncio.run" in rows_by_name
    assert "asyncio.runners.run" not in rows_by_name


def test_private_names_are_left_out(rows_by_name: dict[str, dict[str, str]]) -> None:
    private = [
        name
        for name in rows_by_name
        for part in name.split(".")
        if part.startswith("_") and not part.endswith("__")
    ]
    assert private == []


def test_building_twice_gives_the_same_table(corpus: pa.Table) -> None:
    """Each build runs in a new interpreter, with another hash seed and other addresses."""
    assert build_corpus().equals(corpus)


def test_building_leaves_this_process_as_it_was() -> None:
    """In a fresh interpreter, building imports no module of the corpus and sets no filter."""
    program = """
import sys, warnings
import pyarrow
from bedrock_spark.demo.corpus import build_corpus
pyarrow.array(["pyarrow imports pandas for its first array"])
before, filters = set(sys.modules), list(warnings.filters)
build_corpus()
print(sorted(set(sys.modules) - before), filters == warnings.filters)
"""
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[] True"
    assert shown.stderr == ""


def test_modules_that_act_when_imported_are_not_imported_by_the_child() -> None:
    """Neither by the walk nor by a module that it imports."""
    program = """
import runpy, sys
walk = runpy.run_path(sys.argv[1])
walk["public_modules"]()
parts = {part for name in sys.modules for part in name.split(".")}
print(sorted(parts & walk["NEVER_IMPORTED"] - {"posix", "nt"}), file=sys.stderr)
"""
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "ignore", "-c", program, stdlib_docs.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr.strip() == "[]"
    assert {"antigravity", "this", "turtle", "idlelib", "tkinter"} <= stdlib_docs.NEVER_IMPORTED


def test_a_module_that_cannot_be_imported_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A platform or build may lack a module, or have one that raises or exits on import."""
    (tmp_path / "module_that_raises.py").write_text("raise OSError('no such device')")
    (tmp_path / "module_that_exits.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    assert stdlib_docs.import_or_none("module_that_raises") is None
    assert stdlib_docs.import_or_none("module_that_exits") is None
    assert stdlib_docs.import_or_none("module_that_is_nowhere") is None


def test_the_docstring_of_a_type_is_not_that_of_its_instances() -> None:
    """An instance without its own docstring shows its type's: it counts as undocumented."""

    def undocumented() -> None: ...

    assert stdlib_docs.docstring_of(3) == ""
    assert stdlib_docs.docstring_of(undocumented) == ""
    assert stdlib_docs.docstring_of(int).startswith("int(")


def test_writing_gives_one_parquet_file_and_the_number_of_rows(
    corpus: pa.Table, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "corpus.parquet"
    assert write_corpus(path) == corpus.num_rows
    assert pq.read_table(path).equals(corpus)
