"""One POST to a receiver: guarded, without redirects or proxies, and never longer than its time-out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from app.webhooks.guard import Network, guarded_sockets

_SNIPPET_BYTES = 1_024
_CONNECTIONS = 256
_GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try went. status: None where there was no answer, and `error` says why. retry_after_s: as asked for."""

    status: int | None
    snippet: str | None = None
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more."""
        return self.status == _GONE


class Sender:
    """timeout_s: of a whole try, from resolving the name to the end of the answer."""

    def __init__(self, session: aiohttp.ClientSession, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Try once. Never raises for what the receiver or the network does."""
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                snippet = await _beginning(answer)
                return Outcome(
                    answer.status, snippet, retry_after_s=retry_after(answer.headers.get("Retry-After"), _now())
                )
        except TimeoutError:
            return Outcome(None, error=f"No answer within {self._timeout_s:g} s.")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(None, error=f"Could not be reached: {error}"[:300])


async def _beginning(answer: aiohttp.ClientResponse) -> str:
    kept = bytearray()
    async for chunk in answer.content.iter_chunked(_SNIPPET_BYTES):
        kept += chunk
        if len(kept) >= _SNIPPET_BYTES:
            # The rest is not read, so the connection can't be used again.
            answer.close()
            break
    return bytes(kept[:_SNIPPET_BYTES]).decode("utf-8", "replace")


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for; None where there is none that can be read."""
    if text is None:
        return None
    try:
        return max(0.0, float(int(text)))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_sender(
    allowed: Sequence[Network], timeout_s: float, resolver: aiohttp.abc.AbstractResolver | None = None
) -> AsyncIterator[Sender]:
    """A sender with connections of its own. allowed: networks beside the public ones. resolver: else the system's."""
    connector = aiohttp.TCPConnector(
        limit=_CONNECTIONS, socket_factory=guarded_sockets(allowed), resolver=resolver, use_dns_cache=False
    )
    async with aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
    ) as session:
        yield Sender(session, timeout_s)
