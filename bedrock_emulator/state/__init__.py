"""The state of a running emulator: clock, timeline, jobs, profiles, tags, usage and their store."""
