"""What every probe needs: the config, the identity of the caller, and clients for AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from bedrock_spark.config import Config

# Returns the client of a service in a Region. Its calls are tried a few times within seconds.
Clients: TypeAlias = Callable[[str, str], Any]


@dataclass(frozen=True)
class Identity:
    """Who the caller is, by STS. arn: such as arn:aws:sts::123456789012:assumed-role/Data/ana."""

    account: str
    arn: str


@dataclass(frozen=True)
class World:
    """A config, and where it meets AWS.

    config: with its home Region in batch.region
    identity: None if the credentials are not accepted
    """

    config: Config
    region: str
    clients: Clients
    identity: Identity | None = None

    @property
    def partition(self) -> str:
        """Return the partition of the service role, such as aws."""
        return self.config.batch.role_arn.split(":")[1]

    @property
    def account(self) -> str:
        """Return the account of the service role, in which the jobs run."""
        return self.config.batch.role_arn.split(":")[4]

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a client, by default of the home Region."""
        return self.clients(service, region or self.region)
