"""The Spark session of a laptop: its Java process, its connectors, and the user's own settings."""
