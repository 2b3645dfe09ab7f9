"""Two runs, or a run and true values: which columns pair and compare their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_spark import Comparison, Config, compare
from bedrock_spark.comparing import compare_runs
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.run_folder import layout
from tests.compared_runs import write_run
from tests.unit.moto_s3 import s3_in_process

TYPES = {"id": pa.int64(), "label": pa.string()}
_PARSE = "label string"


def rows(labels: Sequence[str | None], first: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": first + i, "record_id": f"r{first + i}", "text": f"It is {label}.", "label": label}
        for i, label in enumerate(labels)
    ]


def two_runs(folder: Path, a: Sequence[str | None], b: Sequence[str | None]) -> tuple[str, str]:
    """Write runs with these labels; return their URIs."""
    for name, labels in (("a", a), ("b", b)):
        write_run(folder / name, rows(labels), TYPES, parse=_PARSE)
    return str(folder / "a"), str(folder / "b")


def column(found: Comparison, name: str) -> Any:
    return next(each for each in found.columns if each.name == name)


def test_columns_of_results_parse_and_the_text_are_compared(tmp_path: Path) -> None:
    found = compare(*two_runs(tmp_path, ["x", "y", "x", None], ["x", "Y", "z", None]))
    assert [each.name for each in found.columns] == ["text", "label"]
    assert found.decided_by == ["label"]
    label = column(found, "label")
    assert (label.rows, label.equal.count, label.equal_normalised.count) == (3, 1, 2)
    assert column(found, "text").equal.count == 2
    assert found.different is not None
    assert found.different.count == 2


def test_rows_are_paired_whatever_their_shards(tmp_path: Path) -> None:
    """In another order, in files of other sizes, and with a rejected row."""
    own = rows(["x", "y", "z", "x", "y"])
    rejected = {"id": 9, "outcome": "rejected"}
    write_run(tmp_path / "a", [*own, rejected], TYPES, parse=_PARSE)
    write_run(tmp_path / "b", [*own[::-1], rejected], TYPES, parse=_PARSE, shard_rows=2)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert found.matching is not None
    assert found.different is not None
    assert (found.matching.both, found.different.count) == (6, 0)
    assert [(each.a, each.rows) for each in found.outcomes] == [("ok", 5), ("rejected", 1)]


def test_a_renamed_key_is_found(tmp_path: Path) -> None:
    """`source.rename` says which columns are the same."""
    write_run(tmp_path / "a", rows(["x", "y"]), TYPES)
    renamed = [{**row, "ticket": str(row["id"])} for row in rows(["x", "z"])]
    for row in renamed:
        del row["id"]
    types = {"ticket": pa.string(), "label": pa.string()}
    source = {"rename": {"id": "ticket"}}
    write_run(tmp_path / "b", renamed, types, key=["ticket"], source=source)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"), columns=["label"])
    assert found.matching is not None
    assert found.matching.key == [["id", "ticket"]]
    assert column(found, "label").equal.count == 1


def test_a_key_may_have_two_names(tmp_path: Path) -> None:
    """If nothing tells which columns are the same, both are named; so are columns of answers."""
    write_run(tmp_path / "a", rows(["x", "y"]), TYPES)
    other = [{"nr": i, "kind": "y", "record_id": str(i)} for i in range(2)]
    types = {"nr": pa.int32(), "kind": pa.string()}
    write_run(tmp_path / "b", other, types, key=["nr"])
    uris = str(tmp_path / "a"), str(tmp_path / "b")
    with pytest.raises(ConfigError, match=r"different keys, id and nr; .* --key id=nr"):
        compare(*uris)
    found = compare(*uris, key=["id=nr"], columns=["label=kind"])
    assert column(found, "label").names == ["label", "kind"]
    assert column(found, "label").equal.count == 1


def test_a_prefix_of_result_columns_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "a", rows(["x", "y"]), TYPES)
    write_run(tmp_path / "b", rows(["x", "y"]), TYPES, prefix="llm_")
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert column(found, "text").names == ["text", "llm_text"]
    assert column(found, "text").equal.count == 2


def test_answers_are_meant_if_the_source_has_columns_of_their_names(tmp_path: Path) -> None:
    """That is what `results.prefix` is for. A key is a column of the source."""
    types = {"id": pa.int64(), "label": pa.string(), "outcome": pa.string(), "llm_id": pa.string()}
    own = [{"id": i, "label": "source", "outcome": "source", "llm_id": "same"} for i in range(3)]
    for name in "ab":
        write_run(tmp_path / name, own, types, prefix="llm_")
        for path in (tmp_path / name).glob("results/*.parquet"):
            table = pq.read_table(path)
            answers = pa.array([f"{name}{i}" for i in range(table.num_rows)])
            table = table.append_column("llm_label", answers)
            ok = pa.array(["ok"] * table.num_rows)
            at = table.schema.names.index("llm_outcome")
            pq.write_table(table.set_column(at, "llm_outcome", ok), path)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"), columns=["label"])
    assert found.both_ok == 3
    assert column(found, "label").names == ["llm_label", "llm_label"]
    assert column(found, "label").equal.count == 0
    assert found.matching is not None
    assert found.matching.key == [["id", "id"]]


def test_without_a_key_equal_requests_are_paired(tmp_path: Path) -> None:
    """Rows of one record have one answer, and count once."""
    for name in "ab":
        own = [{**row, "record_id": f"r{row['id'] // 2}"} for row in rows(["x", "x", "y", "y"])]
        write_run(tmp_path / name, own, TYPES, key=())
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert found.matching is not None
    assert (found.matching.both, found.matching.repeated) == (2, [2, 2])
    assert "by record_id" in found.notes[0]


def test_columns_that_one_run_has_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", rows(["x"]), TYPES, parse="label string")
    write_run(tmp_path / "b", rows(["x"]), TYPES, parse="tag int")
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert [each.name for each in found.columns] == ["text"]
    assert found.notes == [
        "only A has the columns label: they are not compared",
        "only B has the columns tag: they are not compared",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": ["nope"]}, r"--key nope: the results of \S+ have no such column; they have id, l"),
        ({"columns": ["nope"]}, "--column nope: the results of"),
        ({"outcomes": ["fine"]}, "--outcome fine: is none of ok, invalid"),
        ({"gold": "x.csv"}, "--gold and --gold-column go together"),
        ({"gold": "no/x.csv", "gold_column": "label"}, "there is no such file or folder"),
        ({"engine": "spark"}, "with Spark only"),
        ({"gold": "hdfs://h/x", "gold_column": "label"}, "its format is not known"),
        ({"gold": "hdfs://h/x.parquet", "gold_column": "label"}, "the table of true values can be"),
        ({"gold": "catalog.truth", "gold_column": "label"}, "the table of true values can be"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(*two_runs(tmp_path, ["x"], ["x"]), **options)


def test_one_run_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name a second run, or a table of true values"):
        compare(two_runs(tmp_path, ["x"], ["x"])[0])


def test_a_shard_that_is_not_collected_is_named(tmp_path: Path) -> None:
    uris = two_runs(tmp_path, ["x"] * 4, ["x"] * 4)
    (tmp_path / "b" / layout.results_key("shard-00001-00")).unlink()
    with pytest.raises(RunFolderError, match="shard-00001-00 has no results yet"):
        compare(*uris)


def test_a_shard_with_other_columns_is_named(tmp_path: Path) -> None:
    uris = two_runs(tmp_path, ["x"] * 4, ["x"] * 4)
    path = tmp_path / "b" / layout.results_key("shard-00001-00")
    pq.write_table(pq.read_table(path).drop_columns(["label"]), path)
    with pytest.raises(RunFolderError, match=r"no column label, .* run collect again"):
        compare(*uris)


def test_more_rows_than_fit_into_memory_need_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_runs, "MOST_ROWS", 3)
    uris = two_runs(tmp_path, ["x", "y"], ["x", "y"])
    with pytest.raises(ConfigError, match="4 rows, more than 3, can be compared with Spark only"):
        compare(*uris)
    assert compare(*uris, engine="memory").both_ok == 2


def test_examples_have_the_answers_of_both(tmp_path: Path) -> None:
    """Of any row that differs, also in a later row group; without samples there is none."""
    uris = two_runs(tmp_path, ["x"] * 6, ["x"] * 4 + ["y", "x"])
    path = tmp_path / "b" / layout.results_key("shard-00001-00")
    pq.write_table(pq.read_table(path), path, row_group_size=1)
    assert compare(*uris).examples == []
    (example,) = compare(*uris, samples=5).examples
    assert example.key == {"id": 4}
    assert example.a is not None
    assert example.b is not None
    assert example.a.values == {"label": "x", "text": "It is x."}
    assert example.b.values == {"label": "y", "text": "It is y."}


def test_rare_labels_are_named_only_with_samples(tmp_path: Path) -> None:
    """They may be an answer that says something of one row."""
    uris = two_runs(tmp_path, [*["x"] * 6, "Bob"], [*["x"] * 6, "Bob"])
    found = compare(*uris)
    assert [(each.first, each.rows) for each in column(found, "label").values] == [("x", 6)]
    assert column(found, "label").others == 1
    assert "Bob" not in json.dumps(asdict(found)).replace("It is Bob", "")
    assert len(column(compare(*uris, samples=1), "label").values) == 2


def test_texts_that_all_differ_are_no_labels(tmp_path: Path) -> None:
    labels = [str(i) for i in range(8)]
    label = column(compare(*two_runs(tmp_path, labels, labels)), "label")
    assert (label.values, label.kappa) == (None, None)


def test_only_rows_of_an_outcome_are_compared(tmp_path: Path) -> None:
    own = rows(["x", "y", "z"])
    own[1]["outcome"] = "truncated"
    write_run(tmp_path / "a", own, TYPES)
    write_run(tmp_path / "b", rows(["x", "y", "z"]), TYPES)
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"), outcomes=["truncated"])
    assert found.matching is not None
    assert (found.matching.both, found.matching.left_out) == (1, [2, 2])
    assert [(each.a, each.b, each.rows) for each in found.outcomes] == [("truncated", "ok", 1)]


def as_csv(folder: Path, table: pa.Table) -> Any:
    path = folder / "gold.csv"
    lines = ["id,truth", *(f"{r['id']},{r['truth'] or ''}" for r in table.to_pylist())]
    path.write_text("\n".join(lines))
    return str(path)


def as_parquet(folder: Path, table: pa.Table) -> Any:
    (folder / "gold").mkdir()
    pq.write_table(table.slice(0, 2), folder / "gold" / "part-0.parquet")
    pq.write_table(table.slice(2), folder / "gold" / "part-1.parquet")
    (folder / "gold" / "_SUCCESS").touch()
    (folder / "gold" / "_mark.json").write_text("{}")
    return str(folder / "gold") + "/"


def as_json_lines(folder: Path, table: pa.Table) -> Any:
    (folder / "gold.jsonl").write_text("\n".join(map(json.dumps, table.to_pylist())))
    return str(folder / "gold.jsonl")


def as_arrow(folder: Path, table: pa.Table) -> Any:
    return table


def as_pandas(folder: Path, table: pa.Table) -> Any:
    return table.to_pandas()


@pytest.mark.parametrize("form", [as_csv, as_parquet, as_json_lines, as_arrow, as_pandas])
def test_true_values_score_each_run(tmp_path: Path, form: Any) -> None:
    """Whatever form their table has. A row that is not ok is wrong."""
    own = rows(["x", "y", "x", "y"])
    own[3]["outcome"] = "error"
    write_run(tmp_path / "a", own, TYPES)
    write_run(tmp_path / "b", rows(["x", "x", "x", "y"]), TYPES)
    truth = ["x", "y", "y", "y", "x", None]
    table = pa.Table.from_pydict({"id": list(range(6)), "truth": truth})
    gold = form(tmp_path, table)
    uris = str(tmp_path / "a"), str(tmp_path / "b")
    found = compare(*uris, gold=gold, gold_column="truth=label")
    a, b = found.gold
    assert (a.run, a.column, a.accuracy.count, a.accuracy.of, a.answered) == ("a", "label", 2, 4, 3)
    assert (b.accuracy.count, b.accuracy.of) == (2, 4)
    assert a.matching.only == [1, 0]
    assert a.matching.left_out == [1, 0]
    assert a.labels is not None
    score = {each.label: each for each in a.labels}["y"]
    assert (score.rows, score.answered, score.correct, score.f1) == (3, 1, 1, 0.5)
    assert compare(uris[0], gold=gold, gold_column="truth=label").gold == [a]


def test_wrong_rows_are_the_examples_of_one_run(tmp_path: Path) -> None:
    uri, _ = two_runs(tmp_path, ["x", "y"], ["x", "y"])
    gold = pa.Table.from_pydict({"nr": [0, 1], "label": ["x", "z"]})
    found = compare(uri, gold=gold, gold_column="label", gold_key=["nr"], samples=4)
    (example,) = found.examples
    assert (example.key, example.truth, example.b) == ({"id": 1}, "z", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gold_column": "truth"}, "--gold-column truth: the table of true values has no such"),
        ({"gold_column": "label"}, "--gold: its table has no column id; .* --gold-key"),
        ({"gold_column": "label", "gold_key": ["nr", "nr"]}, "--gold-key: name 1 columns"),
    ],
)
def test_what_is_wrong_with_true_values_is_said(
    tmp_path: Path, options: Mapping[str, Any], message: str
) -> None:
    gold = pa.Table.from_pydict({"nr": [0], "label": ["x"]})
    with pytest.raises(ConfigError, match=message):
        compare(two_runs(tmp_path, ["x"], ["x"])[0], gold=gold, **options)


def test_a_folder_of_delta_lake_needs_spark(tmp_path: Path) -> None:
    (tmp_path / "gold" / "_delta_log").mkdir(parents=True)
    (tmp_path / "gold" / "_delta_log" / "0.json").write_text("{}")
    (tmp_path / "gold" / "a.parquet").write_bytes(b"x")
    uri = two_runs(tmp_path, ["x"], ["x"])[0]
    options: dict[str, Any] = {"gold": str(tmp_path / "gold"), "gold_column": "label"}
    with pytest.raises(ConfigError, match="the table of true values can be compared with Spark"):
        compare(uri, **options)
    with pytest.raises(ConfigError, match="this table can be read with Spark only"):
        compare(uri, **options, engine="memory")
    asked: list[Config] = []

    def start(config: Config) -> Any:
        asked.append(config)
        raise ConfigError("no Spark here")

    with pytest.raises(ConfigError, match="no Spark here"):
        compare(uri, **options, spark=start)
    assert asked[0].source.format == "delta"  # so the session gets the connector


def test_a_damaged_file_of_true_values_is_named(tmp_path: Path) -> None:
    (tmp_path / "gold.parquet").write_bytes(b"no parquet")
    uri = two_runs(tmp_path, ["x"], ["x"])[0]
    with pytest.raises(ConfigError, match=r"gold.parquet: cannot be read as parquet"):
        compare(uri, gold=str(tmp_path / "gold.parquet"), gold_column="label")


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    uris = two_runs(tmp_path, ["x"] * 4, ["x"] * 4)
    (tmp_path / "b" / layout.results_key("shard-00001-00")).write_bytes(b"no parquet")
    with pytest.raises(RunFolderError, match="results of shard-00001-00 are damaged"):
        compare(*uris)


@pytest.mark.parametrize("path", ["gold/truth.csv", "gold/"])
def test_true_values_are_read_from_s3(tmp_path: Path, path: str) -> None:
    """A file, or all files of a folder; another file whose name begins alike is not read."""
    uri, _ = two_runs(tmp_path, ["x", "y"], ["x", "y"])
    with s3_in_process() as client:
        client.put_object(Bucket="bucket", Key="gold/truth.csv", Body=b"id,label\n0,x\n1,x\n")
        client.put_object(Bucket="bucket", Key="gold.csv", Body=b"damaged")
        found = compare(uri, gold=f"s3://bucket/{path}", gold_column="label", region="us-east-1")
    assert (found.gold[0].accuracy.count, found.gold[0].accuracy.of) == (1, 2)


def test_one_name_stands_for_a_list_of_one(tmp_path: Path) -> None:
    """And not for a list of its letters."""
    uris = two_runs(tmp_path, ["x", "y"], ["x", "z"])
    gold = pa.Table.from_pydict({"nr": [0, 1], "label": ["x", "z"]})
    options: dict[str, Any] = {"gold": gold, "gold_column": "label"}
    found = compare(*uris, "id", "label", outcomes="ok", gold_key="nr", **options)
    lists = {"outcomes": ["ok"], "gold_key": ["nr"]}
    assert found == compare(*uris, ["id"], ["label"], **lists, **options)


def test_an_engine_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="engine = 'sprak': must be 'memory', 'spark' or None"):
        compare(*two_runs(tmp_path, ["x"], ["x"]), engine="sprak")


def test_a_column_of_a_may_be_compared_with_several_of_b(tmp_path: Path) -> None:
    write_run(tmp_path / "a", rows(["x", "y"]), TYPES)
    types = {**TYPES, "first": pa.string(), "second": pa.string()}
    own = [{**row, "first": "x", "second": "y"} for row in rows(["x", "y"])]
    write_run(tmp_path / "b", own, types)
    names = ["label=first", "label=second", "label=label"]
    found = compare(str(tmp_path / "a"), str(tmp_path / "b"), columns=names)
    assert [each.names for each in found.columns[1:]] == [
        ["label", "first"],
        ["label", "second"],
        ["label", "label"],
    ]
    assert [each.equal.count for each in found.columns[1:]] == [1, 1, 2]
    assert len(set(found.decided_by)) == 3


def test_true_values_of_a_column_by_its_whole_name_change_nothing_else(tmp_path: Path) -> None:
    """With a prefix, a column has two names: what decides whether a row differs is the same."""
    for name, label in (("a", "x"), ("b", "y")):
        types = {"id": pa.int64(), "llm_label": pa.string()}
        own = [{"id": i, "record_id": f"r{i}", "llm_label": label} for i in range(3)]
        write_run(tmp_path / name, own, types, parse=_PARSE, prefix="llm_")
    uris = str(tmp_path / "a"), str(tmp_path / "b")
    gold = pa.Table.from_pydict({"id": [0, 1, 2], "truth": ["x", "x", "y"]})
    found = compare(*uris, gold=gold, gold_column="truth=llm_label")
    assert found.decided_by == compare(*uris).decided_by == ["label"]
    assert [each.accuracy.count for each in found.gold] == [2, 1]


def test_a_number_that_is_none_is_text_in_an_example(tmp_path: Path) -> None:
    """JSON has no NaN."""
    types = {"id": pa.int64(), "score": pa.float64()}
    for name, score in (("a", float("nan")), ("b", 0.5)):
        write_run(tmp_path / name, [{"id": 0, "score": score}], types, parse="score double")
    (example,) = compare(str(tmp_path / "a"), str(tmp_path / "b"), samples=1).examples
    assert example.a is not None
    assert example.a.values["score"] == "NaN"
    json.dumps(asdict(example), allow_nan=False)


@pytest.mark.parametrize(
    ("columns", "most"), [(1, 4_000_000), (4, 4_000_000), (8, 2_000_000), (40, 400_000)]
)
def test_of_many_columns_fewer_rows_fit_into_memory(columns: int, most: int) -> None:
    assert compare_runs.most_rows(columns) == most


DAMAGED: dict[str, tuple[str, str]] = {
    "gold.csv": ("id,label\n0,x\n1,Mrs. Miller,x\n", r"as csv: .*Expected 2 columns, got 3$"),
    "gold.jsonl": ('{"id": 0}\n{"id": "Mrs. Miller', r"cannot be read as json$"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_row_of_true_values_is_not_quoted(name: str, tmp_path: Path) -> None:
    text, said = DAMAGED[name]
    (tmp_path / name).write_text(text)
    uri = two_runs(tmp_path, ["x"], ["x"])[0]
    with pytest.raises(ConfigError, match=said) as caught:
        compare(uri, gold=str(tmp_path / name), gold_column="label")
    assert caught.value.__suppress_context__
    assert "Miller" not in str(caught.value)


def test_compressed_true_values_need_spark(tmp_path: Path) -> None:
    (tmp_path / "gold.csv.gz").write_bytes(b"x")
    uri = two_runs(tmp_path, ["x"], ["x"])[0]
    with pytest.raises(ConfigError, match="can be compared with Spark only"):
        compare(uri, gold=str(tmp_path / "gold.csv.gz"), gold_column="label")


def test_runs_in_s3_have_the_same_numbers(tmp_path: Path) -> None:
    """Though several files are read at once. The first shard that is missing is named."""
    labels = [f"l{i % 3}" for i in range(30)]
    uris = two_runs(tmp_path, labels, labels[::-1])
    expected = compare(*uris, samples=3)
    with s3_in_process() as client:
        for path in tmp_path.glob("[ab]/**/*"):
            if path.is_file():
                key = str(path.relative_to(tmp_path))
                client.put_object(Bucket="bucket", Key=key, Body=path.read_bytes())
        options: dict[str, Any] = {"region": "us-east-1", "samples": 3}
        found = compare("s3://bucket/a", "s3://bucket/b", **options)
        for number in (2, 7):
            name = layout.results_key(f"shard-{number:05d}-00")
            client.delete_object(Bucket="bucket", Key=f"b/{name}")
        with pytest.raises(RunFolderError, match="shard-00002-00 has no results yet"):
            compare("s3://bucket/a", "s3://bucket/b", **options)
    assert (found.matching, found.columns) == (expected.matching, expected.columns)
    assert (found.different, found.examples) == (expected.different, expected.examples)


def test_rows_of_both_runs_are_chosen_before_they_are_paired(tmp_path: Path) -> None:
    """A row that is chosen in one run only has no partner. Samples show the chosen rows."""
    runs = two_runs(tmp_path, ["x", "y", "x", "z", None], ["x", "y", "q", "x", "x"])
    found = compare(*runs, where="label = 'x' AND id < 4", samples=5)
    assert found.matching is not None
    assert (found.matching.both, found.matching.only) == (1, [1, 1])
    by_id = compare(*runs, where="id IN (2, 3, 4) AND outcome = 'ok'", samples=5)
    assert by_id.matching is not None
    assert by_id.matching.both == 3
    assert sorted(example.key["id"] for example in by_id.examples) == [2, 3, 4]
    assert by_id.notes == [
        "only rows are compared for which this is true: id IN (2, 3, 4) AND outcome = 'ok'"
    ]
    assert by_id.a.rows == 5
    for where, message in (
        ("nothing = 1", "--where nothing: the results of"),
        ("id LIKE 'x'", "LIKE needs a text"),
        ("id =", "ends too early"),
    ):
        with pytest.raises(ConfigError, match=message):
            compare(*runs, where=where)
