"""What a fitted model is: one frozen object, and the folder it is saved in."""

from hashgnn.state.model_state import ModelState
from hashgnn.state.storage import load_state, save_state

__all__ = ["ModelState", "load_state", "save_state"]
