"""The command of the emulator, or one that says how to install it."""

from __future__ import annotations

import click

try:
    from bedrock_emulator.command import emulator
except ModuleNotFoundError as exc:
    _absent = exc

    @click.command(name="emulator", context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1)
    def emulator(arguments: tuple[str, ...]) -> None:
        """Serve a local Bedrock and S3 (not installed)."""
        raise _absent


__all__ = ["emulator"]
