"""The cursor of `export`: tenant, stamp and id of the last session that was returned."""

from __future__ import annotations

from typing import NamedTuple

from sessiondex.arguments import check_text, parse_id_cursor
from sessiondex.errors import InvalidArgumentError

_HEX_DIGITS = frozenset("0123456789abcdef")
_ID_DIGITS = 32
_MAX_STAMP_DIGITS = 16  # of 2^53 microseconds


class ExportCursor(NamedTuple):
    """A position in the order of tenants, then stamps, then ids. Empty parts stand before the first of them."""

    tenant: str = ""
    stamp: str = ""
    session: str = ""

    @classmethod
    def parse(cls, text: str | None) -> ExportCursor:
        """Return the cursor in the text, or the first one for `None`.

        >>> cursor = ExportCursor("0" * 31 + "1", "1700000000000000", "0" * 31 + "2")
        >>> ExportCursor.parse(str(cursor)) == cursor
        True

        Raises:
            InvalidArgumentError: the text is no cursor of a store on a server.
        """
        if text is None:
            return cls()
        tenant, _, position = check_text("cursor", text).partition(":")
        stamp, _, session = position.partition(":")
        is_stamp = stamp.isascii() and stamp.isdecimal() and len(stamp) <= _MAX_STAMP_DIGITS
        is_id = len(session) == _ID_DIGITS and _HEX_DIGITS.issuperset(session)
        if position and not (is_stamp and is_id):
            raise InvalidArgumentError("cursor", "must be one that export() of this store gave")
        return cls(parse_id_cursor(tenant).hex, stamp, session)

    def __str__(self) -> str:
        return f"{self.tenant}:{self.stamp}:{self.session}" if self.stamp else f"{self.tenant}:"
