"""The demo: the whole pipeline over a real corpus, against a local Bedrock."""
