"""Logs of model calls as the tools write them: one file a tool, one form out, and the mapping from calls to inputs."""
