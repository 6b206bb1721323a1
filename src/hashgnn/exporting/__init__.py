"""A model as files that programs in other languages read: an ONNX graph, and a table of the items."""

from hashgnn.exporting.item_table import write_item_table
from hashgnn.exporting.onnx_file import export_onnx

__all__ = ["export_onnx", "write_item_table"]
