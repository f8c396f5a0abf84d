"""The store on its own: what it keeps, for how long, and what reading it costs."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from localcloud.changes import Changes
from localcloud.errors import DataDirectoryError
from localcloud.storage.database import Paging
from localcloud.storage.events import EventFilter
from localcloud.storage.logs import LogFilter
from localcloud.storage.schema import migrations
from localcloud.storage.store import Store
from localcloud.storage.stream import StreamFilter
from localcloud.stream_query import parse_query

PROJECT = "warehouse"
LONG_AGO = "2001-01-01T00:00:00.000000000Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "cloud", Changes())
    store.projects.ensure("Warehouse", "Acme")
    yield store
    store.close()


def _sequence(store: Store, device_id: str) -> int:
    return int(json.loads(store.deployments.manifest_for(device_id).json)["sequenceNumber"])


def test_a_sequence_number_is_used_once_even_if_its_deployment_is_gone(store: Store) -> None:
    given: list[int] = []
    for name in ("camera-1", "camera-2"):
        store.cohorts.create(PROJECT, "bench")
        device = store.devices.create(PROJECT, name, cohort_id="bench")
        # Faster than one a second, so that they run ahead of the clock.
        for _ in range(100):
            store.deployments.create(PROJECT, "bench", "", [])
            given.append(_sequence(store, device.id))
        store.cohorts.delete(PROJECT, "bench")
    assert given == sorted(set(given))


def test_sequence_numbers_go_on_where_an_older_cloud_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "cloud"
    folder.mkdir()
    old = Database(folder / "cloud.db")
    migrations.apply(old, stop_before="ordered")
    old.execute("INSERT INTO organizations VALUES ('acme', 'Acme', '')")
    old.execute("INSERT INTO projects VALUES ('warehouse', 'W', 'acme', '', '', 0)")
    old.execute("INSERT INTO cohorts VALUES ('warehouse', 'bench', 'Bench', '', '')")
    far = 2**33
    old.execute(
        "INSERT INTO deployments VALUES ('d', 'warehouse', 'bench', '', ?, x'', x'', '')", [far]
    )
    old.close()
    store = Store(folder, Changes())
    device = store.devices.create(PROJECT, "camera-1", cohort_id="bench")
    store.deployments.create(PROJECT, "bench", "", [])
    assert _sequence(store, device.id) == far + 1
    store.close()


def test_no_list_sorts_or_goes_through_what_other_devices_sent(store: Store) -> None:
    device = store.devices.create(PROJECT, "camera-1").id
    parts = StreamFilter([device], start=LONG_AGO, path="edgeferry/samples")
    lists: list[Callable[[], object]] = [
        lambda: store.events.page(PROJECT, EventFilter(), 24, ""),
        lambda: store.events.page(PROJECT, EventFilter(device_id=device), 100, "older-5"),
        lambda: store.logs.page(PROJECT, LogFilter(), Paging()),
        lambda: store.logs.page(PROJECT, LogFilter(device_id=device, level="WARN"), Paging()),
        lambda: store.stream.page(PROJECT, StreamFilter(), Paging()),
        lambda: store.stream.page(PROJECT, StreamFilter([device]), Paging()),
        lambda: store.stream.page(PROJECT, parts, Paging()),
    ]
    connection = store._database._db.conn
    for read in lists:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        read()
        connection.set_trace_callback(None)
        assert asked
        for sql in asked:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert not [step for step in plan if step.startswith(("SCAN", "USE TEMP"))], sql
            named = f"device_id = '{device}'" in sql
            assert not named or "device_id=?" in plan[0], (sql, plan)


def test_a_long_stream_is_read_without_holding_all_of_it(store: Store) -> None:
    device = store.devices.create(PROJECT, "camera-1").id
    with store.atomic():
        for number in range(200):
            store.stream.add(PROJECT, device, ("n",), {"n": number, "picture": "x" * 50_000})
    wanted = StreamFilter([device])
    count = parse_query({"fields": [{"path": "n.n", "agg": "count"}]})
    reads: list[Callable[[], int]] = [
        lambda: count.run(store.stream.entries(PROJECT, wanted))[0]["n.n"],
        lambda: len(store.stream.ids(PROJECT, wanted, count.accepts, ())),
    ]
    for read in reads:
        tracemalloc.start()
        assert read() == 200
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 1_000_000, "ten megabytes are stored"


def test_what_is_old_goes_while_the_cloud_runs(store: Store) -> None:
    device = store.devices.create(PROJECT, "camera-1").id
    for _ in range(2):
        line = {"level": "INFO", "module": "m", "message": "hi", "metadata": {}}
        store.logs.add(PROJECT, device, **line)  # type: ignore[arg-type]
        store.stream.add(PROJECT, device, ("n",), 1)
    for table in ("logs", "stream"):
        store._database.execute(f"UPDATE {table} SET timestamp = ? WHERE id = 1", LONG_AGO)
    store.expire()
    assert store.logs.page(PROJECT, LogFilter(), Paging())[1] == 1
    assert store.stream.page(PROJECT, StreamFilter(), Paging())[1] == 1


def test_a_directory_that_could_not_be_opened_is_free_again(tmp_path: Path) -> None:
    in_the_way = tmp_path / "artifacts"
    in_the_way.write_text("a file where a folder belongs")
    with pytest.raises(DataDirectoryError, match="artifacts"):
        Store(tmp_path, Changes())
    in_the_way.unlink()
    Store(tmp_path, Changes()).close()
