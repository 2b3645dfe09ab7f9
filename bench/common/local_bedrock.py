"""What a client needs to call a local Bedrock, which takes any credentials."""

from __future__ import annotations

import os


def use_local_credentials() -> None:
    """Give this process, and what it starts, credentials that nobody checks."""
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "local"
