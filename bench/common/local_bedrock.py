"""Set up clients for a local Bedrock, which accepts any credentials."""

from __future__ import annotations

import os


def use_local_credentials() -> None:
    """Set dummy credentials for this process and the processes that it starts."""
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "local"
