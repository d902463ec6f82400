"""Define the session and its values: pydantic models, validated when made and at every assignment.

JSON keeps every value that these models accept: datetimes are aware and in UTC, floats are finite, counts fit 64 bits,
text is valid UTF-8. `snapshots` relies on that, and repeats the constraints in `snapshots/compiled.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID, uuid4

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetPydanticSchema,
    JsonValue,
    StringConstraints,
    field_validator,
    model_validator,
)

from sessiondex.indexed import indexed_fields

MAX_CHANNEL_LENGTH = 64


class Channel(StrEnum):
    """Name the medium by which the customer talks to the agent. Any other name is a plain `str`, such as "telegram"."""

    WHATSAPP = "whatsapp"
    SLACK = "slack"
    WEBCHAT = "webchat"
    EMAIL = "email"
    VOICE = "voice"
    SMS = "sms"
    API = "api"


class SessionStatus(StrEnum):
    """Name the state of a conversation. Only an `ACTIVE` session stands at a step."""

    ACTIVE = "active"
    IDLE = "idle"
    PROCESSING = "processing"
    INTERRUPTED = "interrupted"
    CLOSED = "closed"


def utc_now() -> datetime:
    """Return the current time, timezone-aware, in UTC. The default clock of a store."""
    return datetime.now(UTC)


def in_utc(value: datetime) -> datetime:
    """Return the same instant as an exact datetime in UTC, or raise `ValueError`."""
    # JSON cuts the seconds of an offset, and does not record which of two repeated local times is meant. UTC has
    # neither problem.
    if value.tzinfo is UTC and type(value) is datetime:
        return value
    try:
        value = value.astimezone(UTC)
        # Subclasses, such as pendulum's, override arithmetic, so return an exact datetime.
        return value if type(value) is datetime else datetime.combine(value.date(), value.time(), UTC)
    except OverflowError:
        raise ValueError("the instant is outside the years 1 to 9999 in UTC") from None


def check_channel(value: str) -> Channel | str:
    """Return the `Channel` of that name, or the name itself; raise `ValueError` with the reason if it is no name."""
    if not 0 < len(value) <= MAX_CHANNEL_LENGTH:
        raise ValueError(f"must have 1 to {MAX_CHANNEL_LENGTH} characters, such as 'telegram'")
    if "\0" in value:
        raise ValueError("must not contain NUL characters; remove them")
    try:
        return Channel(value)
    except ValueError:
        return str.__str__(value)  # of an enum of the user's, its value


def check_user_channel_id(value: str) -> str:
    """Return `value` if it can name a user on a channel, else raise `ValueError` with the reason."""
    if not value:
        raise ValueError("must not be empty; use the id that the channel gives its user")
    if "\0" in value:
        raise ValueError("must not contain NUL characters; remove them")
    return value


# pydantic refuses lone surrogates only where a length constraint stands, so there is one that always holds.
Text = Annotated[str, StringConstraints(min_length=0)]
UtcDatetime = Annotated[AwareDatetime, AfterValidator(in_utc)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
ChannelName = Annotated[
    Channel | str,
    GetPydanticSchema(
        lambda _source, handler: handler.generate_schema(
            Annotated[str, StringConstraints(min_length=0), AfterValidator(check_channel)]
        )
    ),
]
UserChannelId = Annotated[str, StringConstraints(min_length=0), AfterValidator(check_user_channel_id)]


class _FrozenModel(BaseModel):
    """Base of values that never change. Stores share their instances between sessions."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    @property
    def model_fields_set(self) -> set[str]:
        """Return the names of the fields that were set explicitly; of a value from a store, all names."""
        return set(super().model_fields_set)  # a copy, because values from a store share one set


class StepVisit(_FrozenModel):
    """Record one visit to a step of a scenario. Frozen."""

    step_id: UUID
    step_name: Text | None = None
    entered_at: UtcDatetime = Field(default_factory=utc_now)
    turn_number: Count
    transition_reason: Text | None = None
    confidence: float = Field(default=1.0, ge=0, le=1)
    is_checkpoint: bool = False
    checkpoint_description: Text | None = None
    step_content_hash: Text | None = None


class PendingMigration(_FrozenModel):
    """Mark a session that will move to another version of its scenario. Frozen."""

    target_version: Count
    anchor_content_hash: Text
    migration_plan_id: UUID
    marked_at: UtcDatetime = Field(default_factory=utc_now)


class Session(BaseModel):
    """Hold the state of one conversation. Subclass it to add fields of your own.

    A store keeps a private copy at `save` and returns another copy at each read, so you may change your session freely
    and save it again. Assignments are validated at once, changes inside a list or dict by `save`. All datetimes must be
    timezone-aware and are converted to UTC. The store sets `last_activity_at` and `revision`.

    A scenario is the script that an agent follows, step by step; without one, leave its fields at their defaults.
    Stores find an active session by its `active_scenario_id`, `active_scenario_version` and the last step of its
    `step_history`. They keep `config_version`, `active_step_id`, `relocalization_count`, `rule_fires`,
    `rule_last_fire_turn`, `variable_updated_at`, `pending_migration` and `scenario_checksum` for the engine that runs
    the scenario, and search none of these.

    >>> session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel="slack", user_channel_id="U024BE7LH")
    >>> session.channel, session.status
    (<Channel.SLACK: 'slack'>, <SessionStatus.ACTIVE: 'active'>)
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        validate_assignment=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    session_type: ClassVar[str]
    """The name of the class in stores that outlive the process; by default, module and class name. Not inherited."""
    schema_version: ClassVar[int] = 1
    """The version of the fields. Increase it together with a change for which stored sessions need `upgrade`."""

    session_id: UUID = Field(default_factory=uuid4)
    tenant_id: UUID
    agent_id: UUID
    channel: ChannelName
    """A `Channel`, or any other name as a `str` of up to 64 characters."""
    user_channel_id: UserChannelId
    """Compared byte for byte: never normalised, never case-folded."""
    customer_profile_id: UUID | None = None
    config_version: Count = 1
    active_scenario_id: UUID | None = None
    active_step_id: UUID | None = None
    active_scenario_version: Count | None = None
    step_history: list[StepVisit] = Field(default_factory=list)
    """Oldest first: the last entry is the step where the session stands."""
    relocalization_count: Count = 0
    rule_fires: dict[Text, Count] = Field(default_factory=dict)
    rule_last_fire_turn: dict[Text, Count] = Field(default_factory=dict)
    variables: dict[Text, JsonValue] = Field(default_factory=dict)
    """JSON values: None, bool, int, finite float, str, and lists and str-keyed dicts of these."""
    variable_updated_at: dict[Text, UtcDatetime] = Field(default_factory=dict)
    turn_count: Count = 0
    status: SessionStatus = SessionStatus.ACTIVE
    pending_migration: PendingMigration | None = None
    scenario_checksum: Text | None = None
    created_at: UtcDatetime = Field(default_factory=utc_now)
    last_activity_at: UtcDatetime = Field(default_factory=utc_now)
    """The time of the last `save`, unique within its store."""
    revision: Count = 0
    """The number of saves since the session was new or was deleted. 0 before the first save."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Check the indexed fields of a subclass when it is made."""
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__pydantic_complete__:
            indexed_fields(cls)

    @property
    def model_fields_set(self) -> set[str]:
        """Return the names of the fields that were set explicitly; of a session from a store, all names."""
        return set(super().model_fields_set)  # a copy, because sessions from a store share one set

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:  # noqa: ARG003  # for those who override it
        """Return the fields of a stored session as the present `schema_version` has them.

        Override it in a subclass. A read calls it before validation if `version`, which wrote the session, is lower.
        `data` holds the fields as JSON values; change it in place and return it.
        """
        return data


# Callers may pass any collection. It is converted to a frozenset.
_Channels = Annotated[
    Collection[Channel | str],
    GetPydanticSchema(lambda _source, handler: handler.generate_schema(frozenset[ChannelName])),
]
_Nodes = Annotated[
    Collection[str], GetPydanticSchema(lambda _source, handler: handler.generate_schema(frozenset[Text]))
]


class ScopeFilter(BaseModel):
    """Narrow the result of `find_sessions_by_step_hash`. A field left at `None` does not restrict it.

    A *node* is the name of the last visited step. Ages are whole days since `created_at`, rounded down. Both bounds are
    included. An empty `include_...` is refused, because it could mean "all" or "none".

    >>> ScopeFilter(include_channels=[Channel.SMS], max_session_age_days=7).include_channels
    frozenset({<Channel.SMS: 'sms'>})
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    include_channels: _Channels | None = None
    exclude_channels: _Channels | None = None
    include_current_nodes: _Nodes | None = None
    exclude_current_nodes: _Nodes | None = None
    max_session_age_days: Count | None = None
    min_session_age_days: Count | None = None

    @field_validator("include_channels", "include_current_nodes")
    @classmethod
    def _include_something(cls, value: Collection[str] | None) -> Collection[str] | None:
        if value is not None and not value:
            raise ValueError("must not be empty; leave it out to include everything")
        return value

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        low, high = self.min_session_age_days, self.max_session_age_days
        if low is not None and high is not None and low > high:
            raise ValueError("min_session_age_days must not be greater than max_session_age_days")
        return self
