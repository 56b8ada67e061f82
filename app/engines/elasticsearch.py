"""The embedded Elasticsearch: loopback only, without security, each node on a data folder of its own."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from app.engines import java
from app.engines.configuration import Node, configure
from app.engines.ports import LOOPBACK
from app.engines.process import Command
from app.engines.service import Plan
from app.engines.user import User
from app.errors import EngineError

GRACE_S = 20.0
# A node that was just told to stop, or whose parent was killed, still holds its data for a moment.
LOCK_WAIT_S = 15.0
ASK_TIMEOUT_S = 2.0

ADVICE = (
    (
        r"failed to obtain node lock",
        "Another Elasticsearch uses this data folder: stop it, or set REMEMBR_DATA_DIR.",
    ),
    (r"Address already in use|BindHttpException", "Another program took its port meanwhile: start again."),
    (
        r"insufficient memory|Could not reserve enough space|Cannot allocate memory|OutOfMemoryError",
        "The machine is short of memory: close something, or set REMEMBR_ELASTICSEARCH_HEAP lower (`512m`).",
    ),
    (
        r"No space left on device",
        "The disk is full: make room, or set REMEMBR_DATA_DIR to a folder on another one.",
    ),
    (
        r"cannot (?:down|up)grade a node|IndexFormatTooNew|IndexFormatTooOld",
        "Its data was written by another version: set REMEMBR_DATA_DIR to a new folder, or "
        "REMEMBR_ELASTICSEARCH_HOME to that version.",
    ),
)


def plan(
    home: Path, folder: Path, node: Node, *, heap: str, java_options: str, start_timeout_s: float, user: User | None
) -> Plan:
    """How to run the distribution in `home` on the data in `folder`, which must exist and belong to `user`.

    heap: as in `-Xmx`. java_options: more of them, separated by spaces. Raises EngineError when no Java fits.
    """
    bundled = java.bundled(home)
    jdk = bundled or java.find(user)
    script = home / "bin/elasticsearch"
    command = Command(
        argv=[str(script)] if script.is_file() else _launcher(home, folder, jdk),
        env=_environment(home, folder, jdk, bundled is not None),
        cwd=home,
        log=folder / "elasticsearch.log",
        user=user,
        grace_s=GRACE_S,
    )

    def before() -> None:
        _wait_for_data(folder)
        configure(home, folder, node, heap, java_options, user)

    url = f"http://{LOOPBACK}:{node.port}"
    return Plan(
        name="Elasticsearch" if node.number == 1 else f"Elasticsearch, node {node.number}",
        url=url,
        command=command,
        start_timeout_s=start_timeout_s,
        ready=lambda _pid: is_ready(url, node.cluster),
        before=before,
        advice=advice,
    )


def _launcher(home: Path, folder: Path, jdk: Path) -> list[str]:
    # The same call as bin/elasticsearch.bat makes.
    return [
        *(str(jdk / "bin/java"), "-Xms4m", "-Xmx64m", "-XX:+UseSerialGC"),
        *("-Dcli.name=server", "-Dcli.libs=lib/tools/server-cli"),
        *(f"-Des.path.home={home}", f"-Des.path.conf={folder / 'config'}"),
        *("-Des.distribution.type=zip", "-Des.java.type=ES_JAVA_HOME"),
        *("-cp", str(home / "lib/tools/server-launcher/*")),
        "org.elasticsearch.server.launcher.ServerLauncher",
    ]


def _environment(home: Path, folder: Path, jdk: Path, bundled: bool) -> dict[str, str]:
    # Made from nothing: the caller's secrets and JAVA_TOOL_OPTIONS are no business of the engine.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "HOSTNAME": socket.gethostname(),
        "ES_HOME": str(home),
        "ES_PATH_CONF": str(folder / "config"),
        "ES_TMPDIR": str(folder / "tmp"),
        "LIBFFI_TMPDIR": str(folder / "tmp"),
        "ES_DISTRIBUTION_TYPE": "zip",
    }
    if bundled:
        return environment
    return environment | {
        "ES_JAVA_HOME": str(jdk),
        "JAVA": str(jdk / "bin/java"),
        "JAVA_TYPE": "ES_JAVA_HOME",
    }


def _wait_for_data(folder: Path) -> None:
    # The JVM locks this file with fcntl(2), which a lock attempt of ours meets without disturbing it.
    lock_file = folder / "data/node.lock"
    if not lock_file.exists():
        return
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        with lock_file.open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if time.monotonic() > end:
                    raise EngineError(
                        f"The data in {folder} is in use by another running Elasticsearch, probably another "
                        "start of this service. Stop that one, or set REMEMBR_DATA_DIR to another folder."
                    ) from error
            else:
                return
        time.sleep(0.2)


def is_ready(url: str, cluster: str) -> bool:
    """Whether the node of this cluster name answers and all its primary shards are there; asks once.

    Raises EngineError when another cluster answers at this address.
    """
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ASK_TIMEOUT_S)
    try:
        connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
        answer = connection.getresponse()
        health = json.loads(answer.read())
    except (OSError, http.client.HTTPException, json.JSONDecodeError):
        return False
    finally:
        connection.close()
    if answer.status == http.client.OK and health.get("cluster_name") != cluster:
        raise EngineError(f"Another Elasticsearch answers at {url}: its port was taken meanwhile. Start again.")
    return answer.status == http.client.OK


def advice(said: str, code: int | None) -> str:
    """What to do about a start that failed, from the end of the log and the exit code."""
    for pattern, sentence in ADVICE:
        if re.search(pattern, said):
            return sentence
    if code is None:
        return "The machine may be busy: set REMEMBR_ELASTICSEARCH_START_TIMEOUT_S higher and start again."
    if code in (137, 143):
        return "It was killed from outside, perhaps because memory ran out: see REMEMBR_ELASTICSEARCH_HEAP."
    return "The log says why."
