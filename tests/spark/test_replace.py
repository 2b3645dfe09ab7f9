"""Old results are replaced by new ones, or stay: whatever fails, and wherever a process dies."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.utils import AnalysisException

from bedrock_spark.config import ResultsConfig
from bedrock_spark.errors import PublishError
from bedrock_spark.spark import replace as replacing
from bedrock_spark.spark.folder import Folder
from bedrock_spark.spark.replace import replace, restore

pytestmark = [pytest.mark.versions, pytest.mark.long]

OLD, NEW, ROWS = "old", "new", 20


class Death(BaseException):
    """The process is killed here: nothing of it runs any more."""


class Place:
    """A place of published results, with a writer of its own and a mark beside what it wrote."""

    def __init__(self, spark: SparkSession, config: ResultsConfig) -> None:
        self.spark, self.config = spark, config
        self.name = config.path or config.table or ""

    def write(self, what: str, place: str, mode: str) -> None:
        rows = self.spark.range(0, ROWS, 1, 2).selectExpr("id", f"'{what}' AS what")
        writer = rows.write.format(self.config.format).mode(mode)
        writer.save(place) if self.config.path else writer.saveAsTable(place)

    def mark(self, place: str) -> bool:
        if self.config.path:
            Folder(self.spark, place).write("_bedrock_spark.json", b"{}")
        else:
            self.spark.sql(f"ALTER TABLE {place} SET TBLPROPERTIES ('bedrock_spark.run_id'='r')")
        return True

    def publish(
        self, what: str, write: Callable[[str, str], None] | None = None, rows: int = ROWS
    ) -> None:
        restore(self.spark, self.config)
        write = write or partial(self.write, what)
        assert replace(self.spark, self.config, write, rows, "run-1", self.mark)

    def read(self) -> set[tuple[int, str]] | None:
        """Return the rows that are there, None if there is no place of this name."""
        self.spark.catalog.clearCache()
        try:
            if self.config.path:
                df = self.spark.read.format(self.config.format).load(self.config.path)
            else:
                self.spark.catalog.refreshTable(self.name)
                df = self.spark.table(self.name)
            rows = [(row["id"], row["what"]) for row in df.collect()]
        except AnalysisException:
            return None
        assert len(rows) == len(set(rows))
        return set(rows)


def rows_of(what: str) -> set[tuple[int, str]]:
    return {(i, what) for i in range(ROWS)}


@pytest.fixture(params=["folder", "files", "table"])
def place(
    request: pytest.FixtureRequest,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    """A folder that is renamed, a folder whose files are replaced, and a table."""
    if request.param == "table":
        name = f"replaced_{secrets.token_hex(4)}"
        yield Place(spark, ResultsConfig(table=name))
        for table in spark.catalog.listTables():
            if table.name.startswith(name):
                spark.sql(f"DROP TABLE {table.name}")
        return
    if request.param == "files":
        monkeypatch.setattr(replacing._FolderSwap, "can_rename", lambda _: False)
        monkeypatch.setattr(replacing, "_DELETIONS_AT_ONCE", 1)  # so that each can be looked at
    yield Place(spark, ResultsConfig(path=str(tmp_path / "lake" / "out")))


def left_beside(place: Place) -> list[str]:
    """Return what is left beside the place."""
    if place.config.path:
        return [p.name for p in Path(place.name).parent.iterdir() if p.name != "out"]
    names = [t.name for t in place.spark.catalog.listTables()]
    return [n for n in names if n.startswith(place.name) and n != place.name]


def test_new_results_take_the_place_of_old_ones(place: Place) -> None:
    """Nothing is left beside them. A folder that is empty is no results."""
    if place.config.path:
        Path(place.name).mkdir(parents=True)
    for what in (OLD, NEW):
        place.publish(what)
        assert place.read() == rows_of(what)
        assert left_beside(place) == []


def test_a_write_that_fails_in_the_middle_leaves_the_old_results(place: Place) -> None:
    """As on a full disk. The same command replaces them once there is room."""

    def fail(where: str, mode: str) -> None:
        write = place.spark.range(0, 4, 1, 1).selectExpr(
            "id", "if(id = 3, raise_error('No space left on device'), 'new') AS what"
        )
        writer = write.write.format("parquet").mode(mode)
        writer.save(where) if place.config.path else writer.saveAsTable(where)

    place.publish(OLD)
    with pytest.raises(Exception, match="No space left"):
        place.publish(NEW, fail)
    assert place.read() == rows_of(OLD)
    assert left_beside(place) == []
    place.publish(NEW)
    assert place.read() == rows_of(NEW)


def test_too_few_rows_replace_nothing(place: Place) -> None:
    """The writer says that all went well, and it did not."""
    place.publish(OLD)
    write = (lambda *_: None) if replacing_files(place) else None
    with pytest.raises(PublishError, match="old results are unchanged"):
        place.publish(NEW, write, ROWS + 1)
    assert place.read() == rows_of(OLD)


def replacing_files(place: Place) -> bool:
    swap = replacing._swap_of(place.spark, place.config, "r")
    return isinstance(swap, replacing._FolderSwap) and not swap.can_rename()


class DyingAt:
    """Lets a process die before the n-th change that it makes to a place, and see all of them."""

    CHANGES = ("rename", "delete", "write", "delete_file")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: Place, step: int | None) -> None:
        self.seen: list[set[tuple[int, str]] | None] = []
        self.steps = 0
        self._place, self._step = place, step
        classes: tuple[Any, ...] = (Folder, replacing._TableSwap)
        for kind in classes:
            for name in self.CHANGES:
                if hasattr(kind, name):
                    monkeypatch.setattr(kind, name, self._change(getattr(kind, name)))

    def _change(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any) -> Any:
            if self._step is not None and self.steps >= self._step:
                raise Death
            self.steps += 1
            done = change(*args)
            self.seen.append(self._place.read())
            return done

        return changed


def test_readers_see_the_old_or_the_new_results(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or none, between two renames. Where files are replaced one by one: both, for a while."""
    place.publish(OLD)
    with monkeypatch.context() as patch:
        reader = DyingAt(patch, place, None)
        place.publish(NEW)
    assert reader.seen[-1] == rows_of(NEW)
    allowed = [rows_of(OLD), rows_of(NEW), None]
    if replacing_files(place):
        # The new ones are whole before an old one goes.
        assert all(seen is not None and seen >= rows_of(NEW) for seen in reader.seen)
    else:
        assert all(seen in allowed for seen in reader.seen)
        assert reader.seen.count(None) <= 1


@pytest.mark.parametrize("step", range(7))
def test_a_process_that_dies_anywhere_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The next one finds the old results, or the new ones; the same command goes on."""
    place.publish(OLD)
    with monkeypatch.context() as patch:
        dying = DyingAt(patch, place, step)
        try:
            place.publish(NEW)
        except Death:
            pass
        else:
            assert dying.steps <= step
    restore(place.spark, place.config)
    found = place.read()
    assert found is not None
    assert found >= rows_of(OLD) or found >= rows_of(NEW)
    place.publish(NEW)
    assert place.read() == rows_of(NEW)
    assert left_beside(place) == []


def test_old_results_aside_are_kept_if_others_took_their_place(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Only what this package wrote tells that they are no longer needed."""
    place = Place(spark, ResultsConfig(path=str(tmp_path / "out")))
    place.publish(OLD)
    aside = tmp_path / "_bedrock_spark_old_out"
    (tmp_path / "out").rename(aside)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").write_text("x")
    restore(spark, place.config)
    assert aside.exists()
    assert (tmp_path / "out" / "theirs").exists()


def test_a_folder_that_cannot_be_renamed_is_replaced_all_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root of an encryption zone, or a table in a catalog without renames."""
    place = Place(spark, ResultsConfig(path=str(tmp_path / "out")))
    place.publish(OLD)
    rename = Folder.rename

    def refuse(folder: Folder, to: str) -> None:
        if "_old_" in to:
            rename(folder, str(tmp_path / "out"))  # raises: it exists
        rename(folder, to)

    monkeypatch.setattr(Folder, "rename", refuse)
    place.publish(NEW)
    assert place.read() == rows_of(NEW)


def test_json_is_replaced_without_counting_its_rows(spark: SparkSession, tmp_path: Path) -> None:
    """To count them would be to read all of them."""
    place = Place(spark, ResultsConfig(path=str(tmp_path / "out"), format="json"))
    place.publish(OLD)
    place.publish(NEW, None, ROWS + 1)
    assert place.read() == rows_of(NEW)
