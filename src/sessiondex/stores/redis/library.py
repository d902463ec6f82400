"""The functions of `lua/`: how they are brought to a server, and called there.

A server keeps them as a library, whose name has a digest of its source: stores of two versions can share a server. One
older than Redis 7 knows no functions; there the same source is a script, which is called by its digest.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1, sha256
from importlib.resources import files
from typing import NamedTuple


class Library(NamedTuple):
    """What is to be loaded, and what its functions are called."""

    name: str
    source: str
    script: str
    script_digest: str
    reads: frozenset[str]
    """The functions that change nothing."""
    repeatable: frozenset[str]
    """Those that may be done twice: what they do is the same then."""


_READS = ("get", "latest", "list", "count", "count_step", "count_steps", "step", "walk")
_WRITES = ("save", "claim", "follow", "take_turn", "keep_turn")
_FREEING = ("delete", "sweep", "mend", "mend_step", "bar", "release", "pass_turn")
"""Those that a server has to do though it has no memory left."""
_ONCE = frozenset(("save", "delete", "sweep"))
"""Those of which the answer matters to whoever asked, and is another one the second time."""


@cache
def library() -> Library:
    """Return the library of this version."""
    folder = files(__package__) / "lua"
    body = "\n".join((folder / f"{part}.lua").read_text() for part in _PARTS)
    name = f"sessiondex_{sha256(body.encode()).hexdigest()[:12]}"
    registered = [
        _registered(name, function, flags)
        for functions, flags in ((_READS, "'no-writes'"), (_WRITES, ""), (_FREEING, "'allow-oom'"))
        for function in functions
    ]
    script = f"{body}\nlocal name = table.remove(ARGV, 1)\nreturn ops[name](KEYS, ARGV)\n"
    return Library(
        name,
        "\n".join([f"#!lua name={name}", body, *registered]),
        script,
        sha1(script.encode(), usedforsecurity=False).hexdigest(),
        frozenset(_READS),
        frozenset((*_READS, *_WRITES, *_FREEING)) - _ONCE,
    )


_PARTS = ("rows", "plans", "reads", "writes", "locators")


def _registered(library_name: str, function: str, flags: str) -> str:
    return (
        f"redis.register_function{{function_name='{library_name}_{function}', "
        f"callback=ops.{function}, flags={{{flags}}}}}"
    )
