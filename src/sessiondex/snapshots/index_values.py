"""IndexValues: reads from the JSON of a session only what its index keys are made of.

A store that is restored from a file needs the keys of each session at once, and the rest when it is first read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, create_model

from sessiondex.indexed import IndexedField
from sessiondex.models import Session, SessionStatus


class _Visit(BaseModel):
    step_content_hash: str | None
    step_name: str | None


class _Values(BaseModel):
    # Plain types, which take two thirds of the time: the session was checked when it was saved, and will be when it is
    # read. No field is required of a session that has a default, but all are in JSON that this release wrote.
    model_config: ClassVar[ConfigDict] = ConfigDict(protected_namespaces=())

    session_id: UUID
    tenant_id: UUID
    agent_id: UUID
    channel: str
    user_channel_id: str
    customer_profile_id: UUID | None
    active_scenario_id: UUID | None
    active_scenario_version: int | None
    step_history: list[_Visit]
    status: SessionStatus
    created_at: AwareDatetime


class IndexValues:
    """Reads the values that indexes need from the JSON of sessions of one plain class.

    >>> from uuid import uuid4
    >>> session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel="sms", user_channel_id="1")
    >>> values = IndexValues(Session).read(session.model_dump_json().encode())
    >>> values["channel"], values["step_history"]
    ('sms', [])
    """

    def __init__(self, cls: type[Session], indexed: Sequence[IndexedField] = ()) -> None:
        """`indexed` are the indexed fields of the class."""
        own: dict[str, Any] = {field.name: (cls.model_fields[field.name].annotation, ...) for field in indexed}
        model = create_model("ValuesOfClass", __base__=_Values, **own) if own else _Values
        self._validator = model.__pydantic_validator__

    def read(self, data: bytes) -> dict[str, Any] | None:
        """Return the values, or `None` if one is missing or is not valid."""
        try:
            return self._validator.validate_json(data).__dict__  # type: ignore[no-any-return]  # of a pydantic model
        except ValidationError:
            return None
