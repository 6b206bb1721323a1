"""Who follows the training run of a command, and what a user adds to the card of its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashgnn.errors import ParameterError


@dataclass(frozen=True)
class FollowedRun:
    """The trackers of a run, and the texts of its model's card.

    Attributes
    ----------
    trackers : list of Tracker
    license, card_notes : str or None
        ``None`` keeps what a model that is updated had.
    """

    trackers: list[Any]
    license: str | None
    card_notes: str | None

    @classmethod
    def of(
        cls, name: str, tensorboard: Path | None, mlflow: str | None, license: str | None, notes: Path | None
    ) -> FollowedRun:
        """Return it for the options of a command; ``name`` is that of the model.

        Raises
        ------
        ParameterError
            If an option breaks its rule, or the notes cannot be read.
        MissingExtraError
            If the package of a tracker is not installed.
        """
        trackers: list[Any] = []
        if tensorboard is not None:
            from hashgnn.tracking import TensorBoard

            trackers.append(TensorBoard(tensorboard / name))
        if mlflow is not None:
            uri, _, experiment = mlflow.rpartition("/")
            if not experiment or not uri or uri.endswith(("/", ":")):
                raise ParameterError(
                    "--mlflow must be a tracking URI and an experiment, as http://localhost:5000/shop or "
                    f"sqlite:///mlflow.db/shop, got {mlflow!r}"
                )
            from hashgnn.tracking import MLflow

            trackers.append(MLflow(uri, experiment, run_name=name))
        return cls(trackers, _license(license), None if notes is None else _notes(notes))

    @property
    def texts(self) -> dict[str, str | None]:
        """The texts as :meth:`hashgnn.HashGNN.save` takes them."""
        return {"license": self.license, "card_notes": self.card_notes}

    def log_card(self, model: Any) -> None:
        """Give the trackers the card with its texts; that of the training had none."""
        if self.license is not None or self.card_notes is not None:
            for tracker in self.trackers:
                tracker.log_card(model.card(**self.texts))


def _license(text: str | None) -> str | None:
    from hashgnn.state.card import MAX_LICENSE, check_card_text

    return None if text is None else check_card_text("--license", text, MAX_LICENSE)


def _notes(path: Path) -> str:
    from hashgnn.state.card import MAX_NOTES, check_card_text

    try:
        with path.open("rb") as file:
            raw = file.read(4 * MAX_NOTES + 1)  # UTF-8 has at most four bytes a character
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read, {error.strerror}") from None
    if len(raw) > 4 * MAX_NOTES:
        raise ParameterError(f"{path}: must hold at most {MAX_NOTES:,} characters, got a larger file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ParameterError(f"{path}: must be a text file in UTF-8") from None
    return check_card_text(f"{path}: the text", text, MAX_NOTES)
