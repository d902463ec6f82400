"""Collect every text that an exception carries: message, arguments, attributes, notes and causes."""

from __future__ import annotations

from collections.abc import Iterator


def full_text(error: BaseException) -> str:
    """Return the texts of the error, of its parts and notes, and of its causes and contexts."""
    return "\n".join(text for one in _family(error) for text in _texts(one))


def _family(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: list[BaseException | None] = [error]
    while found:
        one = found.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        found += [one.__cause__, one.__context__]  # `from None` hides the context but keeps it


def _texts(error: BaseException) -> Iterator[str]:
    yield f"{error!s}\n{error!r}\n{error.args!r}"
    yield repr(vars(error))
    yield "\n".join(getattr(error, "__notes__", ()))
