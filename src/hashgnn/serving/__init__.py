"""The service: a saved model behind HTTP, with its page, metrics, hot reload and store of new interactions.

Needs the extra ``serve``. torch is not imported.
"""

from __future__ import annotations

from hashgnn._extras import require
from hashgnn.serving.settings import ServiceSettings

for _module in ("fastapi", "httptools", "prometheus_client", "uvicorn"):
    require(_module, extra="serve", purpose="the service")

from hashgnn.serving.app import create_app  # noqa: E402

__all__ = ["ServiceSettings", "create_app"]
