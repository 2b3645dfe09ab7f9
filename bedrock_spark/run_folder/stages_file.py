"""`stages.json`: the folder of a config with stages. Each stage is a run in a folder below it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.config.stages import NAME
from bedrock_spark.errors import OtherRunError, RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.storage import Storage, open_storage

STAGES_FILE = "stages.json"
FORMAT = 1


def read_stage_names(storage: Storage, folder: str = "") -> tuple[str, ...] | None:
    """Return the names of the stages below a folder, in order; None if it has none.

    folder: below the storage, with a `/` at its end, if it is not the storage itself

    Raises RunFolderError if the object is damaged.
    """
    data = storage.read_if_present(f"{folder}{STAGES_FILE}")
    if data is None:
        return None
    try:
        values = json.loads(data)
        if values["format"] != FORMAT:
            raise RunFolderError(f"{storage.uri}: {STAGES_FILE} has another format than {FORMAT}")
        names = tuple(stage["name"] for stage in values["stages"])
        # They become parts of keys and of a page.
        are_names = all(NAME.fullmatch(name) for name in names)
    except (ValueError, KeyError, TypeError) as exc:
        raise RunFolderError(f"{storage.uri}: {STAGES_FILE} is damaged; delete it") from exc
    if not are_names:
        raise RunFolderError(f"{storage.uri}: {STAGES_FILE} is damaged; delete it")
    return names


def stages_below(uri: str, aws: AwsSettings) -> tuple[str, ...] | None:
    """Return the names of the stages below a URI; None if it is the folder of a run, or of none."""
    return None if is_run(uri, aws) else read_stage_names(open_storage(uri, aws))


def is_run(uri: str, aws: AwsSettings) -> bool:
    """Tell whether there is a run in the folder at a URI."""
    return open_storage(uri, aws).read_if_present(layout.RUN_FILE) is not None


def write_stage_names(storage: Storage, names: Sequence[str]) -> None:
    """Write the names of the stages below a folder, unless they are written.

    Raises OtherRunError if the folder itself is that of a run.
    """
    if storage.read_if_present(layout.RUN_FILE) is not None:
        raise OtherRunError(
            f"{storage.uri}: is the folder of a run without stages: use a new run_uri"
        )
    if read_stage_names(storage) == tuple(names):
        return
    stages = [{"name": name, "run_uri": join_uri(storage.uri, name)} for name in names]
    data = json.dumps({"format": FORMAT, "stages": stages}, indent=2)
    storage.write(STAGES_FILE, data.encode())


def no_run(storage: Storage) -> RunFolderError:
    """Return the error for a folder that holds no run: the stages below it are named."""
    names = read_stage_names(storage)
    if names is None:
        return RunFolderError(f"{storage.uri}: holds no run; there is no {layout.RUN_FILE}")
    uris = ", ".join(join_uri(storage.uri, name) for name in names)
    return RunFolderError(
        f"{storage.uri}: is the folder of several stages, and this is about one run: name one of "
        f"{uris}"
    )
