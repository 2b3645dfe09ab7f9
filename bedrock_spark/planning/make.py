"""Make the plan of a run: from its shards if it is prepared, else from a rehearsal of prepare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from bedrock_spark.aws.clients import AwsSettings, quotas_client
from bedrock_spark.aws.service_quotas import read_job_quota
from bedrock_spark.check import list_prices
from bedrock_spark.clock import iso_time
from bedrock_spark.config import Config
from bedrock_spark.costs.tokens import BYTES_PER_TOKEN, Tokens, images_per_answer
from bedrock_spark.errors import BedrockSparkError, ExitCode
from bedrock_spark.families import bare_model_id, family_of
from bedrock_spark.families.request_body import body_template
from bedrock_spark.fanout.slots import DEFAULT_SLOTS
from bedrock_spark.invoke.token_counts import count_tokens
from bedrock_spark.model_check import UsedModel, faults_of, notices_of
from bedrock_spark.planning.basis import basis_of
from bedrock_spark.planning.caveats import caveats_of
from bedrock_spark.planning.costs import Usage, cost_of_run, ways_of
from bedrock_spark.planning.earlier import Change, EarlierRun, as_value, changes_since
from bedrock_spark.planning.left import left_to_ask
from bedrock_spark.planning.tokens import Counted, input_tokens, output_tokens
from bedrock_spark.planning.values import (
    Plan,
    PlannedJobs,
    PlannedShards,
    PlannedSource,
    Refusal,
    Why,
)
from bedrock_spark.planning.why import why_all, why_unknown
from bedrock_spark.prices import RunPrices
from bedrock_spark.prices.named_models import batch_model_ids
from bedrock_spark.prices.words import origins
from bedrock_spark.run_folder.canary_results import Canary, read_tries
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.prepared import Prepared
from bedrock_spark.run_folder.records import first_records
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import ShardLine

_SAMPLE = 100
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True)
class Comparison:
    """What a plan is compared with.

    earlier: the last run of the same source; None if there is none
    refusals: why a run would end before it pays, as far as the run folder tells
    notes: what a person should know of all this
    """

    earlier: EarlierRun | None = None
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


NOT_COMPARED = Comparison()


def prepared_of(run: Run, manifest: RunManifest) -> Prepared:
    """Return what prepare has written. Reads the beginning of some shards."""
    sample = first_records(run.storage, manifest.shards, _SAMPLE) if manifest.shards else []
    return Prepared(
        *(manifest.rows, manifest.rejected, manifest.shards, sample),
        is_written=True,
        source=manifest.source,
        left=left_to_ask(run, manifest),
        kept=manifest.kept_rows,
        why_asked=manifest.why_asked,
    )


def make_plan(
    run: Run,
    prepared: Prepared,
    models: Iterable[UsedModel],
    now: float,
    mean_answer: float | None = None,
    compared: Comparison = NOT_COMPARED,
    measured: Plan | None = None,
) -> Plan:
    """Return the plan of a run. Asks Service Quotas and CountTokens, which cost nothing.

    measured: a plan of the same config, whose tokens per byte and job slots count; then AWS is not
        asked
    models: what the service says of the run's models; now: in seconds since the epoch
    mean_answer: the output tokens of an answer, if the user knows them
    compared: the run that the plan is compared with
    """
    config, models = run.config, list(models)
    prices = run.prices if run.is_begun else list_prices(config)
    canary = _last_try(run)
    source = _source(prepared)
    online = [s for s in prepared.shards if s.records < config.shards.min_records]
    line_bytes = sum(shard.bytes for shard in prepared.shards)
    if measured is None or not measured.shards.bytes:
        counted = _counted(run, prepared.sample, models) if measured is None else None
        tokens_in = input_tokens(source.records, line_bytes, counted, canary)
    else:
        tokens_in = measured.input_tokens.times(line_bytes / measured.shards.bytes)
    tokens_out = output_tokens(source.records, config.request, canary, mean_answer)
    images = images_per_answer(config.request) * source.records if _has_images(config) else 0
    usage = Usage(
        records=source.records,
        input=tokens_in,
        output=tokens_out,
        images=images,
        online_bytes=sum(s.bytes for s in online) / max(1, line_bytes),
        online_records=sum(s.records for s in online),
        tries=_records_of_canary(config, prepared.shards, canary),
    )
    cost = cost_of_run(usage, prices)
    same = body_template(config).static_bytes
    per_byte = (tokens_in.likely or 0) / line_bytes if line_bytes else 1 / BYTES_PER_TOKEN
    caveats = [
        *notices_of(models, now),
        *caveats_of(
            *(config, source, usage.online_records, round(same * per_byte)),
            *((tokens_in, tokens_out), prices, cost),
        ),
        *compared.notes,
    ]
    to_ask = prepared.left if prepared.is_written else source.records
    earlier = compared.earlier
    changes = [] if earlier is None else changes_since(earlier, config, prepared.source)
    refusals = (*compared.refusals, *_refusals(config, prepared, models, now, usage.online_records))
    return Plan(
        run_uri=config.run_uri,
        model_id=config.model.id,
        planned_at=iso_time(now),
        is_prepared=prepared.is_written,
        to_ask=to_ask,
        pays=to_ask != 0,
        why=tuple(_why(config, prepared, source, earlier, changes)),
        source=source,
        shards=_shards(prepared.shards, usage.online_records),
        jobs=_jobs(run, len(prepared.shards) - len(online), measured),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        images=images,
        cost=cost,
        ways=tuple(ways_of(usage, prices, batch_model_ids(config))),
        model_unit_hour=prices.model_unit_hour,
        saved_by_sharing=_saved(usage, source.shared, prices),
        prices_from=tuple(origins(prices)),
        caveats=tuple(caveats),
        refusals=refusals,
        was=None if earlier is None else as_value(earlier, changes),
        basis=basis_of(config, prepared, prices, mean_answer),
    )


def _why(
    config: Config,
    prepared: Prepared,
    source: PlannedSource,
    earlier: EarlierRun | None,
    changes: Sequence[Change],
) -> list[Why]:
    if prepared.is_written:
        return []
    if prepared.why_asked:
        return why_unknown(prepared.why_asked, prepared.known_keys, config, earlier, changes)
    return why_all(source.records + source.shared, config, earlier, changes)


def refusal_of(exc: BedrockSparkError) -> Refusal:
    """Return an error as a part of a plan."""
    code = exc.exit_code
    return Refusal(kind=code.name.lower(), exit_code=int(code), message=str(exc))


def _last_try(run: Run) -> Canary | None:
    tries = read_tries(run.storage) if run.is_begun else ()
    return tries[-1] if tries and tries[-1].answered else None


def _source(prepared: Prepared) -> PlannedSource:
    return PlannedSource(
        rows=prepared.rows,
        records=sum(shard.records for shard in prepared.shards),
        shared=sum(shard.sharing for shard in prepared.shards),
        rejected=prepared.rejected,
        reasons=dict(prepared.reasons),
        kept=prepared.kept,
    )


def _shards(shards: Sequence[Shard], online: int) -> PlannedShards:
    records = [shard.records for shard in shards]
    return PlannedShards(
        shards=len(shards),
        bytes=sum(shard.bytes for shard in shards),
        least_records=min(records, default=0),
        most_records=max(records, default=0),
        online=online,
    )


def _jobs(run: Run, jobs: int, measured: Plan | None) -> PlannedJobs:
    """Return the batch jobs of a run, and how many may be active at all its targets."""
    config = run.config
    if measured is not None:
        waves = math.ceil(jobs / measured.jobs.at_once)
        hours = waves * config.batch.timeout_hours
        changed = {"jobs": jobs, "waves": waves, "longest_hours": hours}
        return measured.jobs.model_copy(update=changed)
    places = [(t.model_id, t.region, t.max_active_jobs) for t in config.targets]
    places = places or [(config.model.id, None, config.batch.max_active_jobs)]
    at_once, origin = 0, set()
    for model_id, region, configured in places:
        slots, said_by = _slots(run.aws, model_id, region, configured)
        at_once += slots
        origin.add(said_by)
    waves = math.ceil(jobs / at_once)
    return PlannedJobs(
        jobs=jobs,
        at_once=at_once,
        at_once_from=" and ".join(sorted(origin)),
        waves=waves,
        longest_hours=waves * config.batch.timeout_hours,
    )


def _slots(
    aws: AwsSettings, model_id: str, region: str | None, configured: int | None
) -> tuple[int, str]:
    if configured is not None:
        return configured, "the config"
    client = quotas_client(replace(aws, region=region or aws.region))
    quota = read_job_quota(client, model_id)
    return (quota, "Service Quotas") if quota is not None else (DEFAULT_SLOTS, "the usual quota")


def _counted(run: Run, sample: Sequence[ShardLine], models: Sequence[UsedModel]) -> Counted | None:
    """Return the input tokens of the sample, as far as the service counts them."""
    own = next((m.state.model_id for m in models if m.key == "model.id"), None)
    model_id = own or bare_model_id(run.config.model.id)
    bodies = [line.body for line in sample[:_SAMPLE]]
    counts = count_tokens(run.aws, model_id, family_of(run.config), bodies)
    if counts is None:
        return None
    pairs = [
        (line.line_bytes, tokens)
        for line, tokens in zip(sample[:_SAMPLE], counts, strict=True)
        if tokens is not None
    ]
    return Counted([size for size, _ in pairs], [tokens for _, tokens in pairs])


def _has_images(config: Config) -> bool:
    return family_of(config).answers_images


def _records_of_canary(config: Config, shards: Sequence[Shard], canary: Canary | None) -> int:
    """Return how many records the canary will still ask."""
    if canary is not None or all(s.records < config.shards.min_records for s in shards):
        return 0
    return min(config.canary.records, sum(shard.records for shard in shards))


def _saved(usage: Usage, shared: int, prices: RunPrices) -> Decimal | None:
    """Return what the rows that share a record would cost if each had one of its own."""
    if not shared or not usage.records or (prices.batch is None and prices.image is None):
        return None
    i, o = usage.input, usage.output
    output = o.likely if o.likely is not None else o.low
    mean = Tokens(i.likely or i.low, output, usage.images).cost(prices.batch, prices.image)
    return (mean * shared / usage.records).quantize(_CENT_OF_A_CENT)


def _refusals(
    config: Config, prepared: Prepared, models: Sequence[UsedModel], now: float, online: int
) -> Iterator[Refusal]:
    """Yield why `run` would end before it pays."""
    yield from map(refusal_of, prepared.refusals)
    for fault in faults_of(models, now):
        code = ExitCode.ACCESS
        yield Refusal(kind=code.name.lower(), exit_code=int(code), message=fault)
    if online and config.fallback is None:
        code = ExitCode.CONFIG
        message = (
            f"{online:,} records are in shards below shards.min_records "
            f"({config.shards.min_records:,}), which a batch job refuses: configure a fallback"
        )
        yield Refusal(kind=code.name.lower(), exit_code=int(code), message=message)
