"""The configuration of the embedded Elasticsearch node, written anew at each start."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.engines.folders import own
from app.engines.ports import LOOPBACK
from app.engines.user import User
from app.errors import EngineError

# Log to standard output alone: the guard writes that to one file, which is begun anew at each start.
LOG4J2 = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}][%node_name]%marker %m%consoleException%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.header_warning.type = HeaderWarningAppender
appender.header_warning.name = header_warning
logger.deprecation.name = org.elasticsearch.deprecation
logger.deprecation.level = warn
logger.deprecation.appenderRef.header_warning.ref = header_warning
"""

# Settings that only exist, and only make sense, where their module does: an unknown one stops the start.
MODULE_SETTINGS = {
    "x-pack-ml": "xpack.ml.enabled: false",
    "ingest-geoip": "ingest.geoip.downloader.enabled: false",
}
# Else the node calls Elastic's hosted inference service. The name of the setting changed between versions.
NO_HOSTED_INFERENCE = ("lib/elasticsearch-9.4.*.jar", "xpack.inference.elastic.authorization.enabled: false")


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a cluster on this machine. number: from 1. port: for HTTP. transport: ports of all its nodes in
    their order. first: the folder of the first."""

    number: int
    port: int
    transport: tuple[int, ...]
    first: Path

    @property
    def cluster(self) -> str:
        """A name of its own for each data folder: who answers on a port can be told by it."""
        return f"remembr-{hashlib.sha256(str(self.first).encode()).hexdigest()[:12]}"


def configure(home: Path, folder: Path, node: Node, heap: str, java_options: str, user: User | None) -> None:
    """Write the node's configuration anew below `folder`. java_options: more of them, separated by spaces.

    Raises EngineError when that can't be done.
    """
    config = folder / "config"
    try:
        for name in ("config", "tmp"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("config", "config/jvm.options.d", "tmp", "data", "logs", "snapshots"):
            own(folder / name, user)
        for part in (home / "config").iterdir():
            if part.is_file() and part.suffix != ".keystore":
                shutil.copyfile(part, config / part.name)
        (config / "log4j2.properties").write_text(LOG4J2)
        (config / "jvm.options.d/embedded.options").write_text(_jvm_options(heap, java_options))
        (config / "elasticsearch.yml").write_text(_settings(home, folder, node))
        for part in config.rglob("*"):
            part.chmod(0o700 if part.is_dir() else 0o600)
            if user:
                os.chown(part, user.uid, user.gid)
    except OSError as error:
        raise EngineError(f"Elasticsearch's configuration can't be written: {error}. Set REMEMBR_DATA_DIR.") from error


def _jvm_options(heap: str, more: str) -> str:
    # The distribution's own options keep up to 2 GB of garbage collection logs and dump a full heap.
    options = [f"-Xms{heap}", f"-Xmx{heap}", "-XX:-HeapDumpOnOutOfMemoryError", "-Xlog:disable"]
    return "\n".join([*options, "-Xlog:all=warning:stderr:utctime,level,tags", *more.split(), ""])


def _settings(home: Path, folder: Path, node: Node) -> str:
    lines = [
        f"cluster.name: {node.cluster}",
        f"node.name: {_node_name(node.number)}",
        *_discovery(folder, node),
        f"network.host: {LOOPBACK}",
        f"http.port: {node.port}",
        f"transport.port: {node.transport[node.number - 1]}",
        "xpack.security.enabled: false",
        # A developer's disk is often fuller than the 85 % at which Elasticsearch would stop allocating.
        "cluster.routing.allocation.disk.threshold_enabled: false",
        *(f"path.{name}: {json.dumps(str(folder / name))}" for name in ("data", "logs")),
        # Every node has to see the same snapshots.
        f"path.repo: {json.dumps(str(node.first / 'snapshots'))}",
        *(line for module, line in MODULE_SETTINGS.items() if (home / "modules" / module).is_dir()),
    ]
    jar, line = NO_HOSTED_INFERENCE
    if any(home.glob(jar)) and (home / "modules/x-pack-inference").is_dir():
        lines.append(line)
    return "\n".join([*lines, ""])


def _node_name(number: int) -> str:
    return "embedded" if number == 1 else f"embedded-{number}"


def _discovery(folder: Path, node: Node) -> list[str]:
    if len(node.transport) == 1:
        return ["discovery.type: single-node"]
    hosts = [f"{LOOPBACK}:{port}" for port in node.transport]
    lines = [f"discovery.seed_hosts: {json.dumps(hosts)}"]
    if node.first == folder and not (folder / "data/_state").exists():
        # One alone begins a cluster, which the others join: so does one that was alone until now, without this.
        lines.append(f"cluster.initial_master_nodes: {json.dumps([_node_name(1)])}")
    return lines
