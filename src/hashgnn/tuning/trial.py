"""One trial in a process of its own: ``python -m hashgnn.tuning FOLDER NUMBER``.

A process can be stopped within an epoch, when its trial is pruned or the time is up. Its results so far are
in its log. It ends by itself when the study that started it is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from hashgnn._addresses import path_of
from hashgnn._extras import require
from hashgnn.config import ModelConfig
from hashgnn.errors import HashGNNError, TrainingError
from hashgnn.runs import RunOptions
from hashgnn.tuning.study_folder import StudyFolder

DONE, BAD_INPUT, DIVERGED = 0, 2, 3


def run_trial(folder: str, number: str) -> int:
    """Train as the trial's file says; return the exit code."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    require("torch", extra="train", purpose="tuning")
    from hashgnn.training import train

    place = StudyFolder(path_of(folder))
    given = json.loads(place.config_of(int(number)).read_text(encoding="utf-8"))
    try:
        fitted, valid = place.read_parts()
        user_features, item_features = place.read_features()
        train(
            fitted,
            ModelConfig.from_dict(given["config"]),
            valid=valid,
            user_features=user_features,
            item_features=item_features,
            options=RunOptions(
                seed=given["seed"],
                n_threads=given["n_threads"],
                device=given["device"],
                progress=False,
                log_path=place.log_of(int(number)),
            ),
        )
    except TrainingError as error:
        print(error, file=sys.stderr)
        return DIVERGED
    except HashGNNError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    return DONE


def _end_with_parent() -> None:
    """Wait until the other end of standard input is closed, as it is when the study has ended or was killed."""
    while os.read(0, 1):
        pass
    os._exit(1)
