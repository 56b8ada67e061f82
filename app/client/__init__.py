"""The REST API from Python, as thin as it goes: what the MCP server and the adapters of agent frameworks are built on.

async with AsyncRemembr("http://127.0.0.1:8000/api/v1", "rk_...") as memory:
    found = await memory.call("POST", "/memory/search", body={"query": "billing"})
"""

from app.client.both import Clients
from app.client.errors import ApiError
from app.client.rest import AsyncRemembr, Remembr
from app.client.steps import Call, Steps, run, run_async

__all__ = ["ApiError", "AsyncRemembr", "Call", "Clients", "Remembr", "Steps", "run", "run_async"]
