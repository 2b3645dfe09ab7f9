"""Check a config with stages: every problem of every stage at once, as `check.py` does for one run.

A problem that all stages have is named once. Any other names its stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.check import problems_of
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig, Reading, StagesReading, read_stages
from bedrock_spark.config.overlaps import (
    named_folders,
    named_results,
    named_source,
    overlap_of_results,
)
from bedrock_spark.config.places import Relation
from bedrock_spark.config.problems import Problem
from bedrock_spark.config_file import read_file
from bedrock_spark.errors import ConfigError


@dataclass(frozen=True)
class Stage:
    """A run of a config with stages.

    source: the stage whose rows it reads; None for the source of the config
    """

    name: str
    source: str | None
    config: Config


@dataclass(frozen=True)
class Stages:
    """The runs of a config with stages, in the order in which they run."""

    run_uri: str
    stages: tuple[Stage, ...]

    @property
    def max_cost(self) -> Decimal | None:
        """Return the most dollars of all stages together."""
        return self.stages[0].config.budget.max_cost_usd

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the stages."""
        return tuple(stage.name for stage in self.stages)


def check_stages(config: AnyConfig, overrides: Iterable[str] = ()) -> Stages | None:
    """Return the stages of a config; None if it has none, or its name ends with one of them.

    overrides: `key=value` for the common part, `stages.NAME.key=value` for one stage
    Raises ConfigError that names every problem of every stage.
    """
    found = read_stages(config, overrides, read=read_file)
    if found is None:
        return None
    problems = {
        name: [*reading.problems, *(problems_of(reading.draft) if reading.draft else ())]
        for name, reading in found.stages.items()
    }
    located = [*_of_stages(found, problems)]
    located += [found.origin.located(each) for each in found.problems]
    configs = {n: r.config for n, r in found.stages.items() if r.config is not None}
    if not located:
        located += [found.origin.located(each) for each in _shared_places(configs)]
        located += [found.origin.located(each) for each in _overwritten(configs)]
    if located:
        lines = list(dict.fromkeys(located))
        count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
        raise ConfigError("\n  ".join([f"{found.origin.name}: {count}", *lines]))
    stages = (Stage(name, found.sources[name], own) for name, own in configs.items())
    return Stages(next(iter(configs.values())).run_uri.rpartition("/")[0], tuple(stages))


def _of_stages(found: StagesReading, problems: dict[str, list[Problem]]) -> Iterator[str]:
    """Yield the problems of all stages with their places. What all stages have names none."""
    readings = found.stages
    texts = [_texts(readings[name], own) for name, own in problems.items()]
    shared = set(texts[0]).intersection(*texts[1:]) if len(texts) > 1 else set()
    for name, own in problems.items():
        origin = readings[name].origin
        for each in own:
            text = origin.located(each, is_common=True)
            yield text if text in shared else origin.located(each)


def _texts(reading: Reading, problems: Iterable[Problem]) -> set[str]:
    return {reading.origin.located(each, is_common=True) for each in problems}


def _shared_places(configs: dict[str, Config]) -> Iterator[Problem]:
    """Yield the stages that would publish over one another."""
    published = [
        (name, config, place)
        for name, config in configs.items()
        if (place := named_results(config.results)) is not None
    ]
    for i, (first, _, place) in enumerate(published):
        for second, config, other in published[i + 1 :]:
            relation = other.place.relation(place.place)
            is_merged = relation is Relation.EQUAL and config.results.mode == "merge"
            if relation is not Relation.APART and not is_merged:
                yield Problem(
                    f"stages: {second} publishes to {other}, which {relation.value} the place of "
                    f"{first}: name another place in the results of one of them, or merge by "
                    f"results.mode: merge in {second}"
                )


def _overwritten(configs: dict[str, Config]) -> Iterator[Problem]:
    """Yield the stages that would publish over the source, or over the run of another stage."""
    first = next(iter(configs.values()), None)
    source = named_source(first.source) if first is not None else None
    kept = [place for config in configs.values() for place in named_folders(config.run_uri, ())]
    for name, config in configs.items():
        written = named_results(config.results)
        for place in [source, *kept]:
            message = overlap_of_results(written, place) if written and place else None
            if message is not None:
                yield Problem(f"stages: {name}: {message}")
