"""The simulation of tenants on shards."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from redis.crc import key_slot

from benchmarks.sharding import EXPONENTS, MEMORY, PARTS, SHARDS, TOTAL, Sharding, main, simulate, tables
from benchmarks.tenants import SLOTS, Placement, Slots, shard_loads, slot_of, zipf_sizes
from sessiondex.stores.redis import keys

TENANTS = (50, 200)


@pytest.fixture(scope="module")
def found() -> Sharding:
    return simulate(seed=1, draws=3, session_bytes=2_000, tenants=TENANTS)


def test_slots_are_those_of_the_stores_keys() -> None:
    """All keys of a tenant are in one, that of its id alone; the hash is the one that clusters are documented with."""
    tenant_id = UUID(int=7)
    base = keys.base("another-prefix", tenant_id)

    assert key_slot(b"123456789") == 0x31C3
    assert {slot_of(tenant_id)} == {key_slot(key) for key in (base + b"s:1", base + b"all", tenant_id.hex.encode())}


def test_slots_are_spread_evenly() -> None:
    slots = Slots("even").first(40_000)
    loads = [0.0] * SLOTS
    for slot in slots:
        loads[slot] += 1

    assert max(shard_loads(loads, 10)) / 4_000 < 1.1
    assert slots == Slots("even").first(40_000)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_sizes(exponent: float) -> None:
    """They are as Zipf's law has them, and nothing is lost."""
    sizes = zipf_sizes(1_000, exponent, TOTAL)

    assert sum(sizes) == pytest.approx(TOTAL)
    assert sizes[0] / sizes[9] == pytest.approx(10**exponent)


def test_a_large_tenant_fills_its_shard() -> None:
    """And a part of it fills a part of one, whatever the other parts do."""
    sizes = [900.0, *[1.0] * 100]
    placement = Placement(sizes, Slots("tenants").first(101), Slots("parts"))
    whole, split = placement.fill(10), placement.fill(10, parts=9)

    assert 9 <= whole.imbalance < 9.5
    assert 1 < split.imbalance < whole.imbalance
    assert (whole.split, split.split) == (0, 1)


def test_every_shard_counts() -> None:
    """Whatever the number of shards, together they have everything."""
    loads = [float(slot % 7) for slot in range(SLOTS)]

    for shards in SHARDS:
        assert len(shard_loads(loads, shards)) == shards
        assert sum(shard_loads(loads, shards)) == sum(loads)


def test_simulation(found: Sharding) -> None:
    """No cluster is more even than its largest tenant, and none fuller than full."""
    assert len(found.cells) == len(TENANTS) * len(EXPONENTS) * len(SHARDS) * len(PARTS)
    for cell in found.cells:
        assert 1 <= cell.imbalance <= cell.imbalance_p95 <= cell.shards
        if cell.parts == 1:
            assert cell.imbalance >= cell.largest * 0.999
            assert cell.split == 0
    assert found == simulate(seed=1, draws=3, session_bytes=2_000, tenants=TENANTS)


def test_splitting_helps(found: Sharding) -> None:
    """Where there is something to split, many parts are more even than none."""
    for tenants in TENANTS:
        whole, split = (found.cell(tenants, 1.2, 48, parts) for parts in (1, 64))

        assert split.split > 0
        assert split.imbalance < whole.imbalance / 3


def test_needs(found: Sharding) -> None:
    """What fits is memory by bytes; a tenant that does not fit is in no cluster, however many shards it has."""
    needs = found.needs(50, 1.2)
    largest = zipf_sizes(50, 1.2, TOTAL)[0]

    assert [memory * 10**9 // 2_000 for memory in MEMORY] == [need.sessions for need in needs]
    for need in needs:
        if need.sessions < largest:
            assert need.shards[1] is None
        else:
            assert need.shards[1] is None or need.shards[1] * need.sessions >= TOTAL
    assert any(need.shards[64] for need in needs)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints its tables, and writes what they were made of."""
    monkeypatch.setattr("benchmarks.sharding.find_spec", lambda _: None)
    status = main(["--bytes", "2800", "--draws", "1", "--output", str(tmp_path)])
    printed, results = capsys.readouterr().out, json.loads((tmp_path / "sharding.json").read_text())

    assert status == 0
    assert (results["session_bytes"], results["total"], results["draws"]) == (2_800, TOTAL, 1)
    assert "The fullest shard ÷ the mean" in printed
    assert "maxmemory" in printed


def test_plot(found: Sharding) -> None:
    """It has a line for each way to split, and says in words what it shows."""
    pytest.importorskip("altair", reason="the bench group is not installed; `nox -s page` has it")
    from benchmarks.charts import sharding as chart  # noqa: PLC0415  # needs altair

    rows = chart._rows(found)

    assert {row["way"] for row in rows} > {chart._way(parts) for parts in PARTS}
    assert {row["panel"] for row in rows} >= {"50 tenants, exponent 1.2", "200 tenants, exponent 0.8"}


def test_tables_need_what_was_simulated() -> None:
    """They are of the tenants that are simulated unless told otherwise."""
    shown = tables(simulate(seed=2, draws=1, session_bytes=2_800))

    assert [9, len(MEMORY)] == [len(table.rows) for table in shown]
    assert all(len(row) == len(table.head) for table in shown for row in table.rows)
