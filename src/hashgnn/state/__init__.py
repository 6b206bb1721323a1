"""The state of a fitted model: one frozen object of two sides, and the folder it is saved in."""

from hashgnn.state.at_address import local_folder
from hashgnn.state.indexed_codes import IndexedCodes
from hashgnn.state.model_state import ModelState
from hashgnn.state.side import Side
from hashgnn.state.storage import load_state, save_state

__all__ = ["IndexedCodes", "ModelState", "Side", "load_state", "local_folder", "save_state"]
