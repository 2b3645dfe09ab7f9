"""OpenLineage events about a run. https://openlineage.io/docs/spec/object-model

They have names, places, counts and our own messages: no prompt, no answer, no value of a row.
Imported late: it needs the client library, which is the extra `lineage`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent, RunState
from openlineage.client.event_v2 import Run as LineageRun
from openlineage.client.facet_v2 import (
    DatasetFacet,
    RunFacet,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    processing_engine_run,
    schema_dataset,
)

from bedrock_spark._version import __version__
from bedrock_spark.clock import iso_time
from bedrock_spark.config import Config
from bedrock_spark.report import Report
from bedrock_spark.report.values import DONE, FAILED
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.s3_spelling import same_s3
from bedrock_spark.schema import MODEL_OUTPUT, RESULT_FIELDS, parse_ddl

PRODUCER = f"urn:bedrock-spark:{__version__}"
FACET = "bedrock_spark"
# A column of a run manifest is "`name` type"; types have no spaces.
_COLUMN = re.compile(r"(?:^|, )`((?:[^`]|``)*)` (\S+?)(?=, `|$)")

Fields = list[schema_dataset.SchemaDatasetFacetFields]


@attr.define(kw_only=True)
class BedrockSparkRunFacet(RunFacet):
    """The run in numbers. docs/lineage.md has its keys."""

    run_id: str
    run_uri: str
    state: str
    stage: str
    model_id: str
    fallback_model_id: str | None
    rows: int
    outcomes: dict[str, int]
    unanswered: int
    jobs: dict[str, int]
    tokens: dict[str, int]
    cost_usd: float | None
    derived_from: dict[str, object] | None
    findings: list[str]

    @staticmethod
    def _get_schema() -> str:
        return "urn:bedrock-spark:facets:run:1"


def lineage_run_id(run: Run) -> str:
    """Return the UUID of a run: every process and every machine computes the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run.config.run_uri}#{run.run_id}"))


def start_event(run: Run, now: float) -> RunEvent:
    """Return the event that a run was begun."""
    return _event(run, RunState.START, now, {}, None, None)


def end_event(run: Run, report: Report, manifest: RunManifest | None, now: float) -> RunEvent:
    """Return the event that a command has ended: the run is done, has failed, or goes on."""
    state = {DONE: RunState.COMPLETE, FAILED: RunState.FAIL}.get(report.state, RunState.RUNNING)
    facets: dict[str, RunFacet] = {FACET: _facet(report)}
    if report.error is not None and state == RunState.FAIL:
        message = report.error.message or report.error.kind
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=message, programmingLanguage="python", producer=PRODUCER
        )
    return _event(run, state, now, facets, manifest, report)


def _facet(report: Report) -> BedrockSparkRunFacet:
    return BedrockSparkRunFacet(
        producer=PRODUCER,
        run_id=report.run_id,
        run_uri=report.run_uri,
        state=report.state,
        stage=report.stage,
        model_id=report.model_id,
        fallback_model_id=report.fallback_model_id,
        rows=report.rows,
        outcomes=report.outcomes,
        unanswered=report.unanswered,
        jobs=report.jobs,
        tokens=report.tokens,
        cost_usd=report.whole_cost,
        derived_from=_without_condition(report.derived_from),
        findings=sorted({finding["kind"] for finding in report.findings}),
    )


def _without_condition(derived_from: Mapping[str, object] | None) -> dict[str, object] | None:
    """Leave out the condition on rows: as a query, it may quote values."""
    if derived_from is None:
        return None
    return {name: value for name, value in derived_from.items() if name != "where"}


def _event(
    run: Run,
    state: RunState,
    now: float,
    facets: dict[str, RunFacet],
    manifest: RunManifest | None,
    report: Report | None,
) -> RunEvent:
    config = run.config
    engine = processing_engine_run.ProcessingEngineRunFacet(
        version=__version__, name="bedrock_spark", producer=PRODUCER
    )
    kind = job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="BEDROCK_SPARK", jobType="JOB", producer=PRODUCER
    )
    return RunEvent(
        eventType=state,
        eventTime=str(iso_time(now)),
        run=LineageRun(lineage_run_id(run), {"processing_engine": engine, **facets}),
        job=Job(config.openlineage.namespace, job_name(config), {"jobType": kind}),
        producer=PRODUCER,
        inputs=inputs_of(config, manifest),
        outputs=_outputs(config, manifest, report),
    )


def job_name(config: Config) -> str:
    """Return the name of the job: that of the config, or the last folder of `run_uri`."""
    return config.openlineage.job or config.run_uri.rstrip("/").rpartition("/")[2]


def inputs_of(config: Config, manifest: RunManifest | None) -> list[InputDataset]:
    """Return the source. A DataFrame and a query have no name."""
    source = config.source
    if source.run is not None:
        place = dataset_of(f"{source.run.rstrip('/')}/{layout.RESULTS}")
    elif source.path is not None:
        place = dataset_of(source.path)
    elif source.table is not None:
        place = config.openlineage.namespace, source.table
    else:
        return []
    return [InputDataset(*place, facets=_schema(_kept(manifest)))]


def _outputs(
    config: Config, manifest: RunManifest | None, report: Report | None
) -> list[OutputDataset]:
    """Return the results in the run folder, and their place if they were published there."""
    if report is None or manifest is None:
        return []
    places = [dataset_of(f"{config.run_uri.rstrip('/')}/{layout.RESULTS}")]
    results = config.results
    if report.published is not None and results.path is not None:
        places.append(dataset_of(results.path))
    elif report.published is not None and results.table is not None:
        places.append((config.openlineage.namespace, results.table))
    rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=report.rows, producer=PRODUCER
    )
    schema = _schema([*_kept(manifest), *_result_fields(config)])
    return [
        OutputDataset(*place, facets=schema, outputFacets={"outputStatistics": rows})
        for place in places
    ]


def dataset_of(uri: str) -> tuple[str, str]:
    """Return the namespace and the name of a dataset.

    https://openlineage.io/docs/spec/naming: those of S3 are the bucket and the key, those of a
    local folder `file` and its path.
    """
    scheme, separator, rest = same_s3(uri).partition("://")
    if separator and scheme != "file":
        bucket, _, key = rest.partition("/")
        return f"{scheme}://{bucket}", key.rstrip("/") or "/"
    return "file", str(Path(rest if separator else uri).absolute())


def _schema(fields: Fields) -> dict[str, DatasetFacet]:
    if not fields:
        return {}
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)}


def _kept(manifest: RunManifest | None) -> Fields:
    """Return the columns of the source that are kept."""
    columns = _COLUMN.findall(manifest.columns) if manifest is not None else []
    return [_field(name.replace("``", "`"), kind) for name, kind in columns]


def _result_fields(config: Config) -> Fields:
    results = config.results
    own = [f for f in RESULT_FIELDS if results.model_output == "keep" or f.name != MODEL_OUTPUT]
    parsed = parse_ddl(results.parse.columns) if results.parse is not None else ()
    return [
        *(_field(f"{results.prefix}{field.name}", field.kind.ddl) for field in own),
        *(_field(f"{results.prefix}{field.name}", field.kind.ddl) for field in parsed),
    ]


def _field(name: str, kind: str) -> schema_dataset.SchemaDatasetFacetFields:
    return schema_dataset.SchemaDatasetFacetFields(name=name, type=kind)
