"""The request and response bodies of the model families Bedrock serves."""
