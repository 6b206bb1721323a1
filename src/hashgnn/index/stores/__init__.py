"""The immutable states of the indexes, each with its form in a file."""
