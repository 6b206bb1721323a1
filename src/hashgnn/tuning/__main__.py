"""``python -m hashgnn.tuning FOLDER NUMBER``: one trial of a study, as the study starts it."""

import sys

from hashgnn.tuning.trial import run_trial

if __name__ == "__main__":
    sys.exit(run_trial(*sys.argv[1:]))
