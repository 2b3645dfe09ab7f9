"""Decide what is compared: the key, the columns, and their names in each table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from bedrock_spark.errors import ConfigError
from bedrock_spark.pairs.conditions import Condition
from bedrock_spark.pairs.read_results import ResultFiles
from bedrock_spark.pairs.sides import OUTCOMES, Column, Place, Side
from bedrock_spark.pairs.tally import Question
from bedrock_spark.pairs.where import parse_where
from bedrock_spark.run_folder.manifest import RunManifest, require_manifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.schema import parse_ddl

TEXT, RECORD_ID, OUTCOME = "text", "record_id", "outcome"
KEY, COLUMN, WHERE = "--key", "--column", "--where"
_MEASURES = ("input_tokens", "output_tokens", "cost_usd")


@dataclass(frozen=True)
class RunTable:
    """The results of a run. schema: of its files; parsed: the columns of `results.parse`."""

    run: Run
    manifest: RunManifest
    files: ResultFiles
    schema: pa.Schema
    parsed: tuple[str, ...]

    @property
    def uri(self) -> str:
        """Return the run folder."""
        return self.run.storage.uri

    def name_of(self, name: str, *, of_key: bool = False) -> str | None:
        """Return the name of a column in the results; None if there is none.

        name: as it is, or without `results.prefix`. If both are there, such as a `text` of the
            source beside `llm_text`, answers are meant; of_key: the column of the source is
        """
        names = [f"{self.run.config.results.prefix}{name}", name]
        ordered = names[::-1] if of_key else names
        return next((each for each in ordered if each in self.schema.names), None)

    def column(self, name: str, option: str) -> str:
        """Return the name of a column in the results. Raises ConfigError if there is none."""
        found = self.name_of(name, of_key=option == KEY)
        if found is None:
            raise ConfigError(
                f"{option} {name}: the results of {self.uri} have no such column; they have "
                f"{', '.join(self.schema.names)}"
            )
        return found


def open_table(run: Run) -> RunTable:
    """Return the results of a run. Raises RunFolderError if the first unit is not collected."""
    manifest = require_manifest(run.storage)
    if not manifest.units:
        raise ConfigError(f"{run.storage.uri}: has no rows, so there is nothing to compare")
    files = ResultFiles(run.storage, manifest.units)
    parse = run.config.results.parse
    parsed = tuple(field.name for field in parse_ddl(parse.columns)) if parse else ()
    return RunTable(run, manifest, files, files.schema(), parsed)


@dataclass(frozen=True)
class GoldPlan:
    """Where the true values are. schema: of their table; column: the one with the values

    answer: the column of the runs that should have them; None: the one of the same name
    key: the columns of the key, in the order of the runs'; None: the same names
    """

    schema: pa.Schema
    column: str
    answer: str | None = None
    key: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ComparisonPlan:
    """What is compared.

    sides: how each table is read; gold_index: of the column that has true values
    questions: what is counted, in the order: of both runs, of the true values and each run
    """

    tables: tuple[RunTable, ...]
    sides: tuple[Side, ...]
    questions: tuple[Question, ...]
    columns: tuple[Column, ...]
    decisive: tuple[int, ...]
    gold_index: int | None
    notes: tuple[str, ...]


def plan_comparison(
    tables: Sequence[RunTable],
    key: Sequence[str] = (),
    columns: Sequence[str] = (),
    outcomes: Sequence[str] = (),
    samples: int = 0,
    gold: GoldPlan | None = None,
    where: str | None = None,
) -> ComparisonPlan:
    """Return what is compared. tables: one run or two.

    key, columns: each the name in both runs, or `NAME_IN_A=NAME_IN_B`
    where: a condition in SQL: only rows of the runs for which it is true are paired
    Raises ConfigError for a column that a table does not have, and if there is no key.
    """
    notes = [] if where is None else [f"only rows are compared for which this is true: {where}"]
    keys = _keys(tables, key, notes)
    chosen = _chosen(tables, columns, notes) if len(tables) > 1 else {}
    compared = [*_compared(tables, chosen), *_measures(tables)] if len(tables) > 1 else []
    sides_key = [tuple(names[i] for names in keys) for i in range(len(tables))]
    gold_index = None
    if gold is not None:
        gold_index = _add_gold(compared, tables, gold, columns)
        _refuse_missing_key(gold, gold.key or sides_key[0], len(sides_key[0]))
    made = tuple(compared)
    sides = [
        Side(
            Place(i),
            sides_key[i],
            made,
            table.column(OUTCOME, "column"),
            table.column(RECORD_ID, "column"),
            _condition(table, where),
        )
        for i, table in enumerate(tables)
    ]
    if gold is not None:
        sides.append(Side(Place.GOLD, gold.key or sides_key[0], made))
    texts = [i for i, column in enumerate(made) if not column.is_measure]
    decisive = tuple(i for i in texts if made[i].name in chosen) or tuple(texts[:1])
    codes = frozenset(_code(name) for name in outcomes) or None
    questions = []
    if len(tables) > 1:
        every = tuple(i for i, c in enumerate(made) if None not in c.names[: len(tables)])
        questions.append(Question(Place.A, Place.B, every, decisive, codes, samples))
    if gold_index is not None:
        wrong = samples if len(tables) == 1 else 0
        questions += [
            Question(Place.GOLD, Place(i), (gold_index,), (gold_index,), codes, wrong)
            for i in range(len(tables))
        ]
    return ComparisonPlan(
        tuple(tables), tuple(sides), tuple(questions), made, decisive, gold_index, tuple(notes)
    )


def _condition(table: RunTable, where: str | None) -> Condition | None:
    """Return which rows of a run count. It is tried on no rows, so types that do not fit are known.

    Raises ConfigError for a column that the run does not have, and for what is no condition.
    """
    if where is None:
        return None
    found = parse_where(where, lambda name: table.column(name, WHERE))
    empty = table.schema.empty_table().select(found.needed).combine_chunks()
    arrays = [pa.array([], field.type) for field in empty.schema]
    found.holds(pa.RecordBatch.from_arrays(arrays, schema=empty.schema))
    return found


def _code(outcome: str) -> int:
    if outcome not in OUTCOMES:
        raise ConfigError(f"--outcome {outcome}: is none of {', '.join(OUTCOMES)}")
    return OUTCOMES.index(outcome)


def _names(text: str, tables: Sequence[RunTable], option: str) -> list[str]:
    """Return the name in each table. text: NAME or NAME_IN_A=NAME_IN_B; a name may have a `=`."""
    first = _name_in_a(text, tables)
    if first == text:
        return [table.column(text, option) for table in tables]
    names = first, text.removeprefix(f"{first}=")
    return [t.column(n, option) for t, n in zip(tables, names, strict=False)]


def _name_in_a(text: str, tables: Sequence[RunTable]) -> str:
    """Return the name in run A. text: as of `_names`"""
    is_name = "=" not in text or tables[0].name_of(text) is not None
    return text if is_name else text.split("=", 1)[0]


def _keys(tables: Sequence[RunTable], key: Sequence[str], notes: list[str]) -> list[list[str]]:
    """Return the columns of the key, each with its name in every table."""
    if key:
        return [_names(text, tables, KEY) for text in key]
    own = [table.run.config.source.key for table in tables]
    if not any(own):
        notes.append("the runs have no source.key: rows are paired by record_id, by equal requests")
        return [[table.column(RECORD_ID, COLUMN) for table in tables]]
    if len(tables) == 1 or sorted(own[0]) == sorted(own[1]):
        return [[name] * len(tables) for name in own[0]]
    # The same columns of the source, if the runs only named them differently.
    originals = [_originals(table) for table in tables]
    if sorted(originals[0]) == sorted(originals[1]):
        return [[names[name] for names in originals] for name in originals[0]]
    raise ConfigError(
        f"--key: the runs have different keys, {_listed(own[0])} and {_listed(own[1])}; name the "
        f"columns that tell rows apart in both: --key {(own[0] or ('id',))[0]}, or --key "
        f"{(own[0] or ('id',))[0]}={(own[1] or ('other_id',))[0]} if they have two names"
    )


def _originals(table: RunTable) -> dict[str, str]:
    """Return the key's columns by their names in the source before `source.rename`."""
    source = table.run.config.source
    before = {new: old for old, new in source.rename.items()}
    return {before.get(name, name): name for name in source.key}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _chosen(
    tables: Sequence[RunTable], columns: Sequence[str], notes: list[str]
) -> dict[str, list[str]]:
    """Return the columns of answers that are compared beside the text, with their names."""
    if columns:
        found = {}
        for text in columns:
            names = _names(text, tables, COLUMN)
            name = _name_in_a(text, tables)
            # One column of A may be compared with several of B.
            found[text if name in found else name] = names
        return found
    shared = [name for name in tables[0].parsed if all(name in t.parsed for t in tables)]
    for table, run in zip(tables, "AB", strict=False):
        alone = [name for name in table.parsed if name not in shared]
        if alone:
            notes.append(f"only {run} has the columns {_listed(alone)}: they are not compared")
    return {name: [table.column(name, COLUMN) for table in tables] for name in shared}


def _compared(tables: Sequence[RunTable], chosen: dict[str, list[str]]) -> list[Column]:
    texts = {} if TEXT in chosen else {TEXT: [t.column(TEXT, COLUMN) for t in tables]}
    return [
        Column(name, _three(names), _is_number(tables, names))
        for name, names in {**texts, **chosen}.items()
    ]


def _three(
    names: Sequence[str], gold: str | None = None
) -> tuple[str | None, str | None, str | None]:
    return names[0], names[1] if len(names) > 1 else None, gold


def _is_number(tables: Sequence[RunTable], names: Sequence[str], *more: pa.DataType) -> bool:
    """Tell whether a column holds numbers: in one run at least, and no table has another type.

    A text may be a number, too, as in CSV.
    """
    kinds = [t.schema.field(name).type for t, name in zip(tables, names, strict=True)]
    is_number = [_is_numeric(kind) for kind in kinds]
    fits = all(_is_numeric(k) or _is_text(k) for k in (*kinds, *more))
    return any(is_number) and fits


def _is_numeric(kind: pa.DataType) -> bool:
    of = pa.types
    return bool(of.is_integer(kind) or of.is_floating(kind) or of.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _measures(tables: Sequence[RunTable]) -> list[Column]:
    found = []
    for name in _MEASURES:
        names = [table.name_of(name) for table in tables]
        kinds = [
            t.schema.field(n).type for t, n in zip(tables, names, strict=True) if n is not None
        ]
        if len(kinds) == len(tables) and all(map(_is_numeric, kinds)):
            found.append(Column(name, (names[0], names[1], None), True, True))
    return found


def _add_gold(
    compared: list[Column], tables: Sequence[RunTable], gold: GoldPlan, columns: Sequence[str]
) -> int:
    """Give a compared column its true values, or add one; return its index."""
    if gold.column not in gold.schema.names:
        raise ConfigError(
            f"--gold-column {gold.column}: the table of true values has no such column; it has "
            f"{', '.join(gold.schema.names)}"
        )
    answer = gold.answer
    if answer is None:
        is_there = all(table.name_of(gold.column) is not None for table in tables)
        is_plain = not any(table.parsed for table in tables)
        one = columns[0] if len(columns) == 1 else (TEXT if is_plain else gold.column)
        answer = gold.column if is_there else one
    names = _names(answer, tables, "--gold-column")
    kind = gold.schema.field(gold.column).type
    is_number = _is_number(tables, names, kind)
    made = Column(_name_in_a(answer, tables), _three(names, gold.column), is_number)
    for i, column in enumerate(compared):
        if column.names[:2] == made.names[:2] and not column.is_measure:
            compared[i] = replace(made, name=column.name)
            return i
    compared.append(made)
    return len(compared) - 1


def _refuse_missing_key(gold: GoldPlan, key: Sequence[str], columns: int) -> None:
    if len(key) != columns:
        raise ConfigError(f"--gold-key: name {columns} columns, in the order of the runs' key")
    for name in key:
        if name not in gold.schema.names:
            raise ConfigError(
                f"--gold: its table has no column {name}; name the columns of its key in the order "
                f"of the runs' key: --gold-key …. It has {', '.join(gold.schema.names)}"
            )
