"""The command line: ``hashgnn``. One file per command; heavy modules are imported when a command runs."""

from hashgnn.cli.app import app, main

__all__ = ["app", "main"]
