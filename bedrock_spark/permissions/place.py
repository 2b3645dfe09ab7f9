"""Where a config works: partition, account, Regions, folders in S3, models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bedrock_spark.aws.s3_uri import parse_s3_uri
from bedrock_spark.config import Config
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import bare_model_id
from bedrock_spark.s3_spelling import as_s3


@dataclass(frozen=True)
class Place:
    """Where a config works.

    partition: such as aws or aws-us-gov; account: of the jobs; regions: of the jobs
    """

    partition: str
    account: str
    regions: tuple[str, ...]

    @classmethod
    def of(cls, config: Config, region: str | None) -> Place:
        """Return the place of a config, whose role names the account.

        region: of the environment, if the config names none
        Raises ConfigError if there is no Region.
        """
        _, partition, _, _, account, _ = config.batch.role_arn.split(":", 5)
        if not account:
            raise ConfigError(
                f"batch.role_arn: {config.batch.role_arn} has no account of 12 digits"
            )
        home = config.batch.region or region
        named = [target.region or home for target in config.targets] or [home]
        regions = [each for each in (home, *named) if each is not None]
        if not regions:
            raise ConfigError("batch.region: is not set, and neither is AWS_REGION; set one")
        return cls(partition, account, tuple(dict.fromkeys(regions)))

    def bedrock(self, region: str, resource: str) -> str:
        """Return the ARN of something of the account in Bedrock."""
        return f"arn:{self.partition}:bedrock:{region}:{self.account}:{resource}"

    def in_regions(self, resource: str) -> list[str]:
        """Return the ARN of something in Bedrock, for each Region of the config."""
        return [self.bedrock(region, resource) for region in self.regions]

    def models(self, model_ids: Iterable[str]) -> list[str]:
        """Return the ARNs that a caller of these models needs."""
        return [arn for model_id in model_ids for arn in self._of_model(model_id)]

    def _of_model(self, model_id: str) -> Iterator[str]:
        if model_id.startswith("arn:"):
            yield model_id
            if ":inference-profile/" in model_id:
                yield self._foundation("*", bare_model_id(model_id))
            elif ":application-inference-profile/" in model_id:
                # Only the service knows which model it stands for.
                yield self._foundation("*", "*")
            return
        bare = bare_model_id(model_id)
        if bare != model_id:
            # A profile sends calls to every Region of its geography.
            yield from self.in_regions(f"inference-profile/{model_id}")
            yield self._foundation("*", bare)
            return
        yield from (self._foundation(region, model_id) for region in self.regions)

    def _foundation(self, region: str, model_id: str) -> str:
        return f"arn:{self.partition}:bedrock:{region}::foundation-model/{model_id}"


@dataclass(frozen=True)
class Folder:
    """A folder in S3. prefix: of the keys, with a `/` at its end, or empty for the whole bucket."""

    bucket: str
    prefix: str

    @classmethod
    def of(cls, uri: str | None) -> Folder | None:
        """Return the folder of a URI; None for one that is not in S3."""
        if uri is None or not as_s3(uri).startswith("s3://"):
            return None
        location = parse_s3_uri(as_s3(uri))
        prefix = location.key.rstrip("/")
        return cls(location.bucket, f"{prefix}/" if prefix else "")

    def bucket_arn(self, partition: str) -> str:
        """Return the ARN of the bucket."""
        return f"arn:{partition}:s3:::{self.bucket}"

    def objects(self, partition: str) -> str:
        """Return the ARN of the objects in the folder."""
        return f"{self.bucket_arn(partition)}/{self.prefix}*"


def run_folders(config: Config) -> list[Folder]:
    """Return the run folder and those of targets. Raises ConfigError for one that is not in S3."""
    folders = [Folder.of(config.run_uri), *(Folder.of(t.uri) for t in config.targets if t.uri)]
    found = [folder for folder in folders if folder is not None]
    if len(found) < len(folders):
        raise ConfigError(
            f"run_uri = {config.run_uri!r}: is not in S3, so batch jobs cannot read it; policies "
            "are for a folder of S3"
        )
    return list(dict.fromkeys(found))
