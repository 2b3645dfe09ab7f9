"""The shape of an answer that a config asks for, and the body with it.

`request.schema` asks for a shape; without it, the columns of `results.parse` do, if a source says
that the model takes their schema and the answer stays a text. What is not asked of the model is
also checked when its answers are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bedrock_spark.config import Config
from bedrock_spark.config.answer_schema import NONE
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.bare_ids import bare_model_id
from bedrock_spark.families.base import Family
from bedrock_spark.families.column_schema import schema_of_columns
from bedrock_spark.families.registry import FAMILIES, family_of
from bedrock_spark.families.schema_lint import body_faults
from bedrock_spark.families.ways import Way
from bedrock_spark.schema import parse_ddl


@dataclass(frozen=True)
class AskedShape:
    """What a request asks of the shape of its answers.

    schema: what answers must be like; None if the config says nothing
    way: how the model is asked for it; None if it is not
    reason: why it is not; "" if it is, or if there is no schema
    """

    schema: Mapping[str, Any] | None = None
    way: Way | None = None
    reason: str = ""

    def put(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body that asks for the shape."""
        if self.schema is None or self.way is None:
            return dict(body)
        return self.way.put(body, self.schema)

    @property
    def line(self) -> str:
        """Return one line that says what is asked; "" if the config says nothing of a shape."""
        if self.schema is None:
            return ""
        names = ", ".join(self.schema["properties"])
        if self.way is None:
            return f"the model is not asked for {names} by a schema: {self.reason}"
        return f"the model is asked for {names} by {self.way.name}"


def build_body(config: Config) -> dict[str, Any]:
    """Return the body template of a prompt, with the shape that the config asks for.

    Raises ConfigError for an option that the model does not take.
    """
    body = family_of(config).build(config.request, bare_model_id(config.model.id))
    return asked_shape(config).put(body)


def asked_shape(config: Config) -> AskedShape:
    """Return the shape that a config asks for. Raises ConfigError if it cannot be asked for."""
    schema = _schema_of(config)
    if schema is None:
        return AskedShape()
    request, family = config.request, family_of(config)
    if request.schema == NONE:
        return AskedShape(schema, None, "request.schema is none")
    if request.prompt is None:
        return AskedShape(schema, None, "the body is the config's own")
    ways = {model_id: family.way_of(model_id) for model_id in _bare_ids(config, family)}
    way = ways[bare_model_id(config.model.id)]
    is_wanted = request.schema is not None
    differing = next((m for m, other in ways.items() if other != way), None)
    if differing is not None:
        reason = f"{differing} is not asked for a shape in the same way as {config.model.id}"
        advice = "use models that are, or set request.schema: none"
        return _refused(f"{reason}; {advice}") if is_wanted else AskedShape(schema, None, reason)
    if way is None:
        return _without_way(config, family, schema, is_wanted=is_wanted)
    if way.is_tool and request.tools:
        reason = "it needs a tool of its own, and request.tools has others"
        if is_wanted:
            return _refused(f"{config.model.id} is asked for it by a tool, and {reason}; keep one")
        return AskedShape(schema, None, reason)
    if is_wanted:
        return AskedShape(schema, way)
    if not way.by_default:
        hint = "; then the answer is in tool_input" if way.is_tool else ""
        reason = f"set request.schema: columns to ask by {way.name}{hint}"
        return AskedShape(schema, None, reason)
    asked = AskedShape(schema, way)
    faults = body_faults(asked.put({}), bare_model_id(config.model.id))
    return AskedShape(schema, None, f"it {faults[0].message}") if faults else asked


def _schema_of(config: Config) -> Mapping[str, Any] | None:
    if config.request.answer_schema is not None:
        return config.request.answer_schema
    parse = config.results.parse
    return schema_of_columns(parse_ddl(parse.columns)) if parse is not None else None


def _bare_ids(config: Config, family: Family) -> list[str]:
    """Return the ids of the models that get the bodies, as far as the ids show a model."""
    ids = [target.model_id for target in config.targets]
    ids += [] if config.fallback is None else [config.fallback.model_id]
    bare = [bare_model_id(model_id) for model_id in ids]
    named = [i for i in bare if not i.startswith("arn:")]
    return [bare_model_id(config.model.id), *named]


def _without_way(
    config: Config, family: Family, schema: Mapping[str, Any], *, is_wanted: bool
) -> AskedShape:
    bare = bare_model_id(config.model.id)
    own = next((f for f in FAMILIES if f.pattern and f.pattern.fullmatch(bare)), family)
    if own is not family and own.way_of(bare) is not None:
        reason = f"{config.model.id} takes no schema through Converse, and batch inference no tools"
        if config.model.invocation == "converse":
            reason += "; leave out model.invocation to ask in the model's own way"
        return _refused(reason) if is_wanted else AskedShape(schema, None, reason)
    reason = f"{config.model.id} takes none; describe the answer in the prompt"
    return AskedShape(schema, None, reason)


def _refused(reason: str) -> AskedShape:
    raise ConfigError(f"request.schema: {reason}")
