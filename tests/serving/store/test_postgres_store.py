"""PostgreSQL alone: the order of numbers, addresses, rights, other schemas and versions."""

from __future__ import annotations

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.servers import store_url
from tests.serving.store.database import connected, psycopg, run

from hashgnn.errors import DataError, ParameterError, StorageError
from hashgnn.serving.store import InteractionStore, NewItem, RepeatKey
from hashgnn.serving.store._attributes import AttributeRow

PASSWORD = "pa/ss@wo?rd"


@pytest.fixture
def url() -> str:
    return store_url()


def as_user(url: str, name: str, *, grants: str = "") -> str:
    """Return the address of a store for a new user with some rights."""
    with connected(url) as connection, suppress(psycopg.errors.DuplicateObject):
        connection.execute(f"CREATE ROLE {name} LOGIN")
    if grants:
        run(url, grants)
    return url.replace("postgresql://postgres:@", f"postgresql://{name}@")


# --- the order of numbers ---


def test_no_reader_passes_over_a_write_that_is_still_open(url: str) -> None:
    """A writer with smaller numbers commits late; whoever reads meanwhile must not go past it."""
    with InteractionStore.open(url) as store, InteractionStore.open(url) as other:
        store.append(["u"], ["first"])
        begun, commit = threading.Event(), threading.Event()
        finish = store._connections._commit

        def late(*arguments: Any) -> None:
            begun.set()
            assert commit.wait(30)
            finish(*arguments)

        store._connections._commit = late
        with ThreadPoolExecutor(3) as pool:
            slow = [
                pool.submit(store.write_attributes, [AttributeRow("i", "price", "1")]),
            ]
            assert begun.wait(30)
            # It has numbers, and is not committed. Another service writes now.
            quick = [
                pool.submit(other.write_attributes, [AttributeRow("i", "price", "2")]),
                pool.submit(other.append, ["u"], ["second"]),
            ]
            time.sleep(0.2)
            assert not any(one.done() for one in quick)  # they wait, as they would get larger numbers
            assert (other.last_attribute, other.attributes_since(0, 9), other.last) == (0, [], 1)
            commit.set()
            for one in [*slow, *quick]:
                one.result(30)
        assert [row[0] for row in other.attributes_since(0, 9)] == [2]
        assert store.attributes_since(1, 9) == [(2, "i", "price", "2")]


def test_followers_of_numbers_miss_nothing_while_many_services_write(url: str) -> None:
    stores = [InteractionStore.open(url) for _ in range(3)]
    ended = threading.Event()
    seen: dict[str, list[Any]] = {"items": [], "attributes": []}

    def follow() -> None:
        with InteractionStore.open(url) as reader:
            last = {"items": 0, "attributes": 0}
            while True:
                stop = ended.is_set()
                found, last["items"] = reader.items.after(last["items"])
                seen["items"] += [one.item for one in found]
                for number, item, _, _ in reader.attributes_since(last["attributes"], 7):
                    seen["attributes"].append(item)
                    last["attributes"] = number
                if stop and reader.last_attribute == last["attributes"]:
                    return

    def write(number: int) -> None:
        for place in range(25):
            stores[number % 3].items.add([NewItem(f"i{number}-{place}", ("u",))])
            stores[number % 3].write_attributes([AttributeRow(f"i{number}-{place}", "price", "1")])

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    ended.set()
    follower.join()
    expected = {f"i{number}-{place}" for number in range(6) for place in range(25)}
    assert (set(seen["items"]), len(seen["items"])) == (expected, 150)
    assert (set(seen["attributes"]), len(seen["attributes"])) == (expected, 150)
    for store in stores:
        store.close()


def test_services_that_start_together_make_the_tables_once(url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(InteractionStore.open, [url] * 6))
    assert len({store.identity for store in stores}) == 1
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda pair: pair[1].append([pair[0]], [pair[0]]), enumerate(stores)))
    assert stores[0].count == 6
    for store in stores:
        store.close()


def test_a_key_counts_once_in_all_services(url: str) -> None:
    key = RepeatKey("order 7", b"digest")
    stores = [InteractionStore.open(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda store: store.write(["u"], ["i"], key=key), stores))
    assert sorted(receipt.repeated for receipt in receipts) == [False, True, True, True]
    assert stores[0].count == 1
    for store in stores:
        store.close()


# --- addresses ---


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            "s3://bucket/new.db",
            r"interactions must be a file of this machine or an address such as postgresql://",
        ),
        ("mysql://u:secret@h/db", r"got one of mysql://$"),
        ("postgresql://h/db?store=Bad-Name", "store must be at most 40 of the characters a-z, 0-9 and _"),
        ("postgresql://h/db?store=pg_mine", "store must not begin with pg_"),
        ("postgresql://h/db?timeout=0", "timeout must be an integer >= 1"),
        (
            "postgresql://u:secret@h/db?colour=red",
            r"got postgresql://u:\*\*\*@h/db\?colour=red; invalid URI query",
        ),
        ("postgresql://u@h/db?colour=red", r'got postgresql://u@h/db\?colour=red; .*"colour"$'),
        ("postgresql://u:secret@[::1/db", r"got postgresql://u:\*\*\*@\[::1/db; end of string reached"),
        ("postgresql://u:sec?ret@h/db", r"got postgresql://u:\*\*\*@h/db=; invalid URI query"),
        ("postgresql://u:sec/ret@h/db?colour=red", r"got postgresql://u:\*\*\*@h/db"),
        (
            "postgresql://u@h/db?password=secret&password=secret",
            "must be given once, got 'password' more often",
        ),
    ],
)
def test_an_address_that_is_none_gives_one_sentence(address: str, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence) as raised:
        InteractionStore.open(address)
    assert "secret" not in str(raised.value)
    assert not re.search(r"sec[^o]|ret@", str(raised.value))


def test_a_server_that_is_not_there_gives_one_sentence_without_the_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StorageError) as raised:
        InteractionStore.open(f"postgresql://shop:pa%2Fss%40wo%3Frd@127.0.0.1:{port}/db")
    said = str(raised.value)
    assert said.startswith(
        f"postgresql://shop:***@127.0.0.1:{port}/db: could not be written or read, its server cannot"
    )
    assert not re.search("ss%40|ss@|%3Frd|wo.rd", said)
    assert "refused" in said
    assert "\n" not in said


def test_options_of_tls_reach_libpq() -> None:
    def refuse(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(8)  # the request for TLS
            peer.sendall(b"N")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refuse, args=(listening,))
        thread.start()
        port = listening.getsockname()[1]
        with pytest.raises(StorageError, match="server does not support SSL, but SSL was required"):
            InteractionStore.open(f"postgresql://u@127.0.0.1:{port}/db?sslmode=require")
        thread.join()


def test_a_server_that_never_answers_is_given_up_and_not_asked_again_at_once(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=2"
        with pytest.raises(StorageError, match="its server cannot be reached, connection timeout expired"):
            InteractionStore.open(address)


def test_a_wrong_password_is_refused_and_not_shown(url: str) -> None:
    (hba,) = run(url, "SHOW hba_file")[0]
    before = Path(hba).read_text()
    with connected(url) as connection, suppress(psycopg.errors.DuplicateObject):
        connection.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
    Path(hba).write_text("local all guarded scram-sha-256\n" + before)
    try:
        run(url, "SELECT pg_reload_conf()")
        time.sleep(0.3)
        guarded = url.replace("postgresql://postgres:@", "postgresql://guarded:wrong-one@")
        with pytest.raises(StorageError, match="password authentication failed for user") as raised:
            InteractionStore.open(guarded)
        assert "wrong-one" not in str(raised.value)
        run(url, "CREATE SCHEMA {s} AUTHORIZATION guarded")
        with InteractionStore.open(guarded.replace("wrong-one", "pa%2Fss%40wo%3Frd")) as store:
            assert store.append(["u"], ["i"]) == 1
            assert ":***@" in repr(store)
            assert "ss%40" not in repr(store)
    finally:
        Path(hba).write_text(before)
        run(url, "SELECT pg_reload_conf()")


# --- what is in the database ---


def test_a_user_who_may_only_read_exports_and_writes_nothing(url: str, tmp_path: Path) -> None:
    with InteractionStore.open(url) as store:
        store.append(["u"], ["i"])
    reader = as_user(
        url,
        "reader",
        grants="GRANT USAGE ON SCHEMA {s} TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA {s} TO reader",
    )
    with InteractionStore.open(reader) as store:
        assert store.export(tmp_path / "new.parquet").count == 1
        assert store.problem() == "its user may not write its tables"
        with pytest.raises(StorageError, match="its user may not do that, permission denied for table"):
            store.append(["u"], ["j"])
        assert store.history("u") == ["i"]


def test_a_user_who_may_make_nothing_is_told_so(url: str) -> None:
    stranger = as_user(url, "stranger")
    with pytest.raises(
        StorageError, match="its user may not make the tables, permission denied for database"
    ):
        InteractionStore.open(stranger)
    run(url, "CREATE SCHEMA {s}; GRANT USAGE ON SCHEMA {s} TO stranger")
    with pytest.raises(StorageError, match="its user may not make the tables, permission denied for schema"):
        InteractionStore.open(stranger)
    run(url, "GRANT CREATE ON SCHEMA {s} TO stranger")
    with InteractionStore.open(stranger) as store:
        assert store.append(["u"], ["i"]) == 1


def test_other_schemas_versions_and_half_of_a_store_are_refused(url: str) -> None:
    run(url, "CREATE SCHEMA {s}; CREATE TABLE {s}.orders (id int)")
    with pytest.raises(DataError, match=r"is no store of interactions; choose another name with store=$"):
        InteractionStore.open(url)
    run(url, "DROP SCHEMA {s} CASCADE")
    InteractionStore.open(url).close()
    run(url, "UPDATE {s}.about SET value = '2' WHERE name = 'format'")
    with pytest.raises(DataError, match=r"a store of format 2, this version of hashgnn reads 1$"):
        InteractionStore.open(url)
    run(url, "UPDATE {s}.about SET value = '1' WHERE name = 'format'; DROP TABLE {s}.item_users")
    with pytest.raises(
        DataError, match="the store is damaged, the table item_users is missing; restore a copy"
    ):
        InteractionStore.open(url)


def test_a_creation_that_was_cut_off_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashgnn.serving.store import _postgres_schema

    whole = _postgres_schema._TABLES
    monkeypatch.setattr(
        _postgres_schema, "_TABLES", whole.replace("INSERT INTO {s}.state", "INSERT INTO {s}.none")
    )
    with pytest.raises(StorageError):
        InteractionStore.open(url)
    assert run(url, "SELECT to_regnamespace('{s}')") == [(None,)]
    monkeypatch.setattr(_postgres_schema, "_TABLES", whole)
    InteractionStore.open(url).close()


def test_nothing_is_made_where_a_store_must_be_there(url: str) -> None:
    with pytest.raises(ParameterError, match="there is no store of interactions$"):
        InteractionStore.open(url, make=False)
    assert run(url, "SELECT to_regnamespace('{s}')") == [(None,)]


def test_a_database_of_another_encoding_is_refused(url: str) -> None:
    with suppress(psycopg.errors.DuplicateDatabase):
        run(url, "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StorageError, match="needs a database that keeps UTF8, this one keeps LATIN1"):
        InteractionStore.open(url.replace("/postgres?", "/latin?"))


def test_ids_that_columns_cannot_hold_are_refused(url: str) -> None:
    with InteractionStore.open(url) as store:
        store.append(["u"], ["i"])
        for write in (
            lambda text: store.append([text], ["i"]),
            lambda text: store.append(["u"], [text]),
            lambda text: store.append(["u"], ["i"], events=[text]),
            lambda text: store.delete(text),
            lambda text: store.items.add([NewItem(text)]),
            lambda text: store.items.add([NewItem("new", (text,))]),
            lambda text: store.write_attributes([AttributeRow(text, "price", "1")]),
        ):
            with pytest.raises(ParameterError, match="of a store in PostgreSQL must be without NUL"):
                write("a\0b")
        with pytest.raises(
            ParameterError, match="users of a store in PostgreSQL must have at most 2048 bytes, got 2049"
        ):
            store.append(["x" * 2049], ["i"])
        longest = "\N{FACE WITH TEARS OF JOY}" * 512
        store.append([longest], [longest])
        store.items.add([NewItem(longest, (longest,), {"text": "\0"})])
        assert (store.history(longest), store.history("a\0b"), store.items.holds("a\0b")) == (
            [longest],
            [],
            False,
        )
        assert store.items.after(0)[0][0].features == {"text": "\0"}
        assert store.problem() is None


def test_ids_of_one_type_are_not_found_as_the_other(url: str) -> None:
    with InteractionStore.open(url) as store:
        store.append([7, 8], ["7", "8"])
        store.delete(8)
        assert (store.histories([7, "7", 8]), store.recents(["7"])) == ([["7"], [], []], [[]])
        assert [bool(one) for one in store.deletions_of([8, "8"])] == [True, False]
        assert (store.items.holds(7), store.items.holds("7")) == (False, False)


def test_an_export_shows_one_moment_while_others_write(url: str, tmp_path: Path) -> None:
    with InteractionStore.open(url) as store, InteractionStore.open(url) as other:
        store.append([1] * 70_000, range(70_000), weights=[0.5] * 70_000)
        ended = threading.Event()

        def write() -> None:
            while not ended.is_set():
                other.append([2], [1])

        writer = threading.Thread(target=write)
        writer.start()
        try:
            found = store.export(tmp_path / "new.parquet")
        finally:
            ended.set()
            writer.join()
        table = pq.read_table(tmp_path / "new.parquet")
        assert found.count == found.upto == table.num_rows
        assert set(table["weight"].to_pylist()) <= {0.5, 1.0}
        assert store.clear(found.upto) == found.count
        assert store.export(tmp_path / "rest.parquet", after=found.upto).after == found.upto
