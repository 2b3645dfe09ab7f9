"""Say how the source of a run has changed, by what was noted of it. Reads nothing."""

from __future__ import annotations

from bedrock_spark.run_folder.manifest import SourceState


def change_of(before: SourceState | None, now: SourceState | None) -> str | None:
    """Return what has changed between two states of a source; None if nothing is known to have."""
    if before is None or now is None or before.is_handed_in != now.is_handed_in:
        return None
    if before.digest == now.digest:
        return None
    if before.versions != now.versions:
        versions = (", ".join(state.versions) or "none" for state in (before, now))
        return "version {} then, {} now".format(*versions)
    if (before.files, before.bytes) == (now.files, now.bytes):
        return "files were replaced"
    files = "file" if before.files == 1 else "files"
    return (
        f"{before.files:,} {files} with {before.bytes:,} bytes then, {now.files:,} with "
        f"{now.bytes:,} now"
    )
