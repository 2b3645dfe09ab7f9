"""Every error this package raises, in one tree.

    BedrockSparkError
    ├── ConfigError            the config, or the source it names, cannot be used; nothing was spent
    │   └── SourceError        Spark cannot read the source: a file, a value, a query
    ├── OtherPlanError         the run is not what its plan agreed on; nothing was spent
    ├── PlanError              the rows cannot become shards; nothing was spent
    │   ├── DuplicateKeyError  two or more rows have the same key
    │   └── TooManyRejectsError more rows than allowed cannot become records
    │       └── NullKeyError   most of them have no key
    ├── SparkFailedError       a stage failed in Spark: memory, disk, an unknown reason
    ├── StorageError           an object could not be read or written
    │   ├── AlreadyExistsError a create-only-if-absent lost the race
    │   ├── ObjectChangedError a replace-only-this-version lost the race
    │   ├── StorageUnavailableError throttled or without a reply: the same call may succeed later
    │   └── StorageAccessError no credentials, or they do not allow the call
    ├── RunFolderError         the run folder belongs to something else, or is damaged
    │   ├── OtherRunError      the folder's run has another config, Region or account
    │   ├── RunCleanedError    clean has deleted what the command needs
    │   ├── RunHeldError       another process controls the run
    │   └── RunStoppedError    nothing more is submitted until the run is resumed
    ├── JobsWithoutAnswersError the batch jobs answer no record: the run is held
    ├── NoSlotAtAllError       the account allows no active job: no wait would help
    ├── JobsNotStoppedError    jobs of a run that is being stopped run on, and bill
    ├── JobError               a call about a batch job failed
    │   ├── JobRejectedError       the service refused it and would refuse it again
    │   ├── JobThrottledError      too many calls: back off and repeat the same call
    │   ├── NoFreeSlotError        the account has its maximum of active jobs: wait for one to end
    │   ├── JobNameInUseError      a job of this name exists: most likely our own
    │   └── JobStateUnknownError   no reply: the call may or may not have had its effect
    ├── BudgetError            the run would cost more than its budget
    ├── ModelUnavailableError  a model has ended, or the account may not use it; nothing was spent
    ├── CanaryError            the model refuses the records; no batch job was submitted
    │   └── CanaryAccessError  the canary may not call the model at all
    ├── InvokeError            one InvokeModel or Converse call failed
    │   ├── InvokeRetryableError   the same call may succeed later
    │   │   ├── InvokeThrottledError   too many calls or tokens at the moment
    │   │   └── ModelNotReadyError     the model is still starting
    │   ├── InvokeRecordError      the model will never answer this record
    │   │   └── NotStreamedError       the model may answer it without a stream
    │   └── InvokeRefusedError     the model will answer no record: access, model id, quota of zero
    │       └── ServiceTierError       it does not offer the service tier of the call
    ├── AnswerCutOffError      a streamed answer broke off: only a part of it was received
    ├── FallbackShareError     batch jobs left more to the fallback than it may be asked for
    ├── FallbackRefusedError   its model refused many records alike, and answered none
    ├── ProvisionedModelError  the provisioned throughput cannot serve
    ├── PublishError           the results could not be written; every answer is in the run folder
    ├── EnvironmentBuildError  the packages for a cluster cannot be put together
    └── UnaccountedRowsError   rows went in and not all came out: the run's proof failed

A message says what failed, for which object, and what to do. Ids are attributes. No message ever
holds a row's value, a prompt, an answer or a credential. Every error survives pickling, because
executors send errors to the driver. Every class says with which code a command exits that it ends,
and has a paragraph in docs/errors.md.
"""

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


class ConfigError(BedrockSparkError):
    """The config, or the source it names, cannot be used."""

    exit_code = ExitCode.CONFIG


class SourceError(ConfigError):
    """Spark cannot read the source."""

    exit_code = ExitCode.CONFIG


class SparkFailedError(BedrockSparkError):
    """A stage failed in Spark, and no error of this package is the reason. Its cause has it all."""

    exit_code = ExitCode.FAILED


class OtherPlanError(BedrockSparkError):
    """The run is not what the plan that was handed in has agreed on; nothing was submitted."""

    exit_code = ExitCode.CONFIG


class PlanError(BedrockSparkError):
    """The rows cannot become shards."""

    exit_code = ExitCode.CONFIG


class DuplicateKeyError(PlanError):
    """Two or more rows have the same key.

    rows: the number of rows that repeat the key of another row
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, message: str, *, rows: int | None = None) -> None:
        super().__init__(message)
        self.rows = rows


class TooManyRejectsError(PlanError):
    """More rows than the config allows cannot become records."""

    exit_code = ExitCode.ROWS


class NullKeyError(TooManyRejectsError):
    """More rows than the config allows cannot become records, and most of them have no key."""

    exit_code = ExitCode.ROWS


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


class JobsWithoutAnswersError(BedrockSparkError):
    """The batch jobs answer no record: nothing more is submitted until somebody runs it again."""

    exit_code = ExitCode.HELD


class NoSlotAtAllError(BedrockSparkError):
    """The account allows no active job of the model, at none of the run's targets."""

    exit_code = ExitCode.HELD


class JobsNotStoppedError(BedrockSparkError):
    """The service does not let the caller stop some jobs: they run on, and are billed."""

    exit_code = ExitCode.FAILED


class JobError(BedrockSparkError):
    """A call about a batch job, or another call of the control plane, failed.

    job_name, job_arn: the job that the call was about, by the one that the call names it by
    error_code: the HTTP status of the reply, 0 if it has none; None without a reply
    error_type: the service's code, such as ThrottlingException; None without a reply
    retry_after: the seconds that the service asks the caller to wait, if it does
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str,
        *,
        job_name: str | None = None,
        job_arn: str | None = None,
        error_code: int | None = None,
        error_type: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.job_name = job_name
        self.job_arn = job_arn
        self.error_code = error_code
        self.error_type = error_type
        self.retry_after = retry_after


class JobRejectedError(JobError):
    """The service refused the job and would refuse it again."""

    exit_code = ExitCode.ACCESS


class JobThrottledError(JobError):
    """The service asks for fewer calls: back off and repeat."""

    exit_code = ExitCode.FAILED


class NoFreeSlotError(JobError):
    """The account has its maximum of active jobs."""

    exit_code = ExitCode.FAILED


class JobNameInUseError(JobError):
    """A job of this name exists already."""

    exit_code = ExitCode.FAILED


class JobStateUnknownError(JobError):
    """No reply came: the call may or may not have had its effect."""

    exit_code = ExitCode.FAILED


class BudgetError(BedrockSparkError):
    """The run would cost more than budget.max_cost_usd; what was paid for is kept."""

    exit_code = ExitCode.BUDGET


class ModelUnavailableError(BedrockSparkError):
    """A model of the config has ended, or the account may not use it; nothing was spent."""

    exit_code = ExitCode.ACCESS


class CanaryError(BedrockSparkError):
    """The model refuses the records, or could not be called; nothing was submitted.

    asked, refused: the number of records that the canary sent, and of those that the model refused;
        None if the model refused every call
    """

    exit_code = ExitCode.CANARY

    def __init__(
        self, message: str, *, asked: int | None = None, refused: int | None = None
    ) -> None:
        super().__init__(message)
        self.asked = asked
        self.refused = refused


class CanaryAccessError(CanaryError):
    """The caller may not call the model of the canary at all."""

    exit_code = ExitCode.ACCESS


class InvokeError(BedrockSparkError):
    """An InvokeModel or Converse call failed.

    error_code: the HTTP status, or the one that fits best if there was no reply; 0 for an error
        that the service sent inside a stream
    error_type: the service's code, such as ThrottlingException, or the name of the botocore error
    retry_after: the seconds that the service asks the caller to wait, if it does
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str,
        *,
        error_code: int | None = None,
        error_type: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.error_type = error_type
        self.retry_after = retry_after


class InvokeRetryableError(InvokeError):
    """The same call may succeed later."""

    exit_code = ExitCode.FAILED


class InvokeThrottledError(InvokeRetryableError):
    """There were too many calls or tokens at the moment; the service did not carry out this one."""

    exit_code = ExitCode.FAILED


class ModelNotReadyError(InvokeRetryableError):
    """The model cannot answer yet, but will."""

    exit_code = ExitCode.FAILED


class InvokeRecordError(InvokeError):
    """The service will never answer this record."""

    exit_code = ExitCode.FAILED


class NotStreamedError(InvokeRecordError):
    """The model does not stream its answer to this record; without a stream it may answer."""

    exit_code = ExitCode.FAILED


class InvokeRefusedError(InvokeError):
    """The service would refuse every record: access, model id."""

    exit_code = ExitCode.ACCESS


class ServiceTierError(InvokeRefusedError):
    """The model does not offer the service tier of the call: set fallback.service_tier: default."""

    exit_code = ExitCode.ACCESS


class AnswerCutOffError(BedrockSparkError):
    """A streamed answer broke off.

    error_code, error_type: those of the InvokeError that ended the stream
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self, message: str, *, error_code: int | None = None, error_type: str | None = None
    ) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.error_type = error_type


class FallbackShareError(BedrockSparkError):
    """Batch jobs left more records unanswered than fallback.max_share; none of them was asked."""

    exit_code = ExitCode.HELD


class FallbackRefusedError(BedrockSparkError):
    """The model of the fallback refused many records alike and answered none."""

    exit_code = ExitCode.HELD


class ProvisionedModelError(BedrockSparkError):
    """The provisioned throughput cannot serve requests."""

    exit_code = ExitCode.FAILED


class PublishError(BedrockSparkError):
    """The results could not be written to their place. Every answer is kept in the run folder."""

    exit_code = ExitCode.PUBLISH


class UnaccountedRowsError(BedrockSparkError):
    """The rows that came out are not the rows that went in."""

    exit_code = ExitCode.FAILED


class EnvironmentBuildError(BedrockSparkError):
    """The archive of packages for a cluster cannot be built."""

    exit_code = ExitCode.FAILED
