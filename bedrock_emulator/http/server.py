"""One emulator: creates its parts and serves them over HTTP on one port."""

from __future__ import annotations

import logging
import threading
from typing import Any

import moto.moto_server.werkzeug_app as moto_app
import werkzeug.serving

from bedrock_emulator.answers.deterministic import DeterministicBackend
from bedrock_emulator.answers.openai_backend import OpenAIBackend
from bedrock_emulator.answers.prompt import Backend
from bedrock_emulator.answers.script import Answers, AnswerScript
from bedrock_emulator.batch.api import BatchApi
from bedrock_emulator.batch.event_queue import EventQueue
from bedrock_emulator.batch.processing import JobWork
from bedrock_emulator.batch.runner import JobRunner
from bedrock_emulator.faults import Faults
from bedrock_emulator.http.admin import Admin
from bedrock_emulator.http.dispatch import Dispatcher
from bedrock_emulator.http.operations import Operations
from bedrock_emulator.models.catalog import Catalog
from bedrock_emulator.models.custom_models import get_custom_model
from bedrock_emulator.models.profile_api import ProfileApi
from bedrock_emulator.models.provisioned import ProvisionedApi
from bedrock_emulator.runtime.invoke import RuntimeApi
from bedrock_emulator.runtime.streams import StreamApi
from bedrock_emulator.s3.bucket_mirror import BucketMirror
from bedrock_emulator.s3.objects import MotoObjects, ObjectStore, S3Objects, split_uri
from bedrock_emulator.settings import Settings
from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.jobs import JobRegistry
from bedrock_emulator.state.profiles import ProfileRegistry
from bedrock_emulator.state.store import Store
from bedrock_emulator.state.tags import TagRegistry
from bedrock_emulator.state.timeline import Timeline
from bedrock_emulator.state.usage import Usage
from bedrock_emulator.state.world import EmulatorState, FaultScript

log = logging.getLogger(__name__)


class Emulator:
    """A local Bedrock and S3. `serve` blocks; `close` ends it from another thread."""

    def __init__(self, settings: Settings, faults: Faults, answers: Answers | None = None) -> None:
        self.settings = settings
        store = Store(settings.data)
        clock = _clock(settings, store)
        self.world = EmulatorState(
            settings=settings,
            clock=clock,
            timeline=Timeline(clock),
            store=store,
            faults=FaultScript(faults, clock, settings.seed),
            jobs=JobRegistry(store),
            profiles=ProfileRegistry(store),
            usage=Usage(store),
            objects=_objects(settings),
            backend=_backend(settings),
            answers=AnswerScript(answers or Answers(), settings.seed),
        )
        self._tags = TagRegistry(store)
        self._work = JobWork(self.world)
        self._runner = JobRunner(self.world, self._work)
        self._provisioned = ProvisionedApi(self.world, self._tags)
        self._server = werkzeug.serving.make_server(
            settings.host,
            settings.port,
            self._application(),
            threaded=True,
            request_handler=_QuietHandler,
        )
        self._closed = threading.Event()

    @property
    def endpoint_url(self) -> str:
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"http://{host}:{self._server.server_port}"

    def serve(self) -> None:
        """Answer requests until `close` is called."""
        self.world.jobs.listen(self._on_status)
        if self.settings.event_queue:
            self.world.jobs.listen(EventQueue(self.settings.event_queue).send)
        self.world.timeline.start()
        self._provisioned.resume()
        for job in self.world.jobs.all():
            if not job.is_settled:
                self._runner.resume(job)
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Stop the server and its threads, and save the emulated time. Can be called twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self.world.timeline.close()
        self._work.close()
        self._save_clock()
        self.world.store.close()

    def _application(self) -> Dispatcher:
        mirrored = self.settings.data is not None and not self.settings.s3_endpoint
        mirror = BucketMirror(self.settings.data) if mirrored and self.settings.data else None
        if mirror is not None:
            mirror.restore()
            self.world.jobs.listen(lambda job: mirror.sync(split_uri(job.output_uri)[0]))
        jobs = BatchApi(self.world, self._runner, self._tags)
        provisioned, tags = self._provisioned, self._tags
        runtime = RuntimeApi(self.world, provisioned)
        streams = StreamApi(self.world, runtime)
        profiles = ProfileApi(self.world, tags)
        catalog = Catalog(self.world)
        tags.register(lambda arn: any(job.arn == arn for job in self.world.jobs.all()))
        tags.register(provisioned.exists)
        tags.register(profiles.exists)
        operations = Operations(
            self.world,
            {
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
                "GetCustomModel": get_custom_model,
                "InvokeModel": runtime.invoke,
                "Converse": runtime.converse,
                "InvokeModelWithResponseStream": streams.invoke,
                "ConverseStream": streams.converse,
            },
        )
        moto = moto_app.DomainDispatcherApplication(moto_app.create_backend_app)
        return Dispatcher(self.world, operations, Admin(self.world), moto, mirror)

    def _on_status(self, job: Any) -> None:
        log.info("job %s %s: %s", job.job_id, job.name, job.status)
        self._save_clock()

    def _save_clock(self) -> None:
        self.world.store.put("clock", "now", {"now": self.world.clock.now()})


class _QuietHandler(moto_app.MotoRequestHandler):
    """Logs no requests: their paths contain object keys, and there are too many of them."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


def _clock(settings: Settings, store: Store) -> Clock:
    """Return a clock that starts at the real or the saved time, the later one: never backwards."""
    saved = dict(store.documents("clock")).get("now")
    clock = Clock(settings.speed)
    if saved is not None and saved["now"] > clock.now():
        return Clock(settings.speed, start=saved["now"])
    return clock


def _objects(settings: Settings) -> ObjectStore:
    if settings.s3_endpoint:
        return S3Objects(settings.s3_endpoint, settings.region)
    return MotoObjects()


def _backend(settings: Settings) -> Backend:
    if settings.backend == "openai" and settings.backend_url:
        return OpenAIBackend(settings.backend_url, settings.backend_model)
    return DeterministicBackend()
