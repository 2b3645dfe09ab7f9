"""The versions of a run's config: `config/0001.json`, `0002.json`, … in the run folder.

`run.json` has the config that the run was begun with. A process that carries the run on with
another config writes a version, so that `stop`, `status` and other commands without a config use
the newest one: its targets, role, prices and so on. A version has only what may change, and so
neither a prompt nor an option of the source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.config import Config, changing_part
from bedrock_spark.errors import AlreadyExistsError, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage

FORMAT = 1
_NAME = re.compile(rf"{layout.CONFIGS}/(\d{{4,}})\.json")
# Each further try means that another process wrote a version at the same time.
_TRIES = 20


def newest_config(storage: Storage, begun_with: Mapping[str, Any]) -> dict[str, Any]:
    """Return the newest config of a run as plain values.

    begun_with: the config in `run.json`
    Raises RunFolderError if the newest version is damaged, or of another format.
    """
    return {**begun_with, **_newest(storage, begun_with)[1]}


def record_config(
    storage: Storage, begun_with: Mapping[str, Any], config: Config, now: float
) -> None:
    """Write a version of the config, unless it is what the newest version says.

    begun_with: the config in `run.json`
    now: in seconds since the epoch
    """
    changing = changing_part(config.model_dump(mode="json"))
    for _ in range(_TRIES):
        number, newest = _newest(storage, begun_with)
        if newest == changing:
            return
        version = {"format": FORMAT, "at": now, "config": changing}
        data = json.dumps(version, indent=2, ensure_ascii=False).encode()
        try:
            storage.create(layout.config_key(number + 1), data)
        except AlreadyExistsError:
            continue
        return
    raise RunFolderError(
        f"{storage.uri}: other processes change the config of the run all the time"
    )


def _newest(storage: Storage, begun_with: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the number of the newest version, and its config; 0 is the one of `run.json`."""
    names = (_NAME.fullmatch(o.key) for o in storage.list(f"{layout.CONFIGS}/"))
    number = max((int(name[1]) for name in names if name), default=0)
    if not number:
        return 0, changing_part(begun_with)
    key = layout.config_key(number)
    try:
        version = json.loads(storage.read(key))
        if version["format"] != FORMAT:
            raise RunFolderError(
                f"{join_uri(storage.uri, key)}: has format {version['format']}, this version reads "
                f"{FORMAT}; use the version of bedrock-spark that wrote it"
            )
        return number, changing_part(version["config"])
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise RunFolderError(
            f"{join_uri(storage.uri, key)}: is not a version of the config; delete it"
        ) from exc
