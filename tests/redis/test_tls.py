"""Connect by TLS, `rediss://`. A proxy adds TLS, since the server in the wheel has none."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from sessiondex import Channel, StoreUnavailableError, open_store
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.redis.proxy import Proxy
from tests.support.redis.servers import HOST, OneServer


@pytest.fixture
async def secured(standalone: OneServer, authority: trustme.CA) -> AsyncIterator[Proxy]:
    """Yield a TLS proxy for the server. The authority has signed its certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    async with Proxy(standalone.port, tls=context) as proxy:
        yield proxy


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


async def test_a_trusted_certificate(
    standalone: OneServer, secured: Proxy, authority: trustme.CA, tmp_path: Path
) -> None:
    """The store works as without TLS."""
    known = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(known)
    async with open_store(f"rediss://{HOST}:{secured.port}?ssl_ca_certs={known}&prefix=tls") as store:
        session = make_session()
        await store.save(session)
        async with store.exclusive(session.session_id):
            found = await store.list_by_agent(TENANT, AGENT)
    standalone.client().flushall()

    assert found == [session]


@pytest.mark.parametrize("named", [True, False])
async def test_an_untrusted_certificate(secured: Proxy, tmp_path: Path, *, named: bool) -> None:
    """The store refuses it, with an authority in the URL and with those of the system."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    store = open_store(f"rediss://{HOST}:{secured.port}" + (f"?ssl_ca_certs={other}" if named else ""))
    with pytest.raises(StoreUnavailableError) as caught:
        await store.get_by_channel(TENANT, Channel.SMS, "u")
    await store.aclose()

    assert not caught.value.is_outcome_unknown
