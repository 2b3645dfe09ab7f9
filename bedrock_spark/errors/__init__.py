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
    ├── AnswerStoreError       the store of answers is damaged, or a file of it was deleted
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

from bedrock_spark.errors.base import (
    BedrockSparkError,
    ExitCode,
    RowsWarning,
)
from bedrock_spark.errors.calls import (
    AnswerCutOffError,
    InvokeError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    InvokeThrottledError,
    ModelNotReadyError,
    NotStreamedError,
    ServiceTierError,
)
from bedrock_spark.errors.folder import (
    AlreadyExistsError,
    AnswerStoreError,
    ObjectChangedError,
    OtherRunError,
    RunCleanedError,
    RunFolderError,
    RunHeldError,
    RunStoppedError,
    StorageAccessError,
    StorageError,
    StorageUnavailableError,
)
from bedrock_spark.errors.inputs import (
    ConfigError,
    DuplicateKeyError,
    NullKeyError,
    OtherPlanError,
    PlanError,
    SourceError,
    TooManyRejectsError,
)
from bedrock_spark.errors.jobs import (
    JobError,
    JobNameInUseError,
    JobRejectedError,
    JobsNotStoppedError,
    JobStateUnknownError,
    JobsWithoutAnswersError,
    JobThrottledError,
    NoFreeSlotError,
    NoSlotAtAllError,
)
from bedrock_spark.errors.stages import (
    BudgetError,
    CanaryAccessError,
    CanaryError,
    EnvironmentBuildError,
    FallbackRefusedError,
    FallbackShareError,
    ModelUnavailableError,
    ProvisionedModelError,
    PublishError,
    SparkFailedError,
    UnaccountedRowsError,
)

__all__ = [
    "AlreadyExistsError",
    "AnswerCutOffError",
    "AnswerStoreError",
    "BedrockSparkError",
    "BudgetError",
    "CanaryAccessError",
    "CanaryError",
    "ConfigError",
    "DuplicateKeyError",
    "EnvironmentBuildError",
    "ExitCode",
    "FallbackRefusedError",
    "FallbackShareError",
    "InvokeError",
    "InvokeRecordError",
    "InvokeRefusedError",
    "InvokeRetryableError",
    "InvokeThrottledError",
    "JobError",
    "JobNameInUseError",
    "JobRejectedError",
    "JobStateUnknownError",
    "JobThrottledError",
    "JobsNotStoppedError",
    "JobsWithoutAnswersError",
    "ModelNotReadyError",
    "ModelUnavailableError",
    "NoFreeSlotError",
    "NoSlotAtAllError",
    "NotStreamedError",
    "NullKeyError",
    "ObjectChangedError",
    "OtherPlanError",
    "OtherRunError",
    "PlanError",
    "ProvisionedModelError",
    "PublishError",
    "RowsWarning",
    "RunCleanedError",
    "RunFolderError",
    "RunHeldError",
    "RunStoppedError",
    "ServiceTierError",
    "SourceError",
    "SparkFailedError",
    "StorageAccessError",
    "StorageError",
    "StorageUnavailableError",
    "TooManyRejectsError",
    "UnaccountedRowsError",
]

# A traceback and a pickle name each class by the module that it is imported from.
for _name in __all__:
    globals()[_name].__module__ = __name__
