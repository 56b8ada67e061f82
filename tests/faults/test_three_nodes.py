"""Three nodes and a replica of each shard: one goes, and requests go on while it is away."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app import engines
from tests.faults.cluster import Callers, Cluster, Fault, hold, open_callers, open_cluster, well
from tests.faults.conftest import BACK_S, embedded
from tests.processes import eventually
from tests.reliability import Report

AWAY_S = 5.0
GOES_ON_S = 30.0
"""A failed node is noticed, another master elected and replicas promoted well within it, on a busy machine too."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nodes() -> Iterator[engines.Engines]:
    with tempfile.TemporaryDirectory(prefix="remembr-nodes-", ignore_cleanup_errors=True) as folder:
        settings = embedded(Path(folder)).model_copy(update={"elasticsearch_nodes": 3})
        with engines.start(settings) as started:
            yield started


@pytest.fixture(scope="module")
async def cluster(nodes: engines.Engines) -> AsyncIterator[Cluster]:
    async with open_cluster(nodes, index_replicas=1) as opened:
        await eventually(lambda: green(opened), BACK_S)
        yield opened


@pytest.fixture
async def callers(cluster: Cluster) -> AsyncIterator[Callers]:
    async with open_callers(cluster) as opened:
        yield opened


async def green(cluster: Cluster) -> bool:
    health = (await cluster.es.cluster.health()).body
    return bool(health["status"] == "green" and health["number_of_nodes"] == 3)


async def master(cluster: Cluster) -> engines.Service:
    """The node that is the master now."""
    info = (await cluster.es.nodes.info(node_id="_master", metric="http")).body
    (chosen,) = info["nodes"].values()
    address = chosen["http"]["publish_address"]
    return next(node for node in cluster.stores.nodes if node.url.endswith(address))


async def without(cluster: Cluster, node: engines.Service) -> None:
    """Kill it; everyone must get on while it is away."""
    await asyncio.to_thread(node.kill)
    began = time.monotonic()
    async with open_callers(cluster) as others:
        await asyncio.gather(*(well(client) for client in others.clients))
    assert time.monotonic() - began < GOES_ON_S
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(node.start)
    await eventually(lambda: green(cluster), BACK_S)


async def kill_a_node(cluster: Cluster) -> None:
    chief = await master(cluster)
    await without(cluster, next(node for node in cluster.stores.nodes if node is not chief))


async def kill_the_master(cluster: Cluster) -> None:
    await without(cluster, await master(cluster))


async def restart_in_turn(cluster: Cluster) -> None:
    for node in cluster.stores.nodes:
        await asyncio.to_thread(node.restart)
        await eventually(lambda: green(cluster), BACK_S)


FAULTS: dict[str, Fault] = {
    "one node of three killed": kill_a_node,
    "the master of three killed": kill_the_master,
    "three nodes restarted in turn": restart_in_turn,
}


@pytest.mark.parametrize("name", FAULTS)
async def test_every_answer_stays_true(
    name: str, cluster: Cluster, callers: Callers, reliability: Report, tmp_path: Path
) -> None:
    await hold(name, FAULTS[name], cluster, callers, reliability, tmp_path)
