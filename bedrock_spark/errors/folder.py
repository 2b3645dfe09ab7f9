"""Errors of stored objects, and of the run folder that they are in."""

from __future__ import annotations

from bedrock_spark.errors.base import BedrockSparkError, ExitCode


class StorageError(BedrockSparkError):
    """An object could not be read or written.

    key: the key of the object, or the path of the local file; None if the error is about no single
        object
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class AlreadyExistsError(StorageError):
    """The object exists already, and the write was create-only."""

    exit_code = ExitCode.FAILED


class ObjectChangedError(StorageError):
    """The object is not the version that the write was meant to replace."""

    exit_code = ExitCode.FAILED


class StorageUnavailableError(StorageError):
    """S3 throttles, fails or does not answer: the same call may succeed later."""

    exit_code = ExitCode.FAILED


class StorageAccessError(StorageError):
    """There are no credentials, or they do not allow the call."""

    exit_code = ExitCode.ACCESS


class AnswerStoreError(BedrockSparkError):
    """The store of answers is damaged, of another format, or lost a file while it was read.

    key: the key of the file, if it is about one
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class RunFolderError(BedrockSparkError):
    """The run folder belongs to another config, or is damaged."""

    exit_code = ExitCode.FAILED


class OtherRunError(RunFolderError):
    """The run folder holds a run of another config, Region or account."""

    exit_code = ExitCode.CONFIG


class RunCleanedError(RunFolderError):
    """The run was cleaned: what the command needs is deleted, and the run cannot go on."""

    exit_code = ExitCode.CONFIG


class RunHeldError(RunFolderError):
    """Another process controls the run, and only one may."""

    exit_code = ExitCode.BUSY


class RunStoppedError(RunFolderError):
    """The run was stopped: nothing more is submitted until somebody runs it again."""

    exit_code = ExitCode.HELD
