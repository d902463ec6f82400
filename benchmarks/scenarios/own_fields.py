"""Give the sessions of a population two fields of a subclass: an e-mail of their own, and two order ids.

The first order is the customer's: all sessions of the customer have it, and no others. So a list by that order has the
same sessions as a list by customer. The second order, and the e-mail, are of the one session.
"""

from typing import Annotated
from uuid import UUID

from sessiondex import Indexed, Session

WITHOUT_INDEXES, WITH_INDEXES = "two fields", "two indexes"


class Plain(Session):
    """The two fields, not indexed."""

    email: str
    order_ids: list[str]


class Searchable(Session):
    """The same two fields, both indexed."""

    email: Annotated[str, Indexed(normalize=str.casefold)]
    order_ids: Annotated[list[str], Indexed()]


CLASSES: dict[str, type[Plain | Searchable]] = {WITHOUT_INDEXES: Plain, WITH_INDEXES: Searchable}


def email_of(session_id: UUID) -> str:
    """Return the e-mail of a session.

    >>> email_of(UUID(int=255 << 80))
    'Ann.0000FF0000000000@Example.org'
    """
    return f"Ann.{session_id.hex[6:22].upper()}@Example.org"


def order_of(id_: UUID) -> str:
    """Return the order of a customer, or of a session.

    >>> order_of(UUID(int=255))
    'order-00000000000000ff'
    """
    return f"order-{id_.hex[-16:]}"


def with_own_fields(session: Session, cls: type[Session]) -> Session:
    """Return the session as one of the class, which has the two fields; it shares no lists or dicts with the first."""
    assert session.customer_profile_id is not None
    orders = [order_of(session.customer_profile_id), order_of(session.session_id)]
    return cls.model_validate({**session.__dict__, "email": email_of(session.session_id), "order_ids": orders})
