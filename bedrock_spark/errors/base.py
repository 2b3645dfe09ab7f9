"""The base of all errors, and the exit codes of commands."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit codes of every command, by kind. They are stable: a scheduler may rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    TO_PAY = 2  # of `plan`, whose wrong use ends with CONFIG
    CONFIG = 3
    ACCESS = 4
    BUDGET = 5
    CANARY = 6
    ROWS = 7
    HELD = 8
    PUBLISH = 9
    MORE_TO_DO = 10
    BUSY = 11
    INTERRUPTED = 130
    TERMINATED = 143

    @property
    def topic(self) -> str:
        """Return the name of its paragraph in docs/errors.md, such as `more-to-do`."""
        return self.name.lower().replace("_", "-")


class BedrockSparkError(Exception):
    """Base of every error raised on purpose by this package.

    Catch a subclass for a failure that has its own remedy, and this class for all others:

    ```
    try:
        pipeline.watch()
    except JobRejectedError as exc:
        print(f"The service refuses the job {exc.job_name} ({exc.error_type}): {exc}")
    except BedrockSparkError as exc:
        print(f"The run cannot go on: {exc}")
    ```

    A subclass takes the message and then its attributes as optional keyword arguments. So the
    pickling of `Exception` is enough: it calls the class with the message, and then restores the
    attributes.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    topic: ClassVar[str] = "failed"

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __init_subclass__(cls) -> None:
        """Name the paragraph of docs/errors.md by the class: no-free-slot of NoFreeSlotError."""
        words = re.findall("[A-Z][a-z]+", cls.__name__.removesuffix("Error"))
        cls.topic = "-".join(words).lower()


class RowsWarning(UserWarning):
    """More rows of a finished run were rejected, or have no answer, than the config allows."""
