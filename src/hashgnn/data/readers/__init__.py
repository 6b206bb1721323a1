"""Readers of interaction files, in the usual formats of recommender data."""

from hashgnn.data.readers.formats import FORMATS
from hashgnn.data.readers.reading import read_interactions, read_table

__all__ = ["FORMATS", "read_interactions", "read_table"]
