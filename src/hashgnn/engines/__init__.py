"""Items of a model in an engine that others run: PostgreSQL, LanceDB, Milvus, and files for more of them."""

from hashgnn.engines.address import EngineAddress
from hashgnn.engines.base import Engine, EngineVersion, Limits
from hashgnn.engines.exporting import Exported, export_model, sync_model
from hashgnn.engines.index import EngineIndex
from hashgnn.engines.registry import ENGINES, FILE_FORMS, open_engine
from hashgnn.engines.writing import export_files

__all__ = [
    "ENGINES",
    "FILE_FORMS",
    "Engine",
    "EngineAddress",
    "EngineIndex",
    "EngineVersion",
    "Exported",
    "Limits",
    "export_files",
    "export_model",
    "open_engine",
    "sync_model",
]
