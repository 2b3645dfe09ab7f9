"""Which places of a config may not overlap: source, run folder, results, targets, kept answers.

Publishing deletes what is in its place, and every stage writes below the folder that it is given.
So if the results are published into the source, the source is gone; if they are published into the
run folder, all that was paid for is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bedrock_spark.config.answers import AnswersConfig
from bedrock_spark.config.places import (
    TABLE,
    Place,
    Relation,
    place_of,
    place_of_path,
    place_of_table,
)
from bedrock_spark.config.results import ResultsConfig
from bedrock_spark.config.source import SourceConfig
from bedrock_spark.config.targets import TargetConfig

_RUN, _ANSWERS, _COPY = "run_uri", "answers.uri", "answers.table"


@dataclass(frozen=True)
class NamedPlace:
    """A place, and the key and the value by which the config names it."""

    key: str
    value: str
    place: Place

    def __str__(self) -> str:
        return f"{self.key} = {self.value!r}"

    @property
    def is_table(self) -> bool:
        """Tell whether it is a table of a catalog."""
        return self.place.scheme == TABLE


def overlaps(
    run_uri: str,
    source: SourceConfig,
    results: ResultsConfig,
    targets: Sequence[TargetConfig],
    answers: AnswersConfig | None = None,
) -> list[str]:
    """Return a message for every two places of a config that must be apart and are not."""
    folders = named_folders(run_uri, targets, answers)
    read, written = named_source(source), named_results(results)
    return [
        *_overlaps_of_results(written, [read, *folders]),
        *_overlaps_of_copy(named_copy(answers), [read, written, *folders]),
        *_overlaps_of_source(read, folders),
        *_overlaps_of_folders(folders),
    ]


def named_folders(
    run_uri: str, targets: Sequence[TargetConfig], answers: AnswersConfig | None = None
) -> list[NamedPlace]:
    """Return the folders that the run writes to: its own, that of answers, those of targets."""
    store = [] if answers is None else [(_ANSWERS, answers.uri)]
    folders = [NamedPlace(key, uri, place_of_path(uri)) for key, uri in [(_RUN, run_uri), *store]]
    folders += [
        NamedPlace(f"targets[{i}].uri", target.uri, place_of_path(target.uri))
        for i, target in enumerate(targets)
        if target.uri is not None
    ]
    return folders


def named_source(source: SourceConfig) -> NamedPlace | None:
    """Return the place that the source names. A query names none."""
    if source.run is not None:
        return NamedPlace("source.run", source.run, place_of_path(source.run))
    place = place_of(source.path, source.table, is_pattern=True)
    if place is None:
        return None
    key = "source.path" if source.path is not None else "source.table"
    return NamedPlace(key, source.path or source.table or "", place)


def named_results(results: ResultsConfig) -> NamedPlace | None:
    """Return the place where the results are published, or None if there is none."""
    place = place_of(results.path, results.table)
    if place is None:
        return None
    key = "results.path" if results.path is not None else "results.table"
    return NamedPlace(key, results.place or "", place)


def named_copy(answers: AnswersConfig | None) -> NamedPlace | None:
    """Return the table into which the store of answers is copied, or None if there is none."""
    if answers is None or answers.table is None:
        return None
    path = answers.table_path
    place = place_of_table(answers.table) if path is None else place_of_path(path)
    return NamedPlace(_COPY, answers.table, place)


def overlap_of_copy(copy: NamedPlace, other: NamedPlace) -> str | None:
    """Return a message if the copy of the store of answers is not apart from another place."""
    return _overlap(
        copy,
        other,
        "the copy of the answers would be mixed with what is there; name a table of its own",
    )


def overlap_of_results(written: NamedPlace, other: NamedPlace) -> str | None:
    """Return a message if the place of the results is not apart from another place."""
    return _overlap(
        written,
        other,
        "publishing there would replace or mix up what is there; name a place for the results "
        "that is neither inside the other one nor around it",
    )


def _overlap(written: NamedPlace, other: NamedPlace, advice: str) -> str | None:
    """Return how two places overlap, with what follows and what to do; None if they are apart."""
    relation = written.place.relation(other.place)
    return None if relation is Relation.APART else f"{written} {relation.value} {other}: {advice}"


def _overlaps_of_results(
    written: NamedPlace | None, others: Sequence[NamedPlace | None]
) -> Iterator[str]:
    for other in others:
        message = overlap_of_results(written, other) if written and other else None
        if message is not None:
            yield message


def _overlaps_of_copy(
    copy: NamedPlace | None, others: Sequence[NamedPlace | None]
) -> Iterator[str]:
    for other in others:
        message = overlap_of_copy(copy, other) if copy and other else None
        if message is not None:
            yield message


def _overlaps_of_source(read: NamedPlace | None, folders: Sequence[NamedPlace]) -> Iterator[str]:
    """A source may be inside a folder; but a folder inside a source would be read as rows."""
    for folder in folders:
        relation = read.place.relation(folder.place) if read else Relation.APART
        if relation in (Relation.EQUAL, Relation.ABOVE):
            yield (
                f"{read} {relation.value} {folder}: what the run writes would be read as rows; "
                "use another folder"
            )


def _overlaps_of_folders(folders: Sequence[NamedPlace]) -> Iterator[str]:
    """Two targets may share one folder: each run has a folder of its own in it."""
    for i, first in enumerate(folders):
        for second in folders[i + 1 :]:
            relation = first.place.relation(second.place)
            may_be_equal = first.key not in (_RUN, _ANSWERS)
            if relation is Relation.APART or (may_be_equal and relation is Relation.EQUAL):
                continue
            yield (f"{first} {relation.value} {second}: use folders that are not inside each other")
