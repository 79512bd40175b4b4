"""Real servers of other people, started on loopback for the tests that are marked `emulators`.

`scripts/test-emulators` installs them and says where they are: in the folder that TUNEFORM_EMULATORS names.
"""

from __future__ import annotations

import hmac
import os
import re
import subprocess
import threading
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

FOLDER_VARIABLE = "TUNEFORM_EMULATORS"
# The account every Azurite has. Source: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def s3_server(bucket: str) -> Iterator[Mapping[str, str]]:
    """An S3 server with one bucket; gives the environment that leads to it."""
    ready = r"Running on (http://127\.0\.0\.1:\d+)"
    with started("python/bin/moto_server", "-H", "127.0.0.1", "-p", "0", ready=ready) as url:
        put(f"{url}/{bucket}", {})
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "a secret of nobody",
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def azure_server(container: str) -> Iterator[Mapping[str, str]]:
    """An Azure Blob Storage server with one container; gives the environment that leads to it."""
    options = ("--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry")
    ready = r"successfully listens on (http://127\.0\.0\.1:\d+)"
    with started("node_modules/.bin/azurite-blob", *options, ready=ready) as url:
        put(f"{url}/{AZURE_ACCOUNT}/{container}?restype=container", container_headers(container))
        yield {
            "AZURE_STORAGE_ENDPOINT": f"{url}/{AZURE_ACCOUNT}",
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        }


def container_headers(container: str) -> Mapping[str, str]:
    """A signed request to make a container; obstore has none.

    Source: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key.
    """
    headers = {"x-ms-date": format_datetime(datetime.now(UTC), usegmt=True), "x-ms-version": "2021-08-06"}
    canonical = "".join(f"{name}:{value}\n" for name, value in headers.items())
    # An emulator's path bears the account, and the resource names it once more.
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{container}\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical + resource
    signature = b64encode(hmac.digest(b64decode(AZURE_KEY), text.encode(), "sha256")).decode()
    return {**headers, "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}"}


def put(url: str, headers: Mapping[str, str]) -> None:
    """An empty PUT that has to succeed."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.netloc)) as connection:
        connection.request("PUT", f"{parts.path}?{parts.query}", headers={**headers, "Content-Length": "0"})
        reply = connection.getresponse()
        assert reply.status in (200, 201), reply.read()


@contextmanager
def started(*command: str, ready: str) -> Iterator[str]:
    """A server that has said a line that fits `ready`; gives the first group, and ends the server afterwards."""
    program = Path(os.environ.get(FOLDER_VARIABLE, "build/emulators"), command[0])
    if not program.exists():
        pytest.skip(f"{program} is not there; `make test-emulators` installs it")
    process = subprocess.Popen(
        [program, *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=quiet()
    )
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            match = re.search(ready, line)
            if match:
                break
        else:
            pytest.fail(f"{program} ended before it was ready:\n{''.join(said)}")
        # Left unread, a full pipe would stop the server.
        threading.Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
        yield match[1]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def quiet() -> Mapping[str, str]:
    """The environment without proxies, which loopback needs none of, and with Python's output at once."""
    return {**{k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}, "PYTHONUNBUFFERED": "1"}
