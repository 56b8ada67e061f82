"""Finding a Java that the embedded Elasticsearch can run on.

Elasticsearch 9.4 needs Java 21 or newer, and a full JDK: its entitlement agent requires jdk.attach, jdk.jdi
and jdk.jlink, which a JRE lacks (module-info of lib/elasticsearch-entitlement-*.jar).
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.engines.user import User, can_run
from app.errors import EngineError

log = logging.getLogger(__name__)

OLDEST = 21
MODULES = frozenset(
    {
        *("java.compiler", "java.desktop", "jdk.attach", "jdk.incubator.vector"),
        *("jdk.jdi", "jdk.jlink", "jdk.management.agent", "jdk.net"),
    }
)
# `java --list-modules` takes 0.2 s; this is for a cold disk.
ASK_TIMEOUT_S = 15.0

PLACES = (
    "/usr/lib/jvm/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
    "~/.sdkman/candidates/java/*",
    "~/.asdf/installs/java/*",
)


@dataclass(frozen=True)
class Refusal:
    """A Java that was looked at and can't be used, and why."""

    home: Path
    why: str


def bundled(distribution: Path) -> Path | None:
    """The JDK that a full Elasticsearch archive brings along, if this one does."""
    homes = (distribution / "jdk", distribution / "jdk.app/Contents/Home")
    return next((home for home in homes if (home / "bin/java").is_file()), None)


def find(user: User | None, env: Mapping[str, str] = os.environ, places: tuple[str, ...] = PLACES) -> Path:
    """The home of the first fitting JDK: ES_JAVA_HOME, JAVA_HOME, the usual places, then PATH.

    user: who will run it. Raises EngineError that lists every Java found, why it was refused, and what to do.
    """
    refused: list[Refusal] = []
    seen: set[Path] = set()
    for home in _candidates(env, places):
        real = home.resolve()
        if real in seen:
            continue
        seen.add(real)
        why = refusal(home, user)
        if why is None:
            for each in refused:
                log.debug("Java in %s is not used: %s", each.home, each.why)
            return home
        refused.append(Refusal(home, why))
    raise EngineError(_nothing_fits(refused))


def refusal(home: Path, user: User | None) -> str | None:
    """Why the Java in this folder can't run Elasticsearch, or None when it can."""
    java = home / "bin/java"
    if not java.is_file():
        return "there is no bin/java in it"
    if not can_run(java, user):
        return f"user {user.name if user else ''} can't run it where it lies"
    try:
        answer = subprocess.run(  # noqa: S603 - the very program we are asked to judge
            [java, "--list-modules"], capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it doesn't run ({error})"
    modules = dict(re.findall(r"^([\w.]+)@(\S+)", answer.stdout, re.MULTILINE))
    version = re.match(r"\d+", modules.get("java.base", ""))
    if answer.returncode or not version:
        return "it doesn't list its modules, so it is older than Java 9 or broken"
    if int(version[0]) < OLDEST:
        return f"it is Java {modules['java.base']}, too old"
    if missing := sorted(MODULES - modules.keys()):
        return f"it is Java {modules['java.base']} without {', '.join(missing)}: a JRE, not a full JDK"
    return None


def _candidates(env: Mapping[str, str], places: tuple[str, ...]) -> Iterator[Path]:
    for variable in ("ES_JAVA_HOME", "JAVA_HOME"):
        if env.get(variable):
            yield Path(env[variable])
    for place in places:
        path = Path(place).expanduser()
        anchor = Path(path.anchor)
        yield from sorted(home for home in anchor.glob(str(path.relative_to(anchor))) if (home / "bin/java").is_file())
    if on_path := shutil.which("java", path=env.get("PATH")):
        yield Path(on_path).resolve().parent.parent


def _nothing_fits(refused: list[Refusal]) -> str:
    lines = [f"Elasticsearch needs a JDK, version {OLDEST} or newer, and none was found that fits."]
    lines += [f"  - {each.home}: {each.why}" for each in refused] or ["  (there is no Java at all)"]
    return "\n".join(
        [
            *lines,
            f"Do one of these: install a JDK {OLDEST} or newer (Debian 13, Ubuntu: `sudo apt install "
            "openjdk-21-jdk-headless`; macOS: `brew install openjdk@21`) or name one in ES_JAVA_HOME; "
            "or set REMEMBR_ELASTICSEARCH_URL to an Elasticsearch that runs already; or use Docker Compose.",
        ]
    )
