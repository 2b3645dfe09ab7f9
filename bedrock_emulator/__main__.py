"""The entry point of `python -m bedrock_emulator`."""

import sys

from bedrock_emulator.command import emulator

if __name__ == "__main__":
    try:
        emulator(prog_name="python -m bedrock_emulator")
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("bedrock_emulator"):
            raise
        sys.exit(f'error: {exc.name} is not installed: pip install "bedrock-spark[emulator]"')
