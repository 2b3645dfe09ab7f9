"""The parts of one emulator, from a fresh state or from the state that a folder holds."""

from __future__ import annotations

import logging
from collections.abc import Callable

import moto.moto_server.werkzeug_app as moto_app

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.openai_backend import OpenAIBackend
from bedrock_emulator.answers.prompt import Backend
from bedrock_emulator.answers.script import Answers, AnswerScript
from bedrock_emulator.batch.api import BatchApi
from bedrock_emulator.batch.event_queue import EventQueue, send_to_rules
from bedrock_emulator.batch.processing import JobWork
from bedrock_emulator.batch.runner import JobRunner
from bedrock_emulator.faults import Faults
from bedrock_emulator.http.admin import Admin
from bedrock_emulator.http.dispatch import Dispatcher
from bedrock_emulator.http.operations import Operation, Operations
from bedrock_emulator.models.catalog import Catalog
from bedrock_emulator.models.custom_models import CustomModels
from bedrock_emulator.models.profile_api import ProfileApi
from bedrock_emulator.models.provisioned import ProvisionedApi
from bedrock_emulator.runtime.guardrails import Guardrails
from bedrock_emulator.runtime.invoke import RuntimeApi
from bedrock_emulator.runtime.streams import StreamApi
from bedrock_emulator.s3.bucket_mirror import BucketMirror
from bedrock_emulator.s3.moto_clock import use_clock
from bedrock_emulator.s3.moto_instances import forget_instances
from bedrock_emulator.s3.objects import MotoObjects, ObjectStore, S3Objects, split_uri
from bedrock_emulator.settings import Settings
from bedrock_emulator.state.calls import Calls
from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.jobs import Job, JobRegistry
from bedrock_emulator.state.profiles import ProfileRegistry
from bedrock_emulator.state.store import Store
from bedrock_emulator.state.tags import TagRegistry
from bedrock_emulator.state.timeline import Timeline
from bedrock_emulator.state.usage import Usage
from bedrock_emulator.state.world import EmulatorState, FaultScript

log = logging.getLogger(__name__)


class Parts:
    """All parts of an emulator but its server. `start` lets time pass, `close` stops it.

    reset: puts other parts in the place of these
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        faults: Faults,
        answers: Answers,
        reset: Callable[[], None],
    ) -> None:
        self.world = EmulatorState(
            settings=settings,
            clock=clock,
            timeline=Timeline(clock),
            store=store,
            faults=FaultScript(faults, clock, settings.seed),
            jobs=JobRegistry(store),
            profiles=ProfileRegistry(store),
            usage=Usage(store),
            calls=Calls(),
            objects=_objects(settings),
            backend=_backend(settings),
            answers=AnswerScript(answers, settings.seed),
        )
        self._tags = TagRegistry(store)
        self._work = JobWork(self.world)
        self._runner = JobRunner(self.world, self._work)
        self._provisioned = ProvisionedApi(self.world, self._tags)
        use_clock(clock)
        forget_instances()
        admin = Admin(self.world, self._runner.catch_up, reset)
        operations = Operations(self.world, self._operations())
        moto = moto_app.DomainDispatcherApplication(moto_app.create_backend_app)
        self.app = Dispatcher(self.world, operations, admin, moto, self._mirror())

    def start(self) -> None:
        """Start the timeline; carry on what a restart interrupted."""
        jobs = self.world.jobs
        jobs.listen(_log_status)
        jobs.listen(send_to_rules)
        if self.world.settings.event_queue:
            jobs.listen(EventQueue(self.world.settings.event_queue).send)
        self.world.timeline.start()
        self._provisioned.resume()
        for job in jobs.all():
            if not job.is_settled:
                self._runner.resume(job)

    def close(self) -> None:
        """Stop the timeline, and the work of jobs after the records that are being processed.

        Calls that the fault script holds go on.
        """
        self.world.faults.holds.replace(())
        self.world.timeline.close()
        self._work.close()

    def _mirror(self) -> BucketMirror | None:
        settings = self.world.settings
        if settings.data is None or settings.s3_endpoint:
            return None
        mirror = BucketMirror(settings.data)
        mirror.restore()
        self.world.jobs.listen(lambda job: mirror.sync(split_uri(job.output_uri)[0]))
        return mirror

    def _operations(self) -> dict[str, Operation]:
        jobs = BatchApi(self.world, self._runner, self._tags)
        provisioned, tags = self._provisioned, self._tags
        guardrails = Guardrails(self.world)
        runtime = RuntimeApi(self.world, provisioned, guardrails)
        streams = StreamApi(self.world, runtime)
        profiles = ProfileApi(self.world, tags)
        catalog = Catalog(self.world)
        customs = CustomModels(self.world)
        tags.register(lambda arn: any(job.arn == arn for job in self.world.jobs.all()))
        tags.register(provisioned.exists)
        tags.register(profiles.exists)
        return {
            "CreateModelInvocationJob": jobs.create,
            "GetModelInvocationJob": jobs.get,
            "ListModelInvocationJobs": jobs.list,
            "StopModelInvocationJob": jobs.stop,
            "CreateProvisionedModelThroughput": provisioned.create,
            "GetProvisionedModelThroughput": provisioned.get,
            "ListProvisionedModelThroughputs": provisioned.list,
            "UpdateProvisionedModelThroughput": provisioned.update,
            "DeleteProvisionedModelThroughput": provisioned.delete,
            "TagResource": tags.tag,
            "UntagResource": tags.untag,
            "ListTagsForResource": tags.list,
            "ListFoundationModels": catalog.list,
            "GetFoundationModel": catalog.get,
            "GetFoundationModelAvailability": catalog.availability,
            "CreateInferenceProfile": profiles.create,
            "GetInferenceProfile": profiles.get,
            "ListInferenceProfiles": profiles.list,
            "DeleteInferenceProfile": profiles.delete,
            "GetCustomModel": customs.get,
            "ListCustomModels": customs.list,
            "ApplyGuardrail": guardrails.apply,
            "CountTokens": runtime.count_tokens,
            "InvokeModel": runtime.invoke,
            "Converse": runtime.converse,
            "InvokeModelWithResponseStream": streams.invoke,
            "ConverseStream": streams.converse,
        }


def _log_status(job: Job) -> None:
    log.info("job %s %s: %s", job.job_id, job.name, job.status)


def _objects(settings: Settings) -> ObjectStore:
    if settings.s3_endpoint:
        return S3Objects(settings.s3_endpoint, settings.region)
    return MotoObjects()


def _backend(settings: Settings) -> Backend:
    if settings.backend == "openai" and settings.backend_url:
        return OpenAIBackend(settings.backend_url, settings.backend_model)
    return DeterministicBackend()
