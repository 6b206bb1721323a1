"""Files of interactions, in the forms that recommender data comes in."""

from hashgnn.data.readers.formats import FORMATS
from hashgnn.data.readers.reading import read_interactions, read_table

__all__ = ["FORMATS", "read_interactions", "read_table"]
