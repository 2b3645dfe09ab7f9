"""A config with stages: the config of each, its problems, and the overrides that concern it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bedrock_spark.check import check_config
from bedrock_spark.check_stages import Stages, check_stages
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from tests.docs import ROOT
from tests.models import CLAUDE, NOVA
from tests.unit.fakes import ROLE

COMMON: dict[str, Any] = {
    "run_uri": "s3://my-bucket/runs/documents",
    "source": {"path": "s3://lake/documents.parquet", "key": "id"},
    "batch": {"role_arn": ROLE, "region": "us-east-1"},
    "model": NOVA,
    "request": {"prompt": "Which kind? {{ body }}", "max_tokens": 20, "temperature": 0},
}
FIRST = {"name": "first", "results": {"parse": ["label"]}}


def stages_of(*stages: Any, **common: Any) -> Stages:
    found = check_stages({**COMMON, **common, "stages": list(stages)})
    assert found is not None
    return found


def second(own: dict[str, Any], **common: Any) -> Config:
    """Return the config of a second stage with these keys."""
    return stages_of(FIRST, {"name": "second", **own}, **common).stages[1].config


def refused(*stages: Any, **common: Any) -> list[str]:
    """Return the problems of a config."""
    with pytest.raises(ConfigError) as caught:
        stages_of(*stages, **common)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_stage_is_a_run_on_the_rows_of_the_one_before() -> None:
    """In a folder of its name; or on those of an earlier one that it names."""
    third = {"name": "third", "from": "first", "outcome": ["error"], "source": {"columns": "body"}}
    found = stages_of(FIRST, {"name": "second", "where": "label = 'x'"}, third)
    folders = [f"s3://my-bucket/runs/documents/{name}" for name in found.names]
    assert [stage.config.run_uri for stage in found.stages] == folders
    assert found.run_uri == COMMON["run_uri"]
    first, middle, last = (stage.config.source for stage in found.stages)
    assert (first.path, first.key, first.run) == ("s3://lake/documents.parquet", ("id",), None)
    assert (middle.run, middle.where, middle.outcome) == (folders[0], "label = 'x'", ("ok",))
    assert (last.run, last.outcome, last.columns) == (folders[0], ("error",), ("body",))
    assert [stage.source for stage in found.stages] == [None, "first", "first"]


def test_its_own_keys_are_over_the_common_ones() -> None:
    """Key by key; but one of several keys that exclude each other replaces the others."""
    assert second({"request": {"max_tokens": 5}}).request.max_tokens == 5
    assert second({"request": {"max_tokens": 5}}).request.temperature == 0
    body = second({"request": {"body_column": "body"}}, request={"prompt": "{{ body }}"})
    assert (body.request.prompt, body.request.body_column) == (None, "body")
    published = second({"results": "s3://lake/b.parquet"}, results={"table": "a", "max_errors": 3})
    assert (published.results.table, published.results.max_errors) == (None, 3)
    model = second({"model": CLAUDE}, model={"id": NOVA, "invocation": "converse"}).model
    assert (model.id, model.invocation) == (CLAUDE, None)
    assert second({"fallback": None}, fallback=NOVA).fallback is None
    where = stages_of({**FIRST, "where": "id > 1"}, source="s3://lake/a.parquet").stages[0].config
    assert (where.source.path, where.source.where) == ("s3://lake/a.parquet", "id > 1")


@pytest.mark.parametrize(
    ("fallback", "own", "asked"),
    [
        (NOVA, {}, CLAUDE),
        ({"model_id": NOVA, "rounds": 1}, {"fallback": {"rounds": 2}}, CLAUDE),
        ("amazon.nova-micro-v1:0", {}, "amazon.nova-micro-v1:0"),
        (NOVA, {"fallback": NOVA}, NOVA),
    ],
)
def test_the_fallback_asks_the_model_of_the_stage(
    fallback: Any, own: dict[str, Any], asked: str
) -> None:
    """If it asks the common model in the common part, and the stage names no other."""
    config = second({"model": CLAUDE, **own}, fallback=fallback, model=NOVA)
    assert config.fallback is not None
    assert config.fallback.model_id == asked


def test_what_is_about_the_common_model_is_not_about_another_one() -> None:
    """Its prices are not those of the stage, and no job of the stage asks its models."""
    common: dict[str, Any] = {
        "prices": {"source": "none", "batch": {"input": 0.001, "output": 0.002}, "image": 3},
        "canary": {"model_id": f"us.{NOVA}", "records": 7},
        "targets": [{"model_id": NOVA}],
    }
    same = second({}, **common)
    assert (same.prices.image, same.canary.model_id, len(same.targets)) == (3, f"us.{NOVA}", 1)
    assert second({"model": NOVA}, **common) == same
    other = second({"model": "amazon.nova-pro-v1:0"}, **common)
    assert (other.prices.batch, other.prices.image, other.prices.source) == (None, None, "none")
    assert (other.canary.model_id, other.canary.records, other.targets) == (None, 7, ())
    own = {"model": "amazon.nova-pro-v1:0", "targets": [{"model_id": "us.amazon.nova-pro-v1:0"}]}
    assert [target.model_id for target in second(own, **common).targets] == [
        "us.amazon.nova-pro-v1:0"
    ]


PRO = "amazon.nova-pro-v1:0"


@pytest.mark.parametrize(
    "overrides",
    [
        [f"stages.second.model.id={PRO}"],
        [f"stages.second.model={PRO}"],
        [f'stages.second.model={{"id": "{PRO}"}}'],
        [json.dumps({"stages.second.model.id": PRO})],
        [f"stages.second.model.id={NOVA}", f"stages.second.model.id={PRO}"],
    ],
)
def test_a_model_of_the_command_line_is_another_model_too(overrides: list[str]) -> None:
    """What is about the common model is left out, as if the file named the stage's own."""
    common: dict[str, Any] = {
        "prices": {"source": "none", "batch": {"input": 0.001, "output": 0.002}},
        "targets": [{"model_id": NOVA}],
        "model": {"id": NOVA, "family": "nova"},
        "fallback": {"model_id": NOVA},
    }
    found = check_stages({**COMMON, **common, "stages": [FIRST, {"name": "second"}]}, overrides)
    named = stages_of(FIRST, {"name": "second", "model": PRO}, **common)
    assert found is not None
    assert [stage.config for stage in found.stages] == [stage.config for stage in named.stages]
    other = found.stages[1].config
    assert (other.model.id, other.prices.batch, other.targets) == (PRO, None, ())
    assert other.fallback is not None
    assert other.fallback.model_id == PRO


FAULTS: list[tuple[list[Any], str]] = [
    ([], "stages: must be a list of stages, each with a name"),
    (["first"], "stages[0]: must be keys with values"),
    ([{}], "stages[0].name: is required and has no default"),
    ([{"name": "First one"}], "stages[0].name = 'First one': must be 1 to 40 small letters"),
    ([FIRST, FIRST], "stages[1].name = 'first': another stage has this name"),
    ([{**FIRST, "from": "second"}], "stages[0].from = 'second': must be an earlier stage: none"),
    ([FIRST, {"name": "b", "from": "b"}], "stages[1].from = 'b': must be an earlier stage: first"),
    ([{**FIRST, "run_uri": "s3://b/c"}], "stages[0].run_uri: the run folder of a stage is its"),
    ([{**FIRST, "budget": 3}], "stages[0].budget: one budget counts for all stages together"),
    ([{**FIRST, "outcome": "ok"}], "stages[0].outcome: the first stage reads no rows of a stage"),
    ([FIRST, {"name": "b", "source": "a.csv"}], "stages[1].source: names a source, but the rows"),
    ([FIRST, {"name": "b", "source": {"sql": "SELECT 1"}}], "stages[1].source.sql: the rows are"),
    (
        [FIRST, {"name": "b", "where": "a", "source": {"where": "b"}}],
        "stages[1].where: is given in stages[1].source, too; keep one",
    ),
    ([FIRST, {"name": "b", "reqest": 3}], "stage b: reqest: unknown key; did you mean request?"),
    ([FIRST, {"name": "b", "model": "amazon.nova-litte-v1:0"}], "stage b: model.id = 'amazon."),
    (
        [{**FIRST, "results": "s3://lake/a"}, {"name": "b", "results": "s3a://lake/a/"}],
        "stages: b publishes to results.path = 's3a://lake/a/', which is the place of first",
    ),
    (
        [FIRST, {"name": "b", "results": "s3://lake/documents.parquet"}],
        "stages: b: results.path = 's3://lake/documents.parquet' is source.path",
    ),
    (
        [{**FIRST, "results": "s3://my-bucket/runs/documents/b/rows"}, {"name": "b"}],
        "stages: first: results.path = 's3://my-bucket/runs/documents/b/rows' is below run_uri",
    ),
]


@pytest.mark.parametrize(("stages", "said"), FAULTS)
def test_a_fault_names_the_stage(stages: list[Any], said: str) -> None:
    """And what to do. There is no other problem."""
    (line,) = refused(*stages)
    assert line.startswith(said), line


def test_a_fault_of_the_common_part_is_said_once() -> None:
    """Without a stage, though every stage has it."""
    lines = refused(FIRST, {"name": "b"}, batch={"role_arn": "x"}, sorce=1)
    assert [line.split(":")[0].split(" ")[0] for line in lines] == ["batch.role_arn", "sorce"]


def test_stages_that_merge_may_publish_to_one_place() -> None:
    """The later one replaces rows of the earlier one."""
    table = {"table": "answers", "format": "delta"}
    merged = {"name": "b", "outcome": "error", "results": {"mode": "merge"}}
    assert len(stages_of(FIRST, merged, results=table).stages) == 2


TEXT = """
run_uri: s3://my-bucket/runs/documents
source: {{path: a.parquet, key: id}}
batch: {{role_arn: {role}, region: us-east-1}}
model: {model}
stages:
  - name: first
    request: {{prompt: "{{{{ body }}}}", max_tokens: 9}}
  - name: second
    where: id > 1
    request: {{prompt: "{{{{ text }}}}", max_token: 8}}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "documents.yaml"
    path.write_text(TEXT.format(role=ROLE, model=NOVA))
    return str(path)


def test_a_problem_has_the_line_of_the_stage(file: str) -> None:
    """In a check of all stages, and of one: that of another stage is no problem of it."""
    for name in (file, f"{file}#second"):
        with pytest.raises(ConfigError, match=rf"{file}:11: stage second: request.max_token: unk"):
            check_config(name) if "#" in name else check_stages(name)
    assert check_config(f"{file}#first").request.max_tokens == 9


def test_one_run_needs_the_name_of_a_stage(file: str) -> None:
    """The message has the names."""
    with pytest.raises(ConfigError, match=r":6: stages: name one by --stage, .*: first, second"):
        check_config(file)
    with pytest.raises(ConfigError, match=":6: stages: has no stage third; it has first, second"):
        check_config(f"{file}#third")
    for name in ("First", "1", "", "a b"):
        with pytest.raises(ConfigError, match=f"has no stage {name or repr(name)}; it has first"):
            check_config(f"{file}#{name}")
    plain = Path(file).with_name("plain.json")
    plain.write_text(json.dumps(COMMON))
    with pytest.raises(ConfigError, match="has no stages, so it has no stage first"):
        check_config(f"{plain}#first")
    assert check_stages(str(plain)) is None


@pytest.mark.parametrize(
    "overrides",
    [
        ['stages.second.request={prompt: "{{ a }}", max_tokens: 5}', "model=amazon.nova-lite-v1:0"],
        [
            '{"stages.second.request": {"prompt": "{{ a }}", "max_tokens": 5}, "model.id": "'
            + NOVA
            + '"}'
        ],
    ],
)
def test_an_override_concerns_the_common_part_or_one_stage(file: str, overrides: list[str]) -> None:
    """`stages.NAME.key` one stage, any other key all of them."""
    found = check_stages(file, overrides)
    assert found is not None
    assert [stage.config.request.max_tokens for stage in found.stages] == [9, 5]
    assert len({stage.config.model.id for stage in found.stages}) == 1
    assert check_config(f"{file}#second", overrides) == found.stages[1].config
    with pytest.raises(ConfigError, match=r"--set stages\.other\.model: there is no stage other"):
        check_stages(file, ["stages.other.model=x"])


def test_an_override_has_the_keys_of_a_stage(file: str) -> None:
    """Also those that are short for keys of the source; but not those of the common part."""
    path = Path(file)
    path.write_text(path.read_text().replace("max_token:", "max_tokens:"))
    found = check_stages(file, ["stages.second.where=id > 7", "stages.second.outcome=[error]"])
    assert found is not None
    source = found.stages[1].config.source
    assert (source.where, source.outcome) == ("id > 7", ("error",))
    first = check_stages(file, ["source=a.parquet", "stages.first.where=id > 7"])
    assert first is not None
    assert (first.stages[0].config.source.path, first.stages[0].config.source.where) == (
        *("a.parquet", "id > 7"),
    )
    for key, why in (("run_uri", "the run folder of a stage"), ("budget", "one budget counts")):
        with pytest.raises(ConfigError, match=rf"--set stages\.second\.{key}: {why}"):
            check_stages(file, [f"stages.second.{key}=3"])


def test_the_example_of_the_page_is_valid() -> None:
    """docs/chains.md: a small model for all rows, a larger one for some of them."""
    page = (ROOT / "docs" / "chains.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml stages\n(.*?)```", page, re.DOTALL)
    found = check_stages(yaml.safe_load(block))
    assert found is not None
    assert found.names == ("classify", "extract")
    assert found.stages[1].config.fallback == found.stages[0].config.fallback.model_copy(
        update={"model_id": "amazon.nova-pro-v1:0"}
    )
