"""PostgreSQL alone: the view, re-ranking there, connections that end, damaged entries, and two writers at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.servers import postgres_url

from hashgnn.engines import export_model, open_engine, sync_model
from hashgnn.errors import EngineError, ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.rules import parse
from hashgnn.state import save_state
from hashgnn.testing.engines import changed_state
from hashgnn.testing.states import random_state


def run(statement: str) -> list[tuple[object, ...]]:
    """Run a statement on the server of the tests, and return its rows."""
    psycopg = pytest.importorskip("psycopg")
    url = postgres_url("x").rpartition("&")[0]
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        rows: list[tuple[object, ...]] = cursor.fetchall() if cursor.description else []
        return rows


def test_the_view_shows_the_newest_version(tmp_path: Path) -> None:
    first = random_state(5, 80)
    later = random_state(5, 60, rng=2)
    save_state(first, tmp_path / "v1")
    save_state(later, tmp_path / "v2")
    url = postgres_url("shown")
    export_model(tmp_path / "v1", url)
    for state in (first, later):
        rows = run("SELECT item_id, pos, code::text, embedding::text FROM shown ORDER BY pos")
        assert [row[0] for row in rows] == state.items.ids.ids.tolist()
        bits = np.unpackbits(state.items.codes.packed, axis=1)
        assert [row[2] for row in rows] == ["".join(map(str, row)) for row in bits.tolist()]
        vectors = np.array([str(row[3]).strip("[]").split(",") for row in rows], float)
        np.testing.assert_allclose(vectors, state.items.embeddings, atol=2e-3)
        if state is first:
            sync_model(tmp_path / "v1", tmp_path / "v2", url)


def test_the_engine_can_rerank(tmp_path: Path) -> None:
    save_state(random_state(30, 300), tmp_path / "v1")
    export_model(tmp_path / "v1", postgres_url("ranked"))
    own = HashGNN.load(tmp_path / "v1")
    there = HashGNN.load(tmp_path / "v1", engine=postgres_url("ranked", rerank="engine"))
    mine, found = own.recommend(own.user_ids, k=10), there.recommend(own.user_ids, k=10)
    np.testing.assert_allclose(found.scores, mine.scores, atol=0.02)
    same = [len(set(one) & set(other)) for one, other in zip(mine.lists(), found.lists(), strict=True)]
    assert np.mean(same) >= 9.5
    items = own.item_ids[:5].tolist()
    assert there.similar_items(items).lists() == own.similar_items(items).lists()
    export_model(tmp_path / "v1", postgres_url("ranked"), floats="none", replace=True)
    with pytest.raises(ParameterError, match="rerank=engine needs embeddings in the engine"):
        HashGNN.load(tmp_path / "v1", engine=postgres_url("ranked", rerank="engine"))


def test_a_backslash_in_a_rule_is_a_backslash_whatever_the_server_is_set_to(tmp_path: Path) -> None:
    url = postgres_url("strings", options="-cstandard_conforming_strings=off")
    kinds = ["\\", "\\' OR true --", "plain"]
    table = pa.table({"item_id": [f"i{n}" for n in range(30)], "kind": [kinds[n % 3] for n in range(30)]})
    pq.write_table(table, tmp_path / "items.parquet")
    HashGNN.from_state(random_state(5, 30)).with_item_table(table).save(tmp_path / "v1")
    export_model(tmp_path / "v1", url, attributes=tmp_path / "items.parquet")
    there = HashGNN.load(tmp_path / "v1", engine=url)
    assert there.engine_index is not None
    for kind, count in ((kinds[0], 10), (kinds[1], 10), ("\\' OR 1=1 --", 0)):
        where = parse("kind = '{}'".format(kind.replace("'", "''")))
        found = there.engine_index.condition(where, 0.0)
        assert found is not None
        assert found.count == count


def test_a_connection_that_the_server_ended_is_opened_again(tmp_path: Path) -> None:
    save_state(random_state(5, 50), tmp_path / "v1")
    export_model(tmp_path / "v1", postgres_url("ended"))
    there = HashGNN.load(tmp_path / "v1", engine=postgres_url("ended"))
    before = there.recommend(["u1"], search="biased").lists()
    run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    assert there.recommend(["u1"], search="biased").lists() == before


def test_a_damaged_entry_and_one_of_a_later_layout_are_named(tmp_path: Path) -> None:
    save_state(random_state(5, 50), tmp_path / "v1")
    url = postgres_url("entries")
    export_model(tmp_path / "v1", url)
    for change, said in (
        ("replace(document, '\"layout\":1', '\"layout\":2')", "was written by a later version of hashgnn"),
        ("replace(document, '\"n_bits\":32', '\"n_bits\":33')", "its entry of version 1 is damaged, n_bits"),
        ("left(document, 40)", "its entry of version 1 is damaged"),
    ):
        run("CREATE TABLE kept AS SELECT document FROM entries_versions")
        run(f"UPDATE entries_versions SET document = {change}")
        with pytest.raises(EngineError, match=said):
            HashGNN.load(tmp_path / "v1", engine=url)
        run("UPDATE entries_versions SET document = (SELECT document FROM kept)")
        run("DROP TABLE kept")
    HashGNN.load(tmp_path / "v1", engine=url)


def test_rows_that_do_not_fit_their_version_are_an_error(tmp_path: Path) -> None:
    save_state(random_state(5, 50), tmp_path / "v1")
    url = postgres_url("foreign")
    export_model(tmp_path / "v1", url)
    run("UPDATE foreign_rows_1 SET pos = pos + 1000")
    with pytest.raises(EngineError, match="its rows do not fit its version; export the model again"):
        HashGNN.load(tmp_path / "v1", engine=url).recommend(["u1"])


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    first = random_state(5, 50)
    save_state(first, tmp_path / "v1")
    save_state(changed_state(first, 1), tmp_path / "v2")
    url = postgres_url("locked")
    export_model(tmp_path / "v1", url)
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(url.rpartition("&")[0]) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('hashgnn locked', 0))")
        with pytest.raises(EngineError, match="another export or sync is running; wait for its end"):
            sync_model(tmp_path / "v1", tmp_path / "v2", url)
    assert sync_model(tmp_path / "v1", tmp_path / "v2", url).n_written == 9


def test_a_name_that_is_taken_by_a_table_of_others_is_left_alone(tmp_path: Path) -> None:
    save_state(random_state(5, 50), tmp_path / "v1")
    run("CREATE TABLE theirs (a integer)")
    with pytest.raises(EngineError, match="the export failed, .*theirs.*; nothing was changed"):
        export_model(tmp_path / "v1", postgres_url("theirs"))
    assert run("SELECT count(*) FROM theirs") == [(0,)]
    assert open_engine(postgres_url("theirs")).versions() == []


def test_attributes_can_have_an_index_of_their_own(tmp_path: Path) -> None:
    save_state(random_state(5, 50), tmp_path / "v1")
    (tmp_path / "a.csv").write_text("item_id,price\n" + "".join(f"i{n},{n}\n" for n in range(50)))
    export_model(tmp_path / "v1", postgres_url("priced", indexed="price"), attributes=tmp_path / "a.csv")
    found = run("SELECT indexdef FROM pg_indexes WHERE tablename = 'priced_rows_1'")
    assert any("(price)" in str(row[0]) for row in found)
    with pytest.raises(ParameterError, match="indexed must name attributes of the export, got weight"):
        export_model(tmp_path / "v1", postgres_url("weighed", indexed="weight"))
