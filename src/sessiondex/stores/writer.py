"""Writer: the only part of an in-process store that changes anything. Synchronous: it knows no asyncio and no lock.

Rules. A change is planned first: everything that can fail happens before the first mutation. Then the plan is recorded
as pending, applied, published to the listeners and forgotten, in one step that does not await (law 5).

Theory of operation. Ctrl-C or a lack of memory can interrupt even that step. Then the pending commit is finished at
once, or, if that is interrupted too, by `recover` at the next call of the store: it finishes the rows, rebuilds the
indexes and publishes again. `suspend` and `resume` are called around each commit. After `suspend` the owner calls
`recover` before it reads. The interrupted save raises the interruption, although it is stored.

The caller holds a lock, and has prepared the sessions without it: preparing needs neither stamp nor stored state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import perf_counter
from typing import Generic, TypeAlias
from uuid import UUID

from sessiondex.changes import ChangeKind, EvictionReason
from sessiondex.clock import StampClock
from sessiondex.errors import ConflictError, TenantMismatchError, add_position_note
from sessiondex.queries import Expected
from sessiondex.snapshots.codec import Prepared
from sessiondex.stores.backend import P, R, Storage
from sessiondex.stores.commit import Commit, CommitListener, Mutation
from sessiondex.stores.eviction import EvictionPolicy
from sessiondex.stores.terms import check_replaceable, check_revision, check_same_tenant, with_free_stamps

Version: TypeAlias = tuple[int, int]
"""Stamp in microseconds and revision."""


def _do_nothing() -> None:
    """Stand in for `suspend` and `resume` where nobody can read in the middle of a commit."""


class Writer(Generic[R, P]):
    """Stamps, commits and evicts (laws 1, 5, 13 and 17 to 19)."""

    def __init__(
        self,
        backend: Storage[R, P],
        clock: StampClock,
        policy: EvictionPolicy,
        *,
        suspend: Callable[[], None] = _do_nothing,
        resume: Callable[[], None] = _do_nothing,
        has_checks: bool = False,
    ) -> None:
        """`has_checks` makes each commit check the whole backend, which takes O(n log n)."""
        self._backend = backend
        self._clock = clock
        self._policy = policy
        self._suspend = suspend
        self._resume = resume
        self._has_checks = has_checks
        self._listeners: list[CommitListener[R]] = []
        self._last_sequence = 0
        # Plans, mutations and the last sequence of the commit under way. A tuple: a named one takes a call.
        self._pending: tuple[Sequence[P], Sequence[Mutation[R]], int] | None = None
        self._is_committing = False

    @property
    def last_sequence(self) -> int:
        """The number of mutations so far."""
        return self._last_sequence

    @property
    def is_committing(self) -> bool:
        """Whether a commit is under way, as signal handlers see it that run within one."""
        return self._is_committing

    def subscribe(self, listener: CommitListener[R]) -> None:
        """Call the listener with every commit from now on."""
        self._listeners.append(listener)

    # -- saving and deleting --

    def put(self, prepared: Prepared, expected: Expected | None = None, *, touch: bool = True) -> Version:
        """Store one session and return its new version. Without `touch` it keeps its stamp, unless it is new.

        Raises:
            ConflictError: another version is stored than the expected one.
            TenantMismatchError: the id belongs to another tenant.
        """
        if self._pending is not None:
            self.recover()  # the caller may have waited for the lock while another task was interrupted
        if self._policy.idle_ttl is not None:
            self._evict_if_expired(prepared.session_id, self._clock.cutoff())
        head = self._backend.head(prepared.session_id)
        if head is not None and expected is None and head.owner == prepared.tenant_id.int.to_bytes(16):
            revision = head.revision + 1  # the common case, without a call
        else:
            revision = check_replaceable(head, prepared, expected) + 1
        if head is not None and prepared.document is not None:
            prepared = self._backend.keep_version(prepared)
        # Now, when nothing can be refused any more.
        stamp = self._clock.advance() if touch or head is None else head.stamp
        plan = self._backend.plan_put(prepared, stamp, revision)
        self._commit((plan,), (_saved(prepared, stamp, revision),) if self._listeners else ())
        return stamp, revision

    def put_many(
        self,
        batch: Sequence[Prepared],
        expected: Sequence[Expected | None] | None = None,
        *,
        touch: bool = True,
        first: int = 0,
    ) -> list[Version]:
        """Store all sessions or none, as if one after another. `first` is the number of the first, for errors.

        Of two with the same id the later replaces the earlier; both count as a revision. Raises as `put` does.
        """
        self.recover()
        cutoff = self._clock.cutoff()
        # By the bytes of the id: the hash of a UUID can be made to collide.
        last: dict[bytes, tuple[Prepared, int, int | None]] = {}  # with revision, and with the stored stamp, if any
        revisions = []
        for position, prepared in enumerate(batch):
            key = prepared.session_id.bytes
            earlier = last.pop(key, None)  # so that the dict is in the order of the stamps
            try:
                if earlier is None:
                    self._evict_if_expired(prepared.session_id, cutoff)
                    head = self._backend.head(prepared.session_id)
                    stored, stamp = check_replaceable(head, prepared), None if head is None else head.stamp
                else:
                    check_same_tenant(prepared, earlier[0].tenant_id)
                    _, stored, stamp = earlier
                if expected is not None:
                    check_revision(prepared, stored, expected[position])
            except (ConflictError, TenantMismatchError) as error:
                add_position_note(error, first + position)
                raise
            last[key] = (prepared, stored + 1, stamp)
            revisions.append(stored + 1)
        versions: list[Version] = []
        version_of: dict[bytes, Version] = {}
        for prepared, revision in zip(batch, revisions, strict=True):
            key = prepared.session_id.bytes
            kept = None if touch else version_of[key][0] if key in version_of else last[key][2]
            version_of[key] = (self._clock.advance() if kept is None else kept), revision
            versions.append(version_of[key])
        self._commit_puts([(prepared, *version_of[key]) for key, (prepared, _, _) in last.items()])
        return versions

    def restore(self, batch: Sequence[tuple[Prepared, int, int]]) -> int:
        """Store sessions with the stamps and revisions given beside them; return how many were stored.

        Skips a session whose stored version is as late, by stamp, then revision, and one that has expired. If another
        session of the tenant has the stamp, the next free microsecond is used.
        """
        self.recover()
        cutoff = self._clock.cutoff()
        latest: dict[bytes, tuple[Prepared, int, int]] = {}
        owners: dict[bytes, UUID] = {}
        for position, (prepared, stamp, revision) in enumerate(batch):
            key = prepared.session_id.bytes
            other = latest.get(key)
            head = self._backend.head(prepared.session_id)
            try:
                check_same_tenant(prepared, owners.setdefault(key, prepared.tenant_id))
                if head is not None and (cutoff is None or head.stamp >= cutoff):
                    check_replaceable(head, prepared)
            except TenantMismatchError as error:
                add_position_note(error, position)
                raise
            is_later = head is None or (head.stamp, head.revision) < (stamp, revision)
            is_latest = other is None or other[1:] < (stamp, revision)
            if is_later and is_latest and (cutoff is None or stamp >= cutoff):
                latest.pop(key, None)  # so that equal stamps stay in the given order
                latest[key] = (prepared, stamp, revision)
        puts = with_free_stamps(self._backend, sorted(latest.values(), key=lambda put: put[1]))
        for prepared, _, _ in puts:
            self._evict_if_expired(prepared.session_id, cutoff)
        self._commit_puts(sorted(puts, key=lambda put: put[1]), is_restored=True)
        return len(puts)

    def touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        """Give the session, of the tenant if one is given, a new stamp; return whether it exists."""
        self.recover()
        self._evict_if_expired(session_id, self._clock.cutoff())
        head = self._backend.head(session_id)
        if head is None or (tenant_id is not None and head.owner != tenant_id.bytes):
            return False
        stamp = self._clock.advance()
        plan = self._backend.plan_touch(session_id, stamp)
        touched = Mutation[R](ChangeKind.TOUCHED, session_id, UUID(bytes=head.owner), stamp, head.revision)
        self._commit((plan,), (touched,) if self._listeners else ())
        return True

    def remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        """Remove these sessions at once, of the tenant if one is given; return how many there were."""
        self.recover()
        cutoff = self._clock.cutoff()
        owner = None if tenant_id is None else tenant_id.bytes
        found: dict[bytes, UUID] = {}
        for session_id in session_ids:
            if cutoff is not None:
                self._evict_if_expired(session_id, cutoff)
            head = self._backend.head(session_id)
            if head is not None and (owner is None or head.owner == owner):
                found[head.key] = session_id
        if found:
            self._commit_removals(list(found.values()), ChangeKind.DELETED)
        return len(found)

    def erase(self, session_ids: Sequence[UUID]) -> int:
        """Remove these sessions, also expired ones, and none is evicted; return how many had not expired."""
        self.recover()
        cutoff = self._clock.cutoff()
        heads = [self._backend.head(session_id) for session_id in session_ids]
        self._commit_removals(session_ids, ChangeKind.DELETED)
        return sum(1 for head in heads if head is not None and (cutoff is None or head.stamp >= cutoff))

    # -- eviction --

    def evict_expired(self, max_count: int, budget_seconds: float = inf) -> bool:
        """Evict expired sessions, up to `max_count`, for so long; return whether there may be more."""
        self.recover()
        cutoff = self._clock.cutoff()
        if cutoff is None:
            return False
        deadline = perf_counter() + budget_seconds
        for _ in range(max_count):
            oldest = self._backend.oldest()
            if oldest is None or oldest.stamp >= cutoff:
                return False
            self._evict(oldest.key, EvictionReason.IDLE)
            if perf_counter() > deadline:
                break
        return True

    def evict_surplus(self, budget_seconds: float) -> bool:
        """Evict those idle longest beyond `max_sessions`, for so long; return whether there are more."""
        self.recover()
        max_sessions = self._policy.max_sessions
        if max_sessions is None or len(self._backend) <= max_sessions:
            return False
        cutoff = self._clock.cutoff()
        deadline = perf_counter() + budget_seconds
        while len(self._backend) > max_sessions and (oldest := self._backend.oldest()) is not None:
            is_expired = cutoff is not None and oldest.stamp < cutoff
            self._evict(oldest.key, EvictionReason.IDLE if is_expired else EvictionReason.CAP)
            if perf_counter() > deadline:
                return len(self._backend) > max_sessions
        return False

    def _evict_if_expired(self, session_id: UUID, cutoff: int | None) -> None:
        if cutoff is not None:
            head = self._backend.head(session_id)
            if head is not None and head.stamp < cutoff:
                self._evict(head.key, EvictionReason.IDLE)

    def _evict(self, key: bytes, reason: EvictionReason) -> None:
        self._commit_removals([UUID(bytes=key)], ChangeKind.EVICTED, reason)

    # -- loading --

    def begin(self, sequence: int) -> None:
        """Number the first change after this number."""
        self._last_sequence = sequence

    def load(self, prepared: Prepared, stamp: int, revision: int) -> None:
        """Store a session that was committed by an earlier store. Nobody may read before all are loaded."""
        self._backend.apply(self._backend.plan_put(prepared, stamp, revision))
        self._clock.advance_to(stamp)

    def rewrite(self, plans: Sequence[P]) -> None:
        """Carry out plans that change the form of stored sessions and nothing else, so it is no commit."""
        self.recover()
        self._commit(plans, (), change_count=0)

    # -- committing --

    def _commit_puts(self, puts: Sequence[tuple[Prepared, int, int]], *, is_restored: bool = False) -> None:
        """Commit puts of different sessions, one after another."""
        if puts:
            if puts[0][0].document is not None:
                puts = [(self._backend.keep_version(one), stamp, revision) for one, stamp, revision in puts]
            plans = [self._backend.plan_put(*put, is_restored=is_restored) for put in puts]
            self._clock.advance_to(max(stamp for _, stamp, _ in puts))
            self._commit(plans, [_saved(*put) for put in puts] if self._listeners else ())

    def _commit_removals(
        self, session_ids: Sequence[UUID], kind: ChangeKind, reason: EvictionReason | None = None
    ) -> None:
        plans = [self._backend.plan_remove(session_id) for session_id in session_ids]
        mutations = [self._removed(session_id, kind, reason) for session_id in session_ids] if self._listeners else ()
        self._commit(plans, mutations)

    def _removed(self, session_id: UUID, kind: ChangeKind, reason: EvictionReason | None) -> Mutation[R]:
        stored, head = self._backend.find(session_id), self._backend.head(session_id)
        assert head is not None  # it was found in this very step
        return Mutation(kind, session_id, UUID(bytes=head.owner), head.stamp, head.revision, stored, reason)

    def _commit(self, plans: Sequence[P], mutations: Sequence[Mutation[R]], *, change_count: int | None = None) -> None:
        """Carry out the plans, each of another session, and publish the mutations, if anybody listens."""
        last = self._last_sequence + (len(plans) if change_count is None else change_count)
        self._suspend()
        self._pending = plans, mutations, last
        self._is_committing = True
        try:
            for plan in plans:
                self._backend.apply(plan)
            if mutations:
                self._publish(mutations, self._last_sequence + 1)
            self._last_sequence = last
        except BaseException:
            self._is_committing = False
            self.recover()
            raise
        self._pending = None
        self._is_committing = False
        self._resume()
        if self._has_checks:
            self._backend.check()

    def _publish(self, mutations: Sequence[Mutation[R]], sequence: int) -> None:
        commit = Commit(sequence, mutations)
        for listener in self._listeners:
            listener.on_commit(commit)

    def recover(self) -> None:
        """Finish an interrupted commit, if there is one. Cost: O(n log n) in that case."""
        pending = self._pending
        if pending is not None:
            plans, mutations, last = pending
            self._backend.recover(plans)
            if mutations:
                self._publish(mutations, last - len(mutations) + 1)
            self._last_sequence = last
            self._pending = None
            self._is_committing = False


def _saved(prepared: Prepared, stamp: int, revision: int) -> Mutation[R]:
    session_id, tenant_id, _, _, document = prepared
    return Mutation(ChangeKind.SAVED, session_id, tenant_id, stamp, revision, None, None, document)
