"""`remembr-mcp`: over stdio for one user's client, or over streamable HTTP for many."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def remembr_mcp(
    base_url: Annotated[
        str, typer.Option(envvar="REMEMBR_BASE_URL", help="The REST API.")
    ] = "http://127.0.0.1:8000/api/v1",
    api_key: Annotated[
        str | None,
        typer.Option(envvar="REMEMBR_API_KEY", help="Whose memory it is, over stdio.", show_default=False),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP; requests bring their keys.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on, with --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on, with --http.", min=0, max=65535)] = 8765,
) -> None:
    """Memory for MCP clients: tools to remember, search, recall and forget, and sessions as resources."""
    try:
        # What is imported here takes a second that `--help` needn't wait for.
        from app.mcp_server.callers import Callers
        from app.mcp_server.server import build
    except ModuleNotFoundError:
        typer.echo("What speaks MCP isn't installed: pip install 'remembr-server[mcp]'.", err=True)
        raise typer.Exit(1) from None

    if http:
        server = build(Callers(base_url, None))
        asyncio.run(server.run_streamable_http_async(host=host, port=port, stateless_http=True))
        return
    if not api_key:
        typer.echo("Set REMEMBR_API_KEY to an API key of Remembr, or use --http.", err=True)
        raise typer.Exit(2)
    asyncio.run(build(Callers(base_url, api_key)).run_stdio_async())


def main() -> None:
    """Entry point."""
    app(prog_name="remembr-mcp")


if __name__ == "__main__":
    main()
