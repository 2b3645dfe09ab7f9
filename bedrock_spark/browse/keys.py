"""The id of the record that a key names."""

from __future__ import annotations

from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.shards.record_ids import record_id


def id_of_key(values: tuple[str, ...], config: Config) -> str:
    """Return the record id of a key: one value for each column of `source.key`, as text.

    Raises ConfigError if the ids of the run are not those of keys, or values are missing.
    """
    columns = config.source.key
    if config.hashes_bodies:
        raise ConfigError("--key: the record ids of this run are hashes of bodies; use --record")
    if len(values) != len(columns):
        raise ConfigError(f"--key: give one for each of {', '.join(columns)}, in this order")
    return record_id(values)
