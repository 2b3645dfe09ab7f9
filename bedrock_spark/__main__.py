"""The entry point of `python -m bedrock_spark`."""

from bedrock_spark.cli import main

if __name__ == "__main__":
    main(prog_name="python -m bedrock_spark")
