"""The core pages, and the tests that a mutant of each has to pass to survive."""

from __future__ import annotations

PAGES: dict[str, tuple[str, ...]] = {
    "_portable": ("errors",),
    "_errors": ("errors", "public", "check", "compile"),
    "_ids": ("ids", "job", "loop"),
    "_status": ("status", "lifecycle", "job"),
    "_records": ("records", "job", "waiting"),
    "_loop": ("loop", "turn", "waiting", "transit"),
    "_arguments": ("arguments", "job", "records", "public"),
    "_turn": ("turn", "transit", "loop", "job"),
    "_table": ("compile", "lifecycle", "standing", "job", "transit", "from_transitions"),
    "_check": ("check", "from_transitions", "lifecycle", "compile"),
    "_compile": ("compile", "from_transitions", "lifecycle", "check", "transit", "structlog"),
    "_declared": ("lifecycle", "compile", "from_transitions", "check"),
    "_lifecycle": ("lifecycle", "compile", "from_transitions", "check", "drawing", "public"),
    "_job_lifecycle": ("lifecycle", "job", "status", "compile"),
    "_waiting": ("waiting", "several", "turn", "standing"),
    "_observers": ("observers", "structlog", "transit"),
    "_standing": ("standing", "job", "lifecycle", "waiting", "transit", "public"),
    "_transit": ("transit", "turn", "job", "observers", "standing", "compile"),
    "_job": ("job", "loop", "observers", "transit", "turn", "waiting", "standing"),
    "_several": ("several", "public"),
}
"""Bottom up. A page's own tests come first, then those of the pages that lean on it."""

ON_ALL = {"_loop"}
"""Pages that differ between event loops; the others are tried on asyncio alone."""
