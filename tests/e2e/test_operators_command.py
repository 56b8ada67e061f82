"""`remembr-server` as operators and their scripts use it: help, JSON, exit codes, completion, several processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import typer.main

from app.cli import app as command
from app.elastic.client import open_elasticsearch
from app.engines import ports
from app.settings import Settings
from tests.prefixes import forget
from tests.processes import Ended, RemembrProcess, eventually, naming, stores_of

TIMEOUT_S = 60
UP_S = 60


async def remembr_server(*arguments: str, **environment: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("remembr-server"),
        *arguments,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def nothing_there(settings: Settings) -> AsyncIterator[dict[str, str]]:
    """The environment of an installation that has no index yet; what is made is removed."""
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    assert settings.elasticsearch_url is not None
    yield stores_of(settings) | {"REMEMBR_INDEX_PREFIX": prefix}
    async with open_elasticsearch(settings, settings.elasticsearch_url) as es:
        await forget(es, prefix)


async def test_every_command_and_every_option_has_help() -> None:
    described = typer.main.get_command(command)
    assert described.help
    commands = vars(described)["commands"]
    assert {"serve", "worker", "dev", "demo", "doctor", "templates", "reindex", "backup", "restore"} == set(commands)
    for name, each in commands.items():
        assert each.help, name
        for parameter in each.params:
            assert getattr(parameter, "help", None) or getattr(parameter, "hidden", False), (name, parameter.name)


async def test_the_release_is_told() -> None:
    assert (await remembr_server("--version")).out.strip() == version("remembr-server")


async def test_shells_complete_commands_and_names_of_indices() -> None:
    asked = {"_REMEMBR_SERVER_COMPLETE": "complete_bash"}
    commands = await remembr_server(**asked, COMP_WORDS="remembr-server re", COMP_CWORD="1")
    assert set(commands.out.split()) == {"reindex", "restore"}
    names = await remembr_server(**asked, COMP_WORDS="remembr-server reindex se", COMP_CWORD="2")
    assert names.out.split() == ["sessions"]


async def test_scripts_see_by_json_and_exit_code_whether_templates_are_in_place(settings: Settings) -> None:
    async with nothing_there(settings) as environment:
        before = await remembr_server("templates", "--check", "--json", **environment)
        assert (before.code, {each["state"] for each in before.json}) == (1, {"create"})
        applied = await remembr_server("templates", "--apply", "--json", **environment)
        assert (applied.code, {each["state"] for each in applied.json}) == (0, {"create"})
        after = await remembr_server("templates", "--check", "--json", **environment)
        assert (after.code, {each["state"] for each in after.json}) == (0, {"keep"})
        (status,) = (await remembr_server("reindex", "--status", "--json", **environment)).json
        assert (status["live"], status["name"].startswith(environment["REMEMBR_INDEX_PREFIX"])) == (True, True)


async def test_what_stops_a_command_is_json_too_and_has_its_exit_code(settings: Settings) -> None:
    wrong = await remembr_server("doctor", "--json", REMEMBR_PORT="many")
    assert (wrong.code, "REMEMBR_PORT" in wrong.json["error"]) == (2, True), wrong
    assert "Traceback" not in wrong.err
    environment = stores_of(settings)
    nothing = await remembr_server("reindex", "nothing", "--json", **environment)
    assert (nothing.code, "no index nothing" in nothing.json["error"]) == (1, True), nothing
    two = await remembr_server("reindex", "--rollback", "--finish", **environment)
    assert (two.code, two.out, "one of" in two.err) == (1, "", True)
    assert (await remembr_server("reindex", "--unheard-of")).code == 2


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")
async def test_several_server_processes_share_a_port_and_come_back(settings: Settings, tmp_path: Path) -> None:
    port = ports.pick(0, "the server", "REMEMBR_PORT")
    started = RemembrProcess("serve --workers 2", settings, REMEMBR_PORT=str(port), REMEMBR_DATA_DIR=str(tmp_path))

    def servers() -> set[int]:
        return {
            pid for pid, said in naming(str(tmp_path)).items() if "--one-of-them" in said and "guard.py" not in said
        }

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    started.ensure()
    try:
        await eventually(ready, UP_S)
        await eventually(lambda: len(servers()) == 2, UP_S)
        ended, other = servers()
        os.kill(ended, signal.SIGKILL)
        await eventually(lambda: len(servers() - {ended, other}) == 1, UP_S)
        assert other in servers()
        await eventually(ready, UP_S)
    finally:
        code = started.stop()
    assert code == 0
    assert servers() == set()
