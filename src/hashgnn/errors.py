"""Every exception and warning of hashgnn.

::

    HashGNNError
    ├── ParameterError (ValueError)      an argument or setting breaks its rule
    ├── DataError (ValueError)           interactions, features or a file are not usable
    ├── UnknownIdError (KeyError)        an external id is not in the training data
    ├── NotFittedError (RuntimeError)    fit() or load() was not called yet
    ├── TrainingError (RuntimeError)     training cannot go on (NaN, exploding gradients)
    │   └── PeerLostError                another process that trains the same model has ended
    ├── CallbackError (RuntimeError)     a callback of a run failed
    ├── ArtifactError (ValueError)       a folder is not a usable saved model
    │   ├── ArtifactDamagedError         a file is missing, truncated or edited
    │   └── ArtifactVersionError         the format is newer than this library
    ├── MissingExtraError (ImportError)  an optional dependency is not installed
    ├── EngineError (RuntimeError)       an engine cannot be reached, fails, or does not hold a version
    ├── FetchError (OSError)             a public data set could not be fetched or verified
    └── StorageError (OSError)           writing failed; nothing was half-written

    HashGNNWarning (UserWarning)
    ├── DataWarning                      something in the data was repaired, and counted
    ├── ResultWarning                    a result is shorter than k, or some of its rows are empty
    └── TrainingWarning                  training went on, but not as requested
"""

from __future__ import annotations

__all__ = [
    "ArtifactDamagedError",
    "ArtifactError",
    "ArtifactVersionError",
    "CallbackError",
    "DataError",
    "DataWarning",
    "EngineError",
    "FetchError",
    "HashGNNError",
    "HashGNNWarning",
    "MissingExtraError",
    "NotFittedError",
    "ParameterError",
    "PeerLostError",
    "ResultWarning",
    "StorageError",
    "TrainingError",
    "TrainingWarning",
    "UnknownIdError",
    "UnknownOutcomeError",
]


class HashGNNError(Exception):
    """Root of every exception that hashgnn raises on purpose."""


class ParameterError(HashGNNError, ValueError):
    """An argument or setting breaks its rule."""


class DataError(HashGNNError, ValueError):
    """Interactions, side features or an input file are not usable."""


class UnknownIdError(HashGNNError, KeyError):
    """An external id is not in the training data."""

    def __str__(self) -> str:
        # KeyError prints repr(args[0]); the message is a sentence and must stay one.
        return str(self.args[0]) if self.args else ""


class NotFittedError(HashGNNError, RuntimeError):
    """The model holds nothing yet: ``fit()`` or ``load()`` comes first."""


class TrainingError(HashGNNError, RuntimeError):
    """Training cannot go on."""


class PeerLostError(TrainingError):
    """Another process that trains the same model has ended or does not answer; what ended it is said there."""


class CallbackError(HashGNNError, RuntimeError):
    """A callback of a run failed; the message names it, and ``__cause__`` is its exception."""


class ArtifactError(HashGNNError, ValueError):
    """A folder is not a usable saved model."""


class ArtifactDamagedError(ArtifactError):
    """A file of a saved model is missing, truncated or was edited."""


class ArtifactVersionError(ArtifactError):
    """A saved model uses a format that this version of the library does not know."""


class MissingExtraError(HashGNNError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""


class EngineError(HashGNNError, RuntimeError):
    """An engine for batches or retrieval cannot be reached, fails, or does not hold a version."""


class FetchError(HashGNNError, OSError):
    """A public data set could not be fetched or verified."""


class StorageError(HashGNNError, OSError):
    """Writing failed; the target is as it was before."""


class UnknownOutcomeError(StorageError):
    """The server of a store went away in the moment of a commit: what was written may have been kept, or not."""


class HashGNNWarning(UserWarning):
    """Root of every warning that hashgnn gives."""


class DataWarning(HashGNNWarning):
    """Something in the data was repaired; the message counts it."""


class ResultWarning(HashGNNWarning):
    """A result is shorter than was requested, or rows of it are empty; the message says which."""


class TrainingWarning(HashGNNWarning):
    """Training went on, but not as requested."""
