"""The HTTP server: dispatch to Bedrock or moto, Bedrock's operations, control endpoints."""
