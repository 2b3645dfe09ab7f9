"""The entry point of `python -m bedrock_emulator`."""

from bedrock_emulator.command import emulator

if __name__ == "__main__":
    emulator(prog_name="python -m bedrock_emulator")
