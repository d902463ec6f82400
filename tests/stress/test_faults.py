"""Each exception at each opcode of each write of each store, each time that it runs."""

from __future__ import annotations

import pytest

from tests.stores.test_faults import EXCEPTIONS, STORES, WRITES, check_that_there_are_enough, interrupt_everywhere

pytestmark = pytest.mark.search


@pytest.mark.parametrize("exception", EXCEPTIONS)
@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("kind", STORES)
async def test_a_write_is_interrupted_anywhere(kind: str, name: str, exception: type[BaseException]) -> None:
    places = await interrupt_everywhere(STORES[kind], name, lambda *_: exception, thorough=True)

    check_that_there_are_enough(places, kind, name)
