"""The service: a saved model behind HTTP, with its page, metrics, hot reload and store of new interactions.

``process`` runs ``http``, which calls ``models``, which uses ``wire`` and ``store``. None of them imports upwards.

Needs the extra ``serve``. torch is not imported.
"""

from __future__ import annotations

from typing import Any

from hashgnn._extras import require
from hashgnn.serving.settings import ServiceSettings

for _module in ("httptools", "prometheus_client", "uvicorn"):
    require(_module, extra="serve", purpose="the service")

__all__ = ["ServiceSettings", "create_app"]


def __getattr__(name: str) -> Any:
    """Import the web framework when the application is first used: a process can open its model meanwhile."""
    if name == "create_app":
        require("fastapi", extra="serve", purpose="the service")
        from hashgnn.serving.http.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
