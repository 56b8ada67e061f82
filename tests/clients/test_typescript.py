"""The calls of the TypeScript client, made by Node where there is one."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.client import Client

SCRIPT = Path(__file__).with_name("typescript.mjs")
TIMEOUT_S = 60


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
async def test_scenario_19_every_call_of_the_typescript_client(
    organisation: Client, base_url: str, api_key: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), base_url, api_key, organisation.user_id,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["emptied"] == 1
