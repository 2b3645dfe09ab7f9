"""Which columns of a source a config needs, and whether the source has them. Needs no Spark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families.request_body import check_columns
from bedrock_spark.schema import first_repeated, is_internal, is_reserved, is_usable
from bedrock_spark.templates.body_template import BodyTemplate

# Spark's default name: https://spark.apache.org/docs/latest/sql-data-sources-json.html
_CORRUPT = "_corrupt_record"


@dataclass(frozen=True)
class SourceColumns:
    """The columns of the key, the columns kept for the results, the columns that are rendered.

    corrupt: the column with the text of each record that Spark could not parse, if there is one
    decoded: the rendered columns in which U+FFFD stands for bytes that Spark could not decode
    has_unique_keys: whether it is known that no two rows have one key; see key_repeats.py
    """

    key: tuple[str, ...]
    kept: tuple[str, ...]
    rendered: tuple[str, ...]
    corrupt: str | None = None
    decoded: tuple[str, ...] = ()
    has_unique_keys: bool = False

    @property
    def needed(self) -> tuple[str, ...]:
        """Return every column that prepare reads."""
        corrupt = () if self.corrupt is None else (self.corrupt,)
        return tuple(dict.fromkeys((*self.kept, *self.rendered, *corrupt)))


def renamed_columns(names: Sequence[str], source: SourceConfig) -> list[str]:
    """Return the names of a source's columns after `source.rename`. Raises ConfigError."""
    if not source.rename:
        return list(names)
    check_columns(tuple(source.rename), names, "source.rename")
    several = next((name for name in source.rename if names.count(name) > 1), None)
    if several is not None:
        raise ConfigError(
            f"source.rename: the source has more than one column {several}; select one in "
            "source.sql"
        )
    return [source.rename.get(name, name) for name in names]


def choose_names(
    names: Sequence[str],
    source: SourceConfig,
    template: BodyTemplate,
    *,
    is_handed_in: bool = False,
) -> SourceColumns:
    """Check every column the config names against those of the source. Raises ConfigError.

    names: the columns of the source, after `source.rename`
    is_handed_in: the source is a DataFrame of the caller
    """
    # Spark ignores the case of column names, unless the session has spark.sql.caseSensitive.
    repeated = first_repeated(names)
    if repeated is not None:
        raise ConfigError(
            f"source: has more than one column {repeated}, if case is ignored; rename one by "
            "source.rename, or select others in source.sql"
        )
    corrupt = _corrupt_column(source, names)
    if corrupt is not None:
        _refuse_unparsed(source, corrupt, names, template)
    check_columns(source.key, names, "source.key")
    check_columns(source.columns or (), names, "source.columns")
    check_columns(template.columns, names, "request")
    kept = tuple(dict.fromkeys((*source.key, *(source.columns or names))))
    _refuse_reserved(kept, template.columns)
    decoded = () if is_handed_in or not _replaces_bytes(source) else template.columns
    columns = SourceColumns(source.key, kept, template.columns, corrupt, decoded)
    unusable = next((name for name in columns.needed if not is_usable(name)), None)
    if unusable is not None:
        raise ConfigError(
            f"source: its column {unusable!r} has a name that Spark cannot hand to Python (it has "
            f"a dot or a backtick, is * or is empty); rename it by source.rename: {{{unusable!r}: "
            "…}, or list the columns to keep, without it, in source.columns"
        )
    return columns


def _option(source: SourceConfig, *names: str) -> object:
    """Return an option of Spark's reader by any of its names, in lower case; None if not set."""
    return next((v for k, v in source.options.items() if k.lower() in names), None)


def _corrupt_column(source: SourceConfig, names: Sequence[str]) -> str | None:
    """Return the column in which Spark keeps records that it could not parse, if there is one."""
    name = str(_option(source, "columnnameofcorruptrecord") or _CORRUPT)
    name = source.rename.get(name, name)
    return name if name in names else None


def _refuse_unparsed(
    source: SourceConfig, corrupt: str, names: Sequence[str], template: BodyTemplate
) -> None:
    """Raise ConfigError if Spark could parse so little that columns of the config are missing."""
    wanted = (*source.key, *(source.columns or ()), *template.columns)
    missing = next((name for name in wanted if name not in names), None)
    if missing is not None:
        raise ConfigError(
            f"source: it has no column {missing}, and Spark could not parse records: it put them "
            f"into the column {corrupt}. {hint_for_corrupt(source)}".rstrip()
        )


def hint_for_corrupt(source: SourceConfig) -> str:
    """Return what to do if Spark could not parse records; "" if there is nothing to say."""
    if (source.format or "").lower() != "json" or _option(source, "multiline") is not None:
        return ""
    return (
        "If a file is one JSON array, or its objects span lines, set source.options: "
        "{multiLine: true}"
    )


def _replaces_bytes(source: SourceConfig) -> bool:
    """Tell whether Spark writes U+FFFD for bytes of this source that it cannot decode.

    It does so for CSV and XML, and for JSON and text not. If the config names an encoding, U+FFFD
    is taken for a character of the file.
    """
    is_decoded = source.path is not None and (source.format or "").lower() in ("csv", "xml")
    return is_decoded and _option(source, "encoding", "charset") is None


def _refuse_reserved(kept: Iterable[str], rendered: Iterable[str]) -> None:
    """Raise ConfigError for names that the package's own columns have, in whatever case."""
    for name in kept:
        if is_reserved(name):
            raise ConfigError(
                f"source: its column {name} has a name that the package's own columns have; rename "
                "it by source.rename, or list the columns to keep, without it, in source.columns"
            )
    for name in rendered:
        if is_internal(name):
            raise ConfigError(
                f"request: the column {name} has a name that the package's own columns have; "
                "rename it by source.rename"
            )


def refuse_key_type(name: str, kind: str, *, is_float: bool, is_nested: bool) -> None:
    """Raise ConfigError for a column that is no part of a key.

    kind: its type, for the message
    """
    if is_float:
        raise ConfigError(
            f"source.key: {name} is a {kind}, whose text is not the same "
            "everywhere; cast it to a decimal or a string"
        )
    if is_nested:
        raise ConfigError(f"source.key: {name} is a {kind}; name single values")
