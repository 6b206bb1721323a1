"""The parts of ``hashgnn demo``."""
