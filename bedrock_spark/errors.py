"""Every error this package raises, in one tree.

    BedrockSparkError
    ├── ConfigError            the config, or the source it names, cannot be used; nothing was spent
    ├── PlanError              the rows cannot become shards; nothing was spent
    │   ├── DuplicateKeyError  the same key on more than one row
    │   └── TooManyRejectsError more rows than allowed cannot become records
    ├── StorageError           an object could not be read or written
    │   ├── AlreadyExistsError a create-only-if-absent lost the race
    │   ├── ObjectChangedError a replace-only-this-version lost the race
    │   └── StorageUnavailableError throttled or without a reply: the same call may succeed later
    ├── RunFolderError         the run folder belongs to something else, or is damaged
    │   ├── RunHeldError       another process drives the run
    │   └── RunStoppedError    nothing more is submitted until the run is resumed
    ├── JobError               a batch job call did not do what was asked
    │   ├── JobRejectedError       the service refused it and would refuse it again
    │   ├── JobThrottledError      slower, please: back off and repeat the same call
    │   ├── NoFreeSlotError        the account runs as many jobs as it may: wait for one to end
    │   ├── JobNameInUseError      a job of this name exists: most likely our own
    │   └── JobStateUnknownError   no reply: it may or may not have happened
    ├── BudgetError            the run would cost more than it may
    ├── CanaryError            the model refuses the records; no batch job was submitted
    ├── InvokeError            one InvokeModel or Converse call failed
    │   ├── InvokeRetryableError   worth the same call again
    │   │   ├── InvokeThrottledError   too many calls or tokens just now
    │   │   └── ModelNotReadyError     not yet, but soon
    │   ├── InvokeRecordError      this record will never be answered
    │   │   └── NotStreamedError       not by a stream: ask without one
    │   └── InvokeRefusedError     no record will be answered: access, model id, quota of zero
    ├── AnswerCutOffError      a streamed answer broke off: what came of it is not the whole
    ├── ProvisionedModelError  the provisioned throughput cannot serve
    ├── UnreadableOutputError  answers that were paid for cannot be read
    └── UnaccountedRowsError   rows went in and not all came out: the run's proof failed

A message says what, which one, and what to do. Ids are attributes. No message ever holds a prompt,
an answer or a credential. Every error survives pickling, because executors send them to the driver.
"""

from __future__ import annotations

from typing import Any


class BedrockSparkError(Exception):
    """Base of every error raised on purpose by this package."""

    def __init__(self, message: str, **ids: Any) -> None:
        super().__init__(message)
        self.ids = ids

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles only its args; the keyword attributes would be lost on the way back
        # from an executor.
        return _rebuild, (type(self), str(self), self.ids)


def _rebuild(kind: type[BedrockSparkError], message: str, ids: dict[str, Any]) -> BedrockSparkError:
    return kind(message, **ids)


class ConfigError(BedrockSparkError):
    """The config, or the source it names, cannot be used."""


class PlanError(BedrockSparkError):
    """The rows cannot become shards."""


class DuplicateKeyError(PlanError):
    """The same key stands on more than one row."""


class TooManyRejectsError(PlanError):
    """More rows than the config allows cannot become records."""


class StorageError(BedrockSparkError):
    """An object could not be read or written."""


class AlreadyExistsError(StorageError):
    """Something is already there, and the write was create-only."""


class ObjectChangedError(StorageError):
    """Another version is there than the one that was to be replaced."""


class StorageUnavailableError(StorageError):
    """S3 throttles, fails or does not answer: the same call may succeed later."""


class RunFolderError(BedrockSparkError):
    """The run folder belongs to another config, or is damaged."""


class RunHeldError(RunFolderError):
    """Another process drives the run, and only one may."""


class RunStoppedError(RunFolderError):
    """The run was stopped: nothing more is submitted until somebody runs it again."""


class JobError(BedrockSparkError):
    """A call about a batch job did not do what was asked."""


class JobRejectedError(JobError):
    """The service refused the job and would refuse it again."""


class JobThrottledError(JobError):
    """The service asks for fewer calls: back off and repeat."""


class NoFreeSlotError(JobError):
    """As many jobs are active as the account may have."""


class JobNameInUseError(JobError):
    """A job of this name exists already."""


class JobStateUnknownError(JobError):
    """No reply came: the call may or may not have had its effect."""


class BudgetError(BedrockSparkError):
    """The run would cost more than budget.max_cost_usd; what was paid for is kept."""


class CanaryError(BedrockSparkError):
    """The model would not answer the records, or could not be asked; nothing was submitted."""


class InvokeError(BedrockSparkError):
    """An InvokeModel or Converse call failed. `ids` has error_code (HTTP) and error_type."""


class InvokeRetryableError(InvokeError):
    """The same call may succeed later."""


class InvokeThrottledError(InvokeRetryableError):
    """There were too many calls or tokens just now; this one was not carried out."""


class ModelNotReadyError(InvokeRetryableError):
    """The model cannot answer yet, but will."""


class InvokeRecordError(InvokeError):
    """The service will never answer this record."""


class NotStreamedError(InvokeRecordError):
    """The model does not stream its answer to this; without a stream it may answer."""


class InvokeRefusedError(InvokeError):
    """The service would refuse every record: access, model id."""


class AnswerCutOffError(BedrockSparkError):
    """A streamed answer broke off. `ids` has error_code (HTTP) and error_type."""


class ProvisionedModelError(BedrockSparkError):
    """The provisioned throughput cannot serve requests."""


class UnreadableOutputError(BedrockSparkError):
    """Too many of the answers cannot be read to ask, and pay, again."""


class UnaccountedRowsError(BedrockSparkError):
    """The rows that came out are not the rows that went in."""
