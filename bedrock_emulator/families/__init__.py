"""Request and response bodies of the model families that Bedrock serves."""
