"""The command line: ``hashgnn``. One file a command; what is heavy is imported when a command runs."""

from hashgnn.cli.app import app, main

__all__ = ["app", "main"]
