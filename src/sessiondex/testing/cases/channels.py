"""Law 2, of channels: a store takes any, also those that it has never heard of."""

from __future__ import annotations

from sessiondex.models import Channel, ScopeFilter, SessionStatus
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect

NAMES = ("telegram", "Slack", "closed slack", "\u00e9", "e\u0301", "a:b", "a}b", "1:a", " ", "\U0001f4de" * 64)


@case(2)
async def any_channel_is_kept_and_found(context: CaseContext) -> None:
    """A name of up to 64 characters comes back as it is: as a `Channel` if it is one, else as a `str`."""
    store = await context.store()
    for name in (*NAMES, *Channel):
        session = context.session(channel=str(name))
        await store.save(session)
        found = await store.get_by_channel(context.tenant_id, name, session.user_channel_id)
        expect(found, session, f"get_by_channel of {name!r}")
        kind = Channel if name in {*Channel} else str
        expect(found and type(found.channel), kind, f"type of the channel {name!r}")
        again = await store.get_or_create(context.tenant_id, str(name), session.user_channel_id, context.session)
        expect(again, (session, False), f"get_or_create of {name!r}")


@case(2)
async def channels_and_users_do_not_run_into_each_other(context: CaseContext) -> None:
    """The texts of an identity may contain what separates them in a key."""
    store = await context.store()
    identities = [("a:b", "c"), ("a", "b:c"), ("1:a", "c"), ("a", "1:c"), ("slack", "u"), ("closed slack", "u")]
    sessions = [context.session(channel=channel, user_channel_id=user) for channel, user in identities]
    sessions[4].status = SessionStatus.CLOSED
    for session in sessions:
        await store.save(session)
    for session, (channel, user) in zip(sessions, identities, strict=True):
        expect(await store.get_by_channel(context.tenant_id, channel, user), session, f"{user!r} on {channel!r}")


@case(9)
async def a_filter_of_any_channels(context: CaseContext) -> None:
    """Channels are included and excluded by name, at a step whose nodes may have any name too."""
    store = await context.store()
    kinds = [("telegram", "a"), ("a:b", "c"), ("a", "b:c"), ("sms", "+c"), ("sms:+c", None)]
    for channel, node in kinds:
        await store.save(context.at_step(channel=channel, name=node, user_channel_id=channel))
    for given, expected in (
        ({"include_channels": ["telegram", "a:b"]}, ["a:b", "telegram"]),
        ({"include_channels": ["a"]}, ["a"]),
        ({"include_channels": ["fax"]}, []),
        ({"include_channels": [Channel.SMS]}, ["sms"]),
        ({"exclude_channels": ["sms", "a"]}, ["sms:+c", "a:b", "telegram"]),
        ({"include_channels": ["a:b", "a"], "include_current_nodes": ["c"]}, ["a:b"]),
    ):
        scope = ScopeFilter.model_validate(given)
        found = await store.find_sessions_by_step_hash(context.tenant_id, context.scenario_id, 1, "hash-1", scope)
        expect([session.user_channel_id for session in found], expected, f"channels by the filter {given}")
