"""Named public data sets: fetched from their public sources, verified by checksum, cached."""

from hashgnn.data.datasets.catalogue import list_datasets
from hashgnn.data.datasets.loading import LoadedDataset, fetch

__all__ = ["LoadedDataset", "fetch", "list_datasets"]
