"""Build the function library from the sources in `lua/`.

A server keeps the functions as a library. Its name contains a digest of the source, so stores of different versions can
share a server. Redis 6.2 has no functions: there the same source is a script, which is called by its digest.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1, sha256
from importlib.resources import files
from typing import NamedTuple

_PARTS = ("rows", "plans", "stamps", "reads", "writes", "locators", "locks")
"""The files of `lua/`, in the order in which they use each other."""
_READS = ("get", "list", "count", "count_step", "count_steps", "step", "export")
_WRITES = ("save", "touch", "reindex", "claim", "follow", "acquire_lock", "renew_lock")
_FREEING_WRITES = (
    "delete",
    "erase",
    "forget",
    "sweep",
    "repair",
    "repair_step",
    "fence",
    "release_claim",
    "release_lock",
)
"""Writes that a server must accept although its memory is full."""
_NOT_IDEMPOTENT = frozenset(("save", "touch", "delete", "erase", "sweep"))
"""Functions whose answer, if it is lost, another call does not give again."""


class ScriptLibrary(NamedTuple):
    """The source of the functions, in both forms, and their properties."""

    name: str
    source: str
    script: str
    script_digest: str
    reads: frozenset[str]
    """Functions that change nothing."""
    idempotent: frozenset[str]
    """Functions that may be called twice without harm."""


@cache
def script_library() -> ScriptLibrary:
    """Return the library of this version."""
    folder = files(__package__) / "lua"
    body = "\n".join((folder / f"{part}.lua").read_text() for part in _PARTS)
    name = f"sessiondex_{sha256(body.encode()).hexdigest()[:12]}"
    registrations = [
        _registration(name, function, flags)
        for functions, flags in ((_READS, "'no-writes'"), (_WRITES, ""), (_FREEING_WRITES, "'allow-oom'"))
        for function in functions
    ]
    script = f"{body}\nlocal name = table.remove(ARGV, 1)\nreturn ops[name](KEYS, ARGV)\n"
    return ScriptLibrary(
        name,
        "\n".join([f"#!lua name={name}", body, *registrations]),
        script,
        sha1(script.encode(), usedforsecurity=False).hexdigest(),
        frozenset(_READS),
        frozenset((*_READS, *_WRITES, *_FREEING_WRITES)) - _NOT_IDEMPOTENT,
    )


def _registration(library_name: str, function: str, flags: str) -> str:
    return (
        f"redis.register_function{{function_name='{library_name}_{function}', "
        f"callback=ops.{function}, flags={{{flags}}}}}"
    )
