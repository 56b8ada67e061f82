"""Agent frameworks on Remembr, by its REST API: each module needs the extra of its name.

- `app.adapters.langgraph`: `RemembrStore` and `RemembrSaver`
- `app.adapters.langchain`: `RemembrChatMessageHistory`
- `app.adapters.openai_agents`: `RemembrSession`
"""
