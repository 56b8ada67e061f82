"""How much is made up: the same few cases in every run, and by `make fuzz` many, others each time.

REMEMBR_FUZZ names how many a test makes up; a failure shows the case, which hypothesis has made as small as it can.
"""

from __future__ import annotations

import os

import hypothesis

FULL = int(os.environ.get("REMEMBR_FUZZ", "0"))

HOSTILE = (
    '"}]}', "*", "?", "\\", "\\u0022", "a OR b", "NOT a", "[* TO *]", "_exists_:org_id", "org_id", "ctx._source",
    "${prefix}", "{{x}}",
    "../../", "' OR '1'='1", "%00", ".*", "(?i).*", "a:b:c", ":", "::", " ", "-1", "1e3", "0x1",
    "NaN", "infinity", "é", "\u202e", "\ufeff", "日本語", "👩‍👩‍👧‍👦", "<script>",
    "{\"match_all\":{}}", "null", "true", "~",
)  # fmt: skip
"""What would do something else where data is taken for part of a query, a pattern, a path or a script."""


def made_up(usual: int, *, costly: int = 1) -> hypothesis.settings:
    """Settings of a test that makes up its cases. usual: how many in every run. costly: how many others one is like."""
    return hypothesis.settings(
        max_examples=FULL // costly or usual,
        derandomize=not FULL,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
