"""Looking an installation over: each check says what is so, and what to do where that isn't well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from elasticsearch import ApiError

from app.backlog import BacklogStore
from app.container import Core
from app.elastic.client import translate_errors
from app.elastic.generations import generations, model_of
from app.elastic.indices import EPISODES, INDICES, plan
from app.embedding import describe
from app.errors import EngineError, RemembrError
from app.production import problems
from app.settings import Settings
from app.types import utc_now

State = Literal["good", "look", "bad"]
_RELEASE = (9, 0)
_CLOCKS_APART_S = 5.0
_LAG_S = 300.0
_WORDS = {"embeddings": "episodes wait for their embedding", "events": "changes wait to be told to webhooks",
          "deliveries": "deliveries are due"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """about: what was looked at. state: `look` works, and isn't as it should be. advice: empty when it is good."""

    about: str
    state: State
    said: str
    advice: str = ""


Check = Callable[[Core], Awaitable[list[Finding]]]


async def examine(core: Core) -> list[Finding]:
    """Every check, in an order in which the first bad finding is likely the cause of those after it."""
    findings = list(_settings(core.settings))
    reachable = await _attempt(_elasticsearch, core)
    findings += reachable
    if all(finding.state != "bad" for finding in reachable):
        for check in (_disks, _clock, _templates):
            findings += await _attempt(check, core)
        there = await _attempt(_indices, core)
        findings += there
        if all(finding.state != "bad" for finding in there):
            for check in (_blocks, _replicas, _backlog):
                findings += await _attempt(check, core)
    findings += await _attempt(_redis, core)
    findings += await _attempt(_model, core)
    return findings


async def _attempt(check: Check, core: Core) -> list[Finding]:
    try:
        return await check(core)
    except (RemembrError, EngineError, ApiError) as error:
        about = check.__name__.strip("_").replace("_", " ")
        return [Finding(about, "bad", str(error), "Put that right first, then ask again.")]


def _settings(settings: Settings) -> Iterator[Finding]:
    found = list(problems(settings))
    for problem in found:
        said, _, advice = problem.partition(": ")
        yield Finding("settings", "bad" if settings.environment == "production" else "look", said, advice)
    if settings.environment == "development":
        yield Finding("settings", "look", "REMEMBR_ENVIRONMENT is development", "Set it to production.")
    elif not found:
        yield Finding("settings", "good", "fit for production")
    for name in ("rate_limit_per_minute", "sign_in_per_address", "sign_in_per_email"):
        if getattr(settings, name) == 0:
            yield Finding("settings", "look", f"REMEMBR_{name.upper()} is 0", "Set a limit: one caller can take all.")


async def _elasticsearch(core: Core) -> list[Finding]:
    with translate_errors("asking who it is"):
        info = (await core.es.info()).body
    version: str = info["version"]["number"]
    if tuple(int(part) for part in version.split(".")[:2]) < _RELEASE:
        return [Finding("Elasticsearch", "bad", f"is {version}", "Use Elasticsearch 9.")]
    findings = [Finding("Elasticsearch", "good", f"{version} answers")]
    if not (core.settings.elasticsearch_api_key or core.settings.elasticsearch_username):
        findings.append(
            Finding(
                "Elasticsearch",
                "look",
                "asks for no password",
                "Switch its security on, unless it is yours alone.",
            )
        )
    return findings


async def _disks(core: Core) -> list[Finding]:
    with translate_errors("looking at its disks"):
        nodes = (await core.es.nodes.stats(metric="fs")).body["nodes"].values()
    findings = []
    for node in nodes:
        total = node["fs"]["total"]
        free = total["available_in_bytes"] / max(1, total["total_in_bytes"])
        said = f"{node['name']} has {free:.0%} of its disk free"
        if free < 0.05:
            findings.append(Finding("disk", "bad", said, "At the flood-stage watermark writes stop: make room now."))
        elif free < 0.15:
            findings.append(Finding("disk", "look", said, "Below 15 % no new shards are put there: make room."))
        else:
            findings.append(Finding("disk", "good", said))
    return findings


async def _blocks(core: Core) -> list[Finding]:
    with translate_errors("looking for blocks"):
        # By their aliases: an index that was replaced is kept, and takes no writes.
        aliases = [index.alias(core.settings.index_prefix) for index in INDICES]
        answer = await core.es.indices.get_settings(index=aliases, flat_settings=True, ignore_unavailable=True)
    blocked = [
        name
        for name, each in answer.body.items()
        if any(key.startswith("index.blocks.") and value == "true" for key, value in each["settings"].items())
    ]
    if blocked:
        return [
            Finding(
                "blocks",
                "bad",
                f"{', '.join(sorted(blocked))} can't be written",
                "Make room on the disk; Elasticsearch then lifts its own block. Lift one that you set yourself.",
            )
        ]
    return [Finding("blocks", "good", "every index can be written")]


async def _templates(core: Core) -> list[Finding]:
    changes = await plan(core.es, core.settings, (await describe(core.settings)).dims)
    wrong = [change for change in changes if change.state != "keep"]
    if any(change.state == "newer" for change in wrong):
        return [Finding("templates", "look", "a newer release wrote them", "Update this release as well.")]
    if wrong:
        names = ", ".join(change.name for change in wrong)
        return [Finding("templates", "bad", f"{names} differ", "Run `remembr-server templates --apply`.")]
    return [Finding("templates", "good", "as this release wants them")]


async def _indices(core: Core) -> list[Finding]:
    findings = []
    for index in INDICES:
        alias = index.alias(core.settings.index_prefix)
        found = await generations(core.es, alias)
        if not any(generation.live for generation in found):
            findings.append(Finding("indices", "bad", f"{alias} is missing", "Start a server: it makes it."))
        for generation in found:
            if not generation.live:
                said = f"{generation.name} is kept beside the one in its place"
                findings.append(Finding("indices", "look", said, f"`remembr-server reindex {index.name} --status`."))
    return findings or [Finding("indices", "good", f"all {len(INDICES)} are there")]


async def _replicas(core: Core) -> list[Finding]:
    alias = EPISODES.alias(core.settings.index_prefix)
    with translate_errors("looking at the cluster"):
        health = (await core.es.cluster.health(index=alias)).body
    nodes, status = health["number_of_data_nodes"], health["status"]
    if status == "red":
        return [Finding("shards", "bad", "some are missing", "`GET _cluster/allocation/explain` says why.")]
    findings = [Finding("shards", "good", f"{status}, {nodes} data node{'s' if nodes > 1 else ''}")]
    if nodes > 1 and core.settings.index_replicas == 0:
        findings.append(Finding("shards", "look", "have no copies on other nodes", "Set REMEMBR_INDEX_REPLICAS=1."))
    if status == "yellow":
        findings.append(Finding("shards", "look", "copies are missing", "Add a node, or set REMEMBR_INDEX_REPLICAS=0."))
    return findings


async def _clock(core: Core) -> list[Finding]:
    began = utc_now()
    with translate_errors("asking for its time"):
        nodes = (await core.es.nodes.stats(metric="os")).body["nodes"].values()
    middle = began + (utc_now() - began) / 2
    apart = max(abs(datetime.fromtimestamp(node["timestamp"] / 1000, began.tzinfo) - middle) for node in nodes)
    seconds = apart.total_seconds()
    if seconds > _CLOCKS_APART_S:
        return [Finding("clocks", "look", f"are {seconds:.0f} s apart", "Run NTP: times decide what is due.")]
    return [Finding("clocks", "good", f"within {max(seconds, 0.1):.1f} s")]


async def _backlog(core: Core) -> list[Finding]:
    findings = []
    for what, waiting in (await BacklogStore(core.engine).look()).items():
        said = f"{waiting.count} {_WORDS[what]}"
        if waiting.oldest_s > _LAG_S:
            said += f", the oldest for {waiting.oldest_s / 60:.0f} minutes"
            findings.append(Finding("backlog", "look", said, "Is a worker running? Start one more; its log says more."))
        else:
            findings.append(Finding("backlog", "good", said))
    return findings


async def _redis(core: Core) -> list[Finding]:
    began = time.monotonic()
    if not await core.redis.ping():
        return [
            Finding("Redis", "look", "does not answer", "Nothing is lost without it, but nothing is limited: start it.")
        ]
    took_ms = (time.monotonic() - began) * 1000
    info = await core.redis.client.info()
    version = info.get("valkey_version") or info["redis_version"]
    findings = [Finding("Redis", "good", f"{version} answers in {took_ms:.1f} ms")]
    if info.get("maxmemory") and info.get("maxmemory_policy") == "noeviction":
        findings.append(
            Finding("Redis", "look", "refuses writes when it is full", "Nothing in it must last: use allkeys-lru.")
        )
    return findings


async def _model(core: Core) -> list[Finding]:
    alias = EPISODES.alias(core.settings.index_prefix)
    made_for = await model_of(core.es, alias)
    if made_for is not None:
        wanted = core.settings.embedding_model
        if made_for.name == wanted:
            return [Finding("model", "good", f"{made_for.model_id}, {made_for.dims} dimensions")]
        return [
            Finding(
                "model",
                "look",
                f"the episodes are embedded by {made_for.name}, the settings name {wanted}",
                f"Run `remembr-server reindex --model {wanted}`, or set REMEMBR_EMBEDDING_MODEL={made_for.name}.",
            )
        ]
    info = await describe(core.settings)
    with translate_errors("looking at the vectors"):
        mappings = (await core.es.options(ignore_status=404).indices.get_mapping(index=alias)).body
    dims = {
        mapping["mappings"]["properties"]["context_vector"]["dims"]
        for mapping in mappings.values()
        if isinstance(mapping, dict) and "mappings" in mapping
    }
    if dims and dims != {info.dims}:
        return [
            Finding(
                "model",
                "bad",
                f"{info.model_id} has {info.dims} dimensions, the index {dims.pop()}",
                "Set REMEMBR_EMBEDDING_MODEL back, or start with a new REMEMBR_INDEX_PREFIX.",
            )
        ]
    return [Finding("model", "good", f"{info.model_id}, {info.dims} dimensions")]


async def wait_for(checks: Awaitable[list[Finding]], timeout_s: float) -> list[Finding]:
    """The findings, or one that says that they took too long."""
    try:
        return await asyncio.wait_for(checks, timeout_s)
    except TimeoutError:
        return [Finding("all", "bad", f"took more than {timeout_s:.0f} s", "Something hangs: is the network well?")]
