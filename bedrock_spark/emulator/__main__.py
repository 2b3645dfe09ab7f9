"""`python -m bedrock_spark.emulator`."""

from bedrock_spark.emulator.command import emulator

if __name__ == "__main__":
    emulator(prog_name="python -m bedrock_spark.emulator")
