"""The command `bedrock-spark invoke`: its options, its question, and the printed answer."""
