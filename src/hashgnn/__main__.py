"""``python -m hashgnn`` is the ``hashgnn`` command."""

from hashgnn.cli import main

main()
