"""The sentence for the caller of a write that failed."""

from __future__ import annotations

from hashgnn.errors import HashGNNError


def outcome(error: HashGNNError, done: str) -> str:
    """Return the end of a sentence about what could not be done: nothing was changed, or that is not known.

    Parameters
    ----------
    error : HashGNNError
        Of the store.
    done : str
        The verb of the request, as ``"kept"``.
    """
    from hashgnn.serving.store import UnknownOutcomeError

    if isinstance(error, UnknownOutcomeError):
        return f"may have been {done} or not, as the store went away; send the same request again"
    return f"could not be {done}; nothing was changed"
