"""The demo: a real corpus through the whole pipeline, against a local Bedrock."""
