"""Operations on a chunk: sorted items of one width, joined into one bytes object.

A chunk takes 24 bytes for a posting; an int of Python alone takes 32, and 8 for the reference to it. One read from
memory fetches an item with its neighbours, and the garbage collector skips bytes.
"""

from __future__ import annotations


def position(chunk: bytes, item: bytes, width: int) -> int:
    """Return the offset of the first item that is not less than `item`, or the length of the chunk.

    `item` may be shorter than the items of the chunk: it then precedes all items that begin with it.

    >>> position(b"aaccee", b"cc", 2), position(b"aaccee", b"d", 2), position(b"aaccee", b"x", 2)
    (2, 4, 6)
    """
    low, high = 0, len(chunk) // width
    while low < high:
        middle = (low + high) // 2
        if chunk[middle * width : (middle + 1) * width] < item:
            low = middle + 1
        else:
            high = middle
    return low * width


def inserted(chunk: bytes, item: bytes, width: int) -> bytes:
    """Return the chunk with the item added at its position.

    >>> inserted(b"aacc", b"bb", 2)
    b'aabbcc'
    """
    if chunk[-width:] < item:  # the common case: a save makes its session the newest
        return chunk + item
    at = position(chunk, item, width)
    return chunk[:at] + item + chunk[at:]


def moved(chunk: bytes, item: bytes, new_item: bytes, width: int) -> bytes:
    """Return the chunk with the item replaced by another one, at the position of that one.

    >>> moved(b"aabbcc", b"aa", b"dd", 2)
    b'bbccdd'

    Raises:
        KeyError: the chunk does not contain the item.
    """
    return inserted(removed(chunk, item, width), new_item, width)


def removed(chunk: bytes, item: bytes, width: int) -> bytes:
    """Return the chunk without the item.

    >>> removed(b"aabbcc", b"bb", 2)
    b'aacc'

    Raises:
        KeyError: the chunk does not contain the item.
    """
    at = chunk.find(item)  # in C, and so faster than a bisection in Python
    while at % width:  # these bytes span two items; -1 enters the loop as well
        if at < 0:
            raise KeyError(item)
        at = chunk.find(item, at + 1)
    return chunk[:at] + chunk[at + width :]
