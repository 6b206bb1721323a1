"""A data set inside a Python package: pip downloads the wheel, which is never installed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hashgnn._files import storage_errors
from hashgnn.data.datasets._checksums import Checksum
from hashgnn.errors import FetchError


@dataclass(frozen=True)
class PackageFile:
    """A wheel on the package index that pip is set up to use.

    Attributes
    ----------
    requirement : str
        Name and exact version, as ``name==1.0``.
    name : str
        The wheel's file name.
    checksum : Checksum
    """

    requirement: str
    name: str
    checksum: Checksum


def download_package(package: PackageFile, folder: Path, *, time_limit: float = 120.0) -> Path:
    """Fetch a wheel into ``folder`` and return its path; nothing of it is run or installed.

    Raises
    ------
    FetchError
        If pip fails, takes longer than ``time_limit`` seconds, or the file has another checksum.
    """
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    with storage_errors(folder):
        scratch = tempfile.TemporaryDirectory(dir=folder)
    with scratch as temporary:
        command = [sys.executable, "-m", "pip", "download", *options, "--retries", "1", "--timeout", "15"]
        try:
            result = subprocess.run(  # noqa: S603  fixed arguments, no shell
                [*command, "--dest", temporary, package.requirement],
                capture_output=True,
                text=True,
                timeout=time_limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FetchError(f"pip download {package.requirement} took more than {time_limit:g} s") from None
        wheel = Path(temporary) / package.name
        if result.returncode or not wheel.is_file():
            lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
            said = (lines or result.stderr.splitlines() or ["it brought no such wheel"])[-1]
            raise FetchError(f"pip download {package.requirement} failed: {said.removeprefix('ERROR: ')}")
        if not package.checksum.matches(wheel):
            raise FetchError(
                f"{package.name}: the {package.checksum.kind} checksum of the file that pip fetched does not match"
            )
        with storage_errors(folder):
            return wheel.replace(folder / package.name)
