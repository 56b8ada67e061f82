"""LangGraph on Remembr: `RemembrSaver` keeps what a graph is doing, `RemembrStore` what it has learnt.

clients = Clients("http://127.0.0.1:8000/api/v1", "rk_...")
graph = builder.compile(checkpointer=RemembrSaver(clients), store=RemembrStore(clients))
"""

from app.adapters.langgraph_saver import RemembrSaver
from app.adapters.langgraph_store import RemembrStore
from app.client import Clients

__all__ = ["Clients", "RemembrSaver", "RemembrStore"]
