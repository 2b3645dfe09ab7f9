"""The layout of a run folder. Every path in it is built here and nowhere else.

    <run uri>/run.json                                  the config that the run was begun with
    <run uri>/config/0001.json                          what a later process changed in it
    <run uri>/shards/<prepare id>/shard-00042-00.jsonl  what Bedrock reads
    <run uri>/shards/<prepare id>/shard-00042-00/file-00.jsonl  the same, if a shard has files
    <run uri>/index/<prepare id>/shard-00042-00.idx     in which bytes of it each record is
    <run uri>/rows/<prepare id>/shard-00042-00.parquet  the source rows behind it
    <run uri>/rejects/<prepare id>/bucket-00042.parquet rows that could not become records
    <run uri>/rows/<prepare id>/kept-00007-00.parquet   the rows whose answers were kept
    <run uri>/kept/<prepare id>/kept-00007-00.jsonl.out these answers, as output lines
    <run uri>/manifest.json                             the run manifest; it commits prepare
    <run uri>/canary.json                               the results of the canary, try by try
    <run uri>/prices.json                               the list prices that the run counts with
    <run uri>/ledger/000000017.jsonl                    events: submitted, seen, ended
    <run uri>/snapshots/000000500.jsonl                 the ledger's state after that object
    <run uri>/lease.json                                the process that controls the run
    <run uri>/remainders/shard-00042-00/a2.jsonl        the records that attempt 2 reads
    <run uri>/remainders/shard-00042-00/a2-<digest>/file-00.jsonl   the same, if a shard has files
    <run uri>/output/shard-00042-00/a1-<digest>/<job id>/   what Bedrock writes
    <run uri>/fallback/shard-00042-00/*.jsonl.out       what the fallback writes
    <run uri>/tasks/<round>/<task>                      the tasks of the fallback that are running
    <run uri>/claims/<round>/<task>.json                which attempt of such a task works
    <run uri>/provisioned/0001-*.json                   the throughput bought for the fallback
    <run uri>/cost-profiles/<place>-0001.json           an inference profile of the run's jobs
    <run uri>/probe/<probe>/<object>                    that driver and executors share the folder
    <run uri>/probe/doctor/<time>-<object>              that doctor may write and read here
    <run uri>/results/shard-00042-00.parquet            one result row per source row
    <run uri>/results/images/shard-00042-00/<record_id>-0.png   the images of answers
    <run uri>/deadletters/shard-00042-00.parquet        the rows of that shard without an answer
    <run uri>/partial/shard-00042-00.parquet            results that were not final, as asked for
    <run uri>/reconciliation/shard-00042-00.json        how that shard's rows ended, counted
    <run uri>/reconciliation.jsonl.gz                   all of these in one object
    <run uri>/reconciliation.parquet                    the same as a table, and every job
    <run uri>/answers.json                              what of the answers is in their store
    <run uri>/fallback-end.json                         that the fallback gave up, and why
    <run uri>/publisher.json                            the process that publishes the results
    <run uri>/published.json                            where the results were published
    <run uri>/report.json                               the run in numbers
    <run uri>/report.html                               the same as a page
    <run uri>/notified.json                             which event of the run was told last
    <run uri>/cleaned.json                              what clean has deleted, and that it has

A shard's number has two parts: the bucket of record ids it was cut from, and the cut. So a task
can name its shards without knowing how many shards other tasks make.

Each prepare writes below folders of its own, which are named by its prepare id. The run manifest
names the one that was committed. So a prepare cannot touch what another one has committed.
"""

from __future__ import annotations

import re
import secrets

RUN_FILE = "run.json"
MANIFEST_FILE = "manifest.json"
CANARY_FILE = "canary.json"
PRICES_FILE = "prices.json"
REPORT_FILE = "report.json"
REPORT_PAGE = "report.html"
CLEANED_FILE, NOTIFIED_FILE = "cleaned.json", "notified.json"
ANSWERS_FILE = "answers.json"
RECONCILIATION_FILE = "reconciliation.parquet"
RECONCILIATIONS_FILE = "reconciliation.jsonl.gz"
FALLBACK_END_FILE = "fallback-end.json"
PUBLISHED_FILE = "published.json"
LEASE_FILE = "lease.json"
PUBLISHER_FILE = "publisher.json"
OUTPUT_MANIFEST_FILE = "manifest.json.out"
CONFIGS = "config"
SHARDS, INDEX, ROWS, REJECTS, LEDGER = "shards", "index", "rows", "rejects", "ledger"
KEPT = "kept"
SNAPSHOTS, REMAINDERS = "snapshots", "remainders"
TASKS, CLAIMS, DEADLETTERS, PROVISIONED = "tasks", "claims", "deadletters", "provisioned"
PARTIAL, COST_PROFILES, PROBE = "partial", "cost-profiles", "probe"
OUTPUT, FALLBACK, RESULTS, RECONCILIATION = "output", "fallback", "results", "reconciliation"


def new_prepare_id() -> str:
    """Return a random name for the folders of one prepare: 12 hexadecimal digits."""
    return secrets.token_hex(6)


def prepared_prefixes(prepare_id: str) -> tuple[str, ...]:
    """Return the folders that one prepare writes into."""
    return tuple(f"{folder}/{prepare_id}/" for folder in (SHARDS, INDEX, ROWS, REJECTS, KEPT))


def shard_id(bucket: int, cut: int) -> str:
    """Return the name of the cut-th shard of a bucket."""
    return f"shard-{bucket:05d}-{cut:02d}"


def bucket_number(index: int, buckets: int) -> int:
    """Return a bucket number that no other bucket count uses: N buckets start at N(N-1)/2.

    index: of the bucket, from 0 to `buckets` - 1
    So leftovers of a prepare with another number of buckets never have the name of a committed
    file.
    """
    # N(N-1)/2 is 0 + 1 + … + (N-1): as many numbers as all smaller bucket counts use together.
    return buckets * (buckets - 1) // 2 + index


def config_key(number: int) -> str:
    """Return the version of the config with this number, from 1."""
    return f"{CONFIGS}/{number:04d}.json"


def shards_prefix(prepare_id: str) -> str:
    """Return the folder of the shards that one prepare wrote."""
    return f"{SHARDS}/{prepare_id}/"


def shard_key(shard: str, prepare_id: str) -> str:
    """Return the JSONL object of a shard, which Bedrock reads."""
    return f"{shards_prefix(prepare_id)}{shard}.jsonl"


def shard_folder(shard: str, prepare_id: str) -> str:
    """Return the folder of the JSONL objects of a shard of several files, which Bedrock reads."""
    return f"{shards_prefix(prepare_id)}{shard}/"


def file_key(folder: str, number: int) -> str:
    """Return a JSONL object in a folder that a job reads.

    number: of the file, from 0. Bedrock reads each `.jsonl` object in the folder.
    """
    return f"{folder}file-{number:02d}.jsonl"


def lines_keys(key: str, files: int) -> list[str]:
    """Return the objects of lines at a key: that object, or the files of that folder.

    files: how many the folder has; 0: the key is that of one object
    """
    return [file_key(key, number) for number in range(files)] if files else [key]


def is_folder(key: str) -> bool:
    """Tell whether the input of a job is a folder of objects, and not one object."""
    return key.endswith("/")


def index_key(shard: str, prepare_id: str) -> str:
    """Return the index of a shard: in which bytes of it each record is."""
    return f"{INDEX}/{prepare_id}/{shard}.idx"


def rows_prefix(prepare_id: str) -> str:
    """Return the folder of the rows behind the shards that one prepare wrote."""
    return f"{ROWS}/{prepare_id}/"


def rows_key(shard: str, prepare_id: str) -> str:
    """Return the Parquet of the source rows behind a shard."""
    return f"{rows_prefix(prepare_id)}{shard}.parquet"


def rejects_key(bucket: int, prepare_id: str) -> str:
    """Return the Parquet of a bucket's rejected rows."""
    return f"{REJECTS}/{prepare_id}/bucket-{bucket:05d}.parquet"


def kept_unit(part: int, cut: int) -> str:
    """Return the name of the cut-th unit of kept answers that a part of the lookup found.

    part: its number as that of a bucket; see `bucket_number`
    """
    return f"kept-{part:05d}-{cut:02d}"


def is_kept_unit(unit: str) -> bool:
    """Tell whether a unit is one of rows whose answers were kept."""
    return unit.startswith("kept-")


def kept_prefix(prepare_id: str) -> str:
    """Return the folder of the kept answers that one prepare found."""
    return f"{KEPT}/{prepare_id}/"


def kept_key(unit: str, prepare_id: str) -> str:
    """Return the kept answers of a unit, as output lines. Its rows have the key of a shard's."""
    return f"{kept_prefix(prepare_id)}{unit}.jsonl.out"


def ledger_key(sequence: int) -> str:
    """Return the ledger object with this number."""
    return f"{LEDGER}/{sequence:09d}.jsonl"


def snapshot_key(sequence: int) -> str:
    """Return the snapshot of the ledger's state after the object with this number."""
    return f"{SNAPSHOTS}/{sequence:09d}.jsonl"


def sequence_of(key: str) -> int:
    """Return the number of a ledger object or of a snapshot."""
    return int(key.rsplit("/", 1)[-1].removesuffix(".jsonl"))


def remainder_key(shard: str, attempt: int) -> str:
    """Return the JSONL object of the records that attempts before `attempt` left unanswered."""
    return f"{REMAINDERS}/{shard}/a{attempt}.jsonl"


def remainder_folder(shard: str, attempt: int, digest: str) -> str:
    """Return the folder of the same records if the shard has several files.

    digest: of their lines. So a folder never has files of two remainders: the job would read both
    """
    return f"{REMAINDERS}/{shard}/a{attempt}-{digest}/"


def purchase_key(number: int, fact: str) -> str:
    """Return the note of one fact about a purchase of provisioned throughput."""
    return f"{PROVISIONED}/{number:04d}-{fact}.json"


def cost_profile_key(place: str, number: int) -> str:
    """Return the note of an inference profile that was made for jobs at a place."""
    return f"{COST_PROFILES}/{place}-{number:04d}.json"


def outputs_prefix(shard: str) -> str:
    """Return the folder that holds the outputs of all attempts at a shard."""
    return f"{OUTPUT}/{shard}/"


def attempt_prefix(shard: str, attempt: int, digest: str) -> str:
    """Return the output location of one batch job.

    digest: the first characters of the job's token
    """
    return f"{OUTPUT}/{shard}/a{attempt}-{digest}/"


def has_output_lines(key: str) -> bool:
    """Tell whether a key is that of output lines, of a batch job or of the fallback."""
    return key.endswith(".jsonl.out")


def fallback_prefix(shard: str) -> str:
    """Return the folder of a shard's fallback answers."""
    return f"{FALLBACK}/{shard}/"


def fallback_key(shard: str, part: str) -> str:
    """Return one object of a shard's fallback answers.

    part: its name, unique in the shard
    """
    return f"{FALLBACK}/{shard}/{part}.jsonl.out"


def fallback_part(written_at: float, unique: str) -> str:
    """Return the name of an object of fallback answers: objects are listed in the order of time.

    written_at: in seconds since the epoch
    """
    return f"{int(written_at * 1000):015d}-{unique}"


def answered_at(key: str) -> float:
    """Return when an object of fallback answers was written, by its name; 0 if it does not say."""
    milliseconds = key.rsplit("/", 1)[-1].partition("-")[0]
    return int(milliseconds) / 1000 if milliseconds.isdecimal() else 0.0


def tasks_prefix(round_id: str) -> str:
    """Return the folder of the objects that say which tasks of a fallback round are running."""
    return f"{TASKS}/{round_id}/"


def ended_task_key(round_id: str) -> str:
    """Return the object that says that a task of a fallback round has ended."""
    return f"{tasks_prefix(round_id)}ended"


def is_task(key: str) -> bool:
    """Tell whether a key in the folder of a round's tasks is that of a running task."""
    return not key.endswith("/ended")


def claims_prefix(round_id: str) -> str:
    """Return the folder of the claims of a fallback round."""
    return f"{CLAIMS}/{round_id}/"


def round_key(round_id: str) -> str:
    """Return the object that is there as long as tasks of a fallback round may begin."""
    return f"{claims_prefix(round_id)}round"


def is_claim(key: str) -> bool:
    """Tell whether a key in the folder of a round's claims is that of a claim."""
    return key.endswith(".json")


def claim_key(round_id: str, task: str) -> str:
    """Return the claim on the work of a task of the fallback."""
    return f"{claims_prefix(round_id)}{task}.json"


def probe_key(probe_id: str, name: str) -> str:
    """Return an object by which driver and executors prove that they share the run folder.

    name: "" for the folder of a probe
    """
    return f"{PROBE}/{probe_id}/{name}"


def doctor_prefix() -> str:
    """Return what the keys of all objects of doctors begin with."""
    return f"{PROBE}/doctor/"


def doctor_key(now: float, token: str) -> str:
    """Return an object by which doctor proves what it may do. now: in seconds since the epoch."""
    return f"{doctor_prefix()}{int(now):012d}-{token}"


def written_by_doctor_at(key: str) -> int | None:
    """Return when a doctor has written an object, in seconds; None if it is another object."""
    found = re.fullmatch(rf"{doctor_prefix()}(\d+)-\w+", key)
    return int(found[1]) if found is not None else None


def deadletters_key(shard: str) -> str:
    """Return the Parquet of a shard's dead letters: rows that were asked and are not ok."""
    return f"{DEADLETTERS}/{shard}.parquet"


def results_key(unit: str) -> str:
    """Return the Parquet of the results of a unit: a shard, or a bucket's rejected rows."""
    return f"{RESULTS}/{unit}.parquet"


def unit_prefixes(folder: str, *, has_kept: bool = True) -> tuple[str, ...]:
    """Return the beginnings of the keys of all units in the folder of results or dead letters.

    has_kept: whether there are units of rows whose answers were kept
    The images of answers are in a folder of results, too, and may be very many.
    """
    kinds = ("shard", "rejects", *(("kept",) if has_kept else ()))
    return tuple(f"{folder}/{kind}-" for kind in kinds)


def unit_of(key: str) -> str:
    """Return the unit that a key names: an object of its own, or one below a folder of its own.

    Such as results/<unit>.parquet and output/<unit>/…
    """
    return key.split("/", 2)[1].partition(".")[0]


def partial_key(unit: str) -> str:
    """Return the Parquet of the results of a unit, as they were when somebody asked for them."""
    return f"{PARTIAL}/{unit}.parquet"


def images_prefix() -> str:
    """Return the folder of the images of all answers; published results have their URIs only."""
    return f"{RESULTS}/images/"


def image_key(shard: str, record_id: str, number: int, extension: str) -> str:
    """Return the file of one image of an answer.

    number: its index among the images of the answer, from 0
    """
    return f"{images_prefix()}{shard}/{record_id}-{number}.{extension}"


def reconciliation_key(unit: str) -> str:
    """Return the reconciliation of a unit: its rows, and how they ended."""
    return f"{RECONCILIATION}/{unit}.json"
