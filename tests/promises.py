"""What the API promises, sentence by sentence, and the mark of the tests that prove it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
_SCENARIO = re.compile(r"[Ss]cenario[_ ](\d+)(?:_and_(\d+))?")

PROMISES: dict[str, dict[str, str]] = {
    "Envelope and headers": {
        "envelope.success": "Creates answer 201, the rest 200, in the envelope with its request id.",
        "envelope.health": "Probes are bare and answer at both roots.",
        "envelope.ready": "Readiness says whether Elasticsearch and Redis answer.",
        "envelope.empty-body": "An empty body with the JSON header is no body.",
        "envelope.null": "`null` for an optional field is its absence.",
        "envelope.unknown-fields": "Unknown body fields are ignored.",
        "envelope.times": "Input takes any ISO 8601 offset, none is UTC, a date alone is midnight.",
        "envelope.time-fraction": "Times have a fraction where it is not zero.",
        "envelope.plus": "An unescaped `+` of an offset in a query string is read.",
        "envelope.errors": "Every refusal has one shape, a code and a status of its own.",
        "envelope.validation": "422 names type, place and message of each problem and repeats no value.",
        "envelope.malformed": "A malformed body is 400, a wrong method 405, an unknown path 404.",
        "envelope.request-id": "`X-Request-ID` is taken when sane, else made.",
        "envelope.unavailable": "A store that is down is 503 with Retry-After, and what was acknowledged is kept.",
        "envelope.internal": "A bug is 500 without internals; its log line has the request id.",
        "envelope.sync-callers": "Answers to published synchronous adapters close the connection; a setting stops it.",
    },
    "Authentication and scope": {
        "auth.headers": "A token or key comes in either header.",
        "auth.both-headers": "With both headers, `Authorization` decides.",
        "auth.me": "`/auth/me` and `/me` answer tokens and keys alike.",
        "auth.bad-id": "An id that is no UUID is 404 in a path and 422 in a body.",
        "auth.logout": "Logging out makes the refresh token useless at once.",
        "auth.refresh": "A refresh token can be used again until then.",
        "auth.lifetimes": "An access token lives 30 minutes, a refresh token 7 days.",
        "auth.at-rest": "No store holds a password, a key or a token.",
        "auth.email": "An e-mail is registered once, in any case.",
        "auth.key-secret": "A key shows its secret once.",
        "auth.key-expiry": "An expiry in the past is 422; an expired key stops.",
        "auth.key-scopes": "A key does only what its scopes allow; without saying, everything.",
        "audit.entries": "Sign-ins, deletes, restores, transfers, keys and webhooks leave an audit entry, refused too.",
        "audit.scope": "An organisation reads its own audit log; agents read none.",
        "auth.key-revoked": "A revoked key stops within a second on every server process.",
        "scope.organisation": "The organisation always separates.",
        "scope.agent": "An agent reads its own rows and those of no agent; its user reads all.",
        "scope.metadata": "Scope words in metadata are plain metadata.",
        "scope.user-delete": "A user is deleted by itself or an owner of its organisation; an agent's key is 403.",
    },
    "Idempotency": {
        "idempotency.replay": "The same key and body replays the first answer and says so.",
        "idempotency.race": "A hundred at once on two servers make one thing.",
        "idempotency.redis": "It holds when Redis is flushed in between.",
        "idempotency.other-body": "The same key with another body is a new write that says so.",
        "idempotency.strict": "A strict server refuses that with 409.",
        "idempotency.apart": "Keys of organisations, agents and sessions are apart.",
        "idempotency.day": "A key is good for 24 hours.",
        "idempotency.key": "A key has at most 255 printable characters, else 422.",
        "idempotency.batch": "A batch that was cut short is completed by its repeat.",
        "idempotency.secrets": "An answer that shows a secret is never kept for replay.",
    },
    "Sessions and the short-term window": {
        "sessions.list": "Sessions are listed newest first with their counts.",
        "sessions.history": "History is the newest in ascending order; `order=asc` pages from the oldest.",
        "sessions.history-time": "History can be narrowed by time.",
        "sessions.usage": "A session shows its window and token usage.",
        "sessions.window": "The window is the newest that fit; system messages go last.",
        "sessions.priority": "Priority is role weight times the decay.",
        "sessions.tokens": "Tokens are counted as cl100k_base does, offline.",
        "sessions.none": "An episode may have no session.",
    },
    "Memory": {
        "memory.limits": "Content, role, tags, metadata and body have limits.",
        "memory.clean": "NUL and lone surrogates are 422.",
        "memory.unicode": "Content comes out byte for byte.",
        "memory.read-your-writes": "Any read on any server process sees what was answered.",
        "memory.created-at": "History is imported with its own times, never in the future.",
        "memory.batch": "A batch takes 500 and answers each by itself.",
        "search.default": "Hybrid is the default; `mode` is another name.",
        "search.weights": "Weights are filled in, must sum to 1, and count in hybrid only.",
        "search.keyword-filters": "With tag filters, keyword ranks what no word hits last.",
        "search.no-floor": "Hybrid ranks everything in scope, pending episodes too.",
        "search.no-query": "Without words the filters count, newest first, score 1.0.",
        "search.pages": "Pages laid end to end are the one long list; `total` is its length.",
        "search.scores": "Scores lie in 0..1 and never rise; ties break by newest.",
        "search.fields": "A result has everything that was stored.",
        "search.tags": "All tags must match exactly.",
        "search.tag-filters": "Each operator of a tag filter does what it says.",
        "search.bad-filters": "A bad operator or value is 422; a JSON number is a value.",
        "search.times": "On every route, times out of order are 422 INVALID_TIME_RANGE.",
        "memory.embedding": "Embedding goes from pending to ready; a failure is retried, and found by its words.",
        "delete.gone": "What is soft-deleted is gone from every read at once; again is 404.",
        "delete.restore": "It is restorable for 30 days, after that 410; when not deleted 409.",
        "delete.restored": "A restored episode is back in every read.",
        "delete.hard": "A hard delete is final, deleted before or not.",
        "delete.session": "A deleted session is empty in every read.",
        "delete.user": "A forgotten user is gone at once, and after the purge nothing is left.",
        "delete.purge": "A daily job purges what can't be restored.",
        "diff.added": "A diff is what was said in a period, oldest first.",
        "diff.deleted": "It tells what was deleted in the period.",
        "diff.narrowed": "It can be narrowed, and needs a period.",
    },
    "Checkpoints": {
        "checkpoints.create": "A checkpoint is 201 with id, time and message count, and can be repeated with a key.",
        "checkpoints.list": "Checkpoints are listed newest first.",
        "checkpoints.restore": "After a restore the window is the checkpoint's messages and what is stored afterwards.",
        "checkpoints.superseded": "History leaves out what was superseded unless asked; search finds it still.",
        "checkpoints.not-found": "A checkpoint that isn't this session's is 404.",
        "checkpoints.automatic": "One is taken by itself when the window passes 80 % of its tokens.",
        "window.without-redis": "Losing Redis changes no window.",
    },
    "Webhooks": {
        "webhooks.manage": "A webhook is created, read, listed, changed field by field, and deleted.",
        "webhooks.refused": "An unknown event or a target that is no public http(s) URL is 422.",
        "webhooks.scope": "Webhooks are the organisation's; a key that acts as an agent is 403.",
        "webhooks.secret": "A secret is shown on create and rotation only, and stored encrypted.",
        "webhooks.limit": "An organisation has so many and no more.",
        "webhooks.test": "A test is queued and listed like any delivery.",
        "webhooks.deliveries": "Deliveries are listed newest first, 20 by default, 100 at most.",
        "webhooks.redeliver": "A delivery can be sent again.",
        "webhooks.off": "One that is off sends nothing until it is on again.",
        "webhooks.signed": "Every event arrives, signed as both headers say.",
        "webhooks.deletes": "Deletes of many and for good are told of too, and none costs an event.",
        "webhooks.retries": "A failure is tried again; 410 or 20 failures in a row switch the webhook off.",
        "webhooks.rotation": "After a rotation both secrets sign.",
        "webhooks.targets": "A target that leads to a non-public address is refused on create and at connect time.",
        "webhooks.forgotten": "Deliveries go with the episode or user that they tell of, and with their time.",
        "webhooks.at-least-once": "Each event arrives at least once though the worker is killed in between.",
        "webhooks.down": "A receiver that was down for a while gets everything later.",
        "webhooks.redis": "Events are delivered without Redis.",
        "webhooks.sdk": "The published client's webhook calls work, against a real receiver.",
    },
    "Export": {
        "export.json": "JSON is one array of the columns in order.",
        "export.ndjson": "NDJSON is a line each.",
        "export.csv": "CSV has a header, joined tags, metadata as JSON and no cell that begins a formula.",
        "export.whole": "Every row once, oldest first, byte for byte.",
        "export.snapshot": "It is a snapshot of one moment, and sees all that was answered before.",
        "export.narrowed": "It can be narrowed by time and session; deleted rows come only when asked for.",
        "export.scope": "It holds what its caller may read.",
        "export.memory": "Memory doesn't grow with what is exported or imported.",
        "export.failure": "A failure in mid-stream breaks the connection.",
    },
    "Import": {
        "import.identity": "Exported, removed and imported, a memory is the same byte for byte.",
        "import.once": "Imported again, nothing is there twice; what broke off is completed.",
        "import.key": "With an idempotency key, a repeat says that all was there.",
        "import.sessions": "Sessions that are missing are made.",
        "import.scope": "It neither reads nor changes what isn't the caller's.",
        "import.deleted": "What is deleted stays deleted.",
        "import.lines": "A wrong line is named and stops no other.",
        "import.limits": "Bodies and lines have limits.",
        "import.vectors": "Embeddings come along where the model is the same, and no words that one may not read.",
    },
    "Rate limits and CORS": {
        "limits.shared": "All server processes count together, and a client that waits gets through.",
        "limits.key": "Each key has a bucket of its own.",
        "limits.headers": "Headers say what is left, and 429 when to come back.",
        "limits.safe": "A request that is refused does nothing, so it is safe to send again.",
        "limits.off": "0 switches the limit off.",
        "limits.log-in": "Registering and logging in are limited per address and per e-mail.",
        "limits.redis": "Without Redis nobody is refused.",
        "cors.off": "CORS is off unless origins are set.",
        "cors.preflight": "A preflight from a named origin passes without credentials.",
        "cors.answers": "Answers and errors can be read by a named origin, by no other.",
    },
}
"""By theme, by name."""


SCENARIOS: dict[int, str] = {
    1: "Quick start",
    2: "The command line client",
    3: "Agents that share a memory",
    4: "Numeric tags",
    5: "Customer support",
    6: "A coding assistant",
    7: "Forgetting a user",
    8: "What an agent wrote in a period",
    9: "Checkpoint and restore",
    10: "Idempotent writes",
    11: "Adapters of agent frameworks",
    12: "What the published client offers besides",
    13: "Scopes",
    14: "Soft delete",
    15: "Search modes",
    16: "Embedding status",
    17: "Export",
    18: "Webhooks",
    19: "TypeScript and browsers",
    20: "Running it",
}
"""What users do with the API as a whole. A test of one has its number in its name or docstring."""


def proves(*names: str) -> pytest.MarkDecorator:
    """Marks a test as the proof of these promises."""
    return pytest.mark.proves(*names)


def proofs() -> dict[str, list[str]]:
    """The tests that are marked with each name, as they stand in the files."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "proves":
                    for name in decorator.args:
                        found[ast.literal_eval(name)].append(f"{file.relative_to(TESTS).as_posix()}::{node.name}")
    return found


def scenario_tests() -> dict[int, list[str]]:
    """The tests that name each scenario, as they stand in the files."""
    found: dict[int, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                named = _SCENARIO.findall(f"{node.name} {ast.get_docstring(node) or ''}")
                for number in {int(digits) for match in named for digits in match if digits}:
                    found[number].append(f"{file.relative_to(TESTS).as_posix()}::{node.name}")
    return found


def table_of_promises() -> str:
    """The second half of docs/api-coverage.md."""
    found = proofs()
    lines = ["## Promises", "", "What the API promises its clients, and the tests that prove it.", ""]
    for theme, promises in PROMISES.items():
        lines += [f"### {theme}", "", "| promise | proved by |", "| --- | --- |"]
        for name, sentence in promises.items():
            lines.append(f"| {sentence} | {', '.join(f'`{test}`' for test in found[name])} |")
        lines.append("")
    by_scenario = scenario_tests()
    lines += ["### Scenarios", "", "| what users do | tested by |", "| --- | --- |"]
    for number, title in SCENARIOS.items():
        lines.append(f"| {number}. {title} | {', '.join(f'`{test}`' for test in by_scenario[number])} |")
    return "\n".join(lines).rstrip() + "\n"
