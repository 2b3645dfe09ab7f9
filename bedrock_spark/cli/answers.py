"""`bedrock-spark answers`: look after a store of answers."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass

import click

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.ending import run_command
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.clock import SystemClock
from bedrock_spark.errors import ConfigError, ExitCode
from bedrock_spark.storage import open_storage


@dataclass(frozen=True)
class CompactedStore:
    """What a compaction did.

    merged, written: files; answers, kept: rows in the merged files, and in the written ones
    deleted: files that earlier compactions have replaced
    """

    uri: str
    merged: int
    written: int
    answers: int
    kept: int
    deleted: int


@click.command(epilog="Example: bedrock-spark answers compact s3://lake/answers/")
@with_output_options(json_type=CompactedStore)
@click.option("--endpoint-url", help="The endpoint to use instead of AWS, such as a local Bedrock.")
@click.option("--region", help="The Region of the bucket, if the environment names none.")
@click.argument("action", type=click.Choice(["compact"]))
@click.argument("uri")
def answers(
    action: str, uri: str, region: str | None, endpoint_url: str | None, output: Output
) -> None:
    """Merge the small files of a store of answers, and delete what they replace a week later.

    URI is the store, `answers.uri` of a config. Runs may use it meanwhile.
    """

    def work(display: Display) -> int:
        # pyarrow takes a while to import, and other commands do not need it.
        from bedrock_spark.answers.compact import compact
        from bedrock_spark.answers.store import is_store

        storage = open_storage(uri, AwsSettings(region, endpoint_url))
        if not is_store(storage):
            raise ConfigError(
                f"{uri}: is no store of answers; name the folder with store.json, as answers.uri "
                "does"
            )
        done = compact(storage, SystemClock())
        display.show_json(asdict(CompactedStore(uri, **asdict(done))))
        display.close(
            f"{uri}: {done.merged:,} files with {done.answers:,} answers became {done.written:,} "
            f"with {done.kept:,}; {done.deleted:,} replaced files were deleted"
        )
        return ExitCode.DONE

    sys.exit(run_command(work, output))
