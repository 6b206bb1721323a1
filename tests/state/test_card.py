"""The model card: what it says, that it is the same for the same model, and that a stranger's card is only text."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.conftest import Run
from tests.cli.conftest import run as run  # the fixture
from tests.state.test_artifact import edit_manifest

from hashgnn.codes import code_health
from hashgnn.config import load_recipe
from hashgnn.data import IdMap, Weighting
from hashgnn.errors import ArtifactDamagedError, ArtifactError, ParameterError
from hashgnn.recommender import HashGNN
from hashgnn.state import load_state, save_state
from hashgnn.state.artifact import MANIFEST, open_artifact
from hashgnn.state.card import CARD, ids_digest, model_card
from hashgnn.testing.states import random_state

YEAR_2024 = 1_704_067_200  # seconds, 2024-01-01


def rewrite_card(path: Path, content: bytes) -> None:
    """Change the card and make the checksums right, as somebody who knows the format would."""
    (path / CARD).write_bytes(content)
    files = json.loads((path / MANIFEST).read_text())["files"]
    files[CARD] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(path, files=files)


def rows(card: str) -> dict[str, str]:
    """Return the rows of all tables with two columns."""
    cells = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| ")]
    return {row[0]: row[1] for row in cells if len(row) == 2}


def test_the_card_of_a_model_says_what_its_state_holds() -> None:
    state = random_state([7, 5, 6], ["a", "b"], n_bits=16, dim=4, seen=random_state(3, 2, density=1.0).seen)
    state = replace(
        state,
        data_statistics={"first_timestamp": YEAR_2024, "last_timestamp": (YEAR_2024 + 86400) * 1000},
        metrics={"recall@20": 0.123456789},
        training={"epochs": 3, "history": [1] * 1000, "versions": {"torch": "2.13.0"}, "seed": 9},
        weighting=Weighting({"view": 1, "purchase": 5}),
        license="CC-BY-4.0",
        card_notes="# Ours\r\n\nAsk the **shop** team.",
    )
    card = model_card(state)
    found = rows(card)
    assert "A hashgnn model of 3 users and 2 items: codes of 16 bits, with an item bias" in card
    expected = {
        "users": "3",
        "items": "2",
        "interactions": "6",
        "first interaction": "2024-01-01T00:00:00+00:00",
        "last interaction": "2024-01-02T00:00:00+00:00",
        "weight of purchase": "5",
        "SHA-256 of the user ids": hashlib.sha256(b"7\n5\n6\n").hexdigest(),
        "SHA-256 of the item ids": hashlib.sha256(b"a\nb\n").hexdigest(),
        "recall@20": "0.123457",
        "codes of items": "4",
        "embeddings": "80",
        "epochs": "3",
        "seed": "9",
        "torch": "2.13.0",
        "encoder.name": "history",
        "n_bits": "16",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "history" not in found
    assert "\n## Licence\n\nCC-BY-4.0\n" in card
    assert card.endswith("\n## Notes\n\n# Ours\n\nAsk the **shop** team.\n")
    assert state.created in card


def test_the_nearest_recipe_and_what_differs_are_named() -> None:
    assert rows(random_state(n_bits=128, dim=256).card())["nearest recipe"] == "default"
    config = load_recipe("paper", n_bits=64)
    state = random_state(n_bits=64, float_embedding="relaxed", item_bias=False)
    found = rows(replace(state, config=config).card())["nearest recipe"]
    assert found == "paper, but for n_bits"


def test_the_health_is_that_of_the_codes_and_says_how_many_were_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = random_state(40, 30)
    health = [code_health(side.codes).summary() for side in (state.users, state.items)]
    table = [line for line in state.card().splitlines() if line.count("|") == 4]
    assert table[2] == "| codes measured | 40 | 30 |"
    assert table[3] == f"| dead bits | {health[0]['dead_bits']} | {health[1]['dead_bits']} |"
    assert table[6].split(" | ")[1:] == [
        f"{health[0]['mean_absolute_correlation']:.6g}",
        f"{health[1]['mean_absolute_correlation']:.6g} |",
    ]
    monkeypatch.setattr("hashgnn.state.card._MEASURED_CODES", 10)
    assert "| codes measured | 10 | 10 |" in state.card()


def test_small_numbers_as_times_stay_numbers() -> None:
    state = replace(random_state(), data_statistics={"first_timestamp": 12, "last_timestamp": None})
    found = rows(state.card())
    assert found["first interaction"] == "12"
    assert "last interaction" not in found


def test_the_card_is_in_the_folder_and_under_its_checksum(tmp_path: Path) -> None:
    state = random_state()
    save_state(state, tmp_path / "v1")
    assert (tmp_path / "v1" / CARD).read_text(encoding="utf-8") == state.card()
    (tmp_path / "v1" / CARD).write_text(state.card().replace("recall", "RECALL"), encoding="utf-8")
    with pytest.raises(ArtifactDamagedError, match=r"checksum of model_card\.md does not match its manifest"):
        open_artifact(tmp_path / "v1")
    with pytest.raises(ArtifactDamagedError, match=r"checksum of model_card\.md"):
        load_state(tmp_path / "v1", verify=True)
    (tmp_path / "v1" / CARD).unlink()
    with pytest.raises(ArtifactDamagedError, match=r"model_card\.md is missing"):
        load_state(tmp_path / "v1")


def test_the_same_model_has_the_same_card_however_often_it_is_saved(tmp_path: Path) -> None:
    model = HashGNN.from_state(random_state())
    model.save(tmp_path / "v1", license="MIT", card_notes="first")
    loaded = HashGNN.load(tmp_path / "v1")
    loaded.save(tmp_path / "v2")
    HashGNN.load(tmp_path / "v2", mmap=False).save(tmp_path / "v3")
    contents = {(tmp_path / name / CARD).read_bytes() for name in ("v1", "v2", "v3")}
    assert len(contents) == 1
    assert loaded.card() == (tmp_path / "v1" / CARD).read_text(encoding="utf-8")
    manifests = {(tmp_path / name / MANIFEST).read_bytes() for name in ("v1", "v2", "v3")}
    assert len(manifests) == 1


def test_texts_of_the_card_are_kept_changed_and_removed(tmp_path: Path) -> None:
    model = HashGNN.from_state(random_state())
    model.save(tmp_path / "v1", license="MIT", card_notes="first")
    assert (model.state_.license, model.state_.card_notes) == ("", "")  # a fitted model stays as it is
    state = load_state(tmp_path / "v1")
    assert (state.license, state.card_notes) == ("MIT", "first")
    loaded = HashGNN.load(tmp_path / "v1")
    assert loaded.card(card_notes="second").endswith("## Notes\n\nsecond\n")
    loaded.save(tmp_path / "v2", license="", card_notes="second")
    state = load_state(tmp_path / "v2")
    assert (state.license, state.card_notes) == ("", "second")
    assert "None is stated." in state.card()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"license": "x" * 201}, "license must be at most 200 characters, got 201"),
        ({"card_notes": "x" * 65537}, "card_notes must be at most 65,536 characters, got 65,537"),
        ({"card_notes": "a\x1b[2Jb"}, "card_notes must be plain text without control characters, got some"),
        ({"card_notes": "a\ud800"}, "card_notes must be plain text without control characters, got some"),
        ({"license": 7}, "license must be text, got 7"),
    ],
)
def test_a_text_that_is_no_plain_text_is_refused_and_nothing_is_written(
    texts: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=f"^{message}$"):
        HashGNN.from_state(random_state()).save(tmp_path / "v1", **texts)
    assert list(tmp_path.iterdir()) == []


def test_an_update_keeps_the_texts() -> None:
    pytest.importorskip("torch")
    from hashgnn.data import generate_interactions

    train = generate_interactions(30, 20, 200, rng=0)
    settings: dict[str, Any] = {
        "optimizer": {"epochs": 1},
        "teacher": {"rank": 4, "k": 3},
        "embedding_dim": 8,
    }
    model = HashGNN(n_bits=8, **settings).fit(train, rng=0, progress=False, n_threads=1)
    model = HashGNN.from_state(replace(model.state_, license="MIT", card_notes="first"))
    new = generate_interactions(30, 20, 250, rng=1)
    state = model.update(new, rng=0, progress=False, n_threads=1).state_
    assert (state.license, state.card_notes) == ("MIT", "first")


def test_a_model_without_a_card_loads_and_gets_one_when_it_is_shown(tmp_path: Path, run: Run) -> None:
    former = Path(__file__).parent / "format-2"
    assert not (former / CARD).exists()
    model = HashGNN.load(former, verify=True)
    code, out, err = run("inspect", former, "--card")
    assert (code, out) == (0, model.card())
    assert err == f"{former}: has no model_card.md; this one is made from its manifest\n"


def test_inspect_shows_the_card_as_it_is_in_the_folder(tmp_path: Path, run: Run) -> None:
    save_state(random_state(), tmp_path / "v1")
    rewrite_card(tmp_path / "v1", "# Mine\n\nñ\n".encode())
    assert run("inspect", tmp_path / "v1", "--card") == (0, "# Mine\n\nñ\n", "")
    _, out, _ = run("inspect", tmp_path / "v1", "--card", "--json")
    assert json.loads(out) == {"path": str(tmp_path / "v1"), "card": "# Mine\n\nñ\n"}


def test_the_card_of_a_stranger_is_text_without_control_characters_and_bounded(
    tmp_path: Path, run: Run
) -> None:
    save_state(random_state(), tmp_path / "v1")
    rewrite_card(tmp_path / "v1", b"\x1b]0;evil\x07\x9b2J\xff ok\r\n")
    code, out, _ = run("inspect", tmp_path / "v1", "--card")
    assert code == 0
    assert not set(out) & {"\x1b", "\x07", "\x9b", "\r"}
    assert out.endswith(" ok?\n")
    load_state(tmp_path / "v1", verify=True)  # a card is not read to open a model
    rewrite_card(tmp_path / "v1", b"x" * ((1 << 20) + 1))
    code, out, err = run("inspect", tmp_path / "v1", "--card")
    assert (code, out) == (2, "")
    assert "model_card.md must be at most 1048576 bytes, got 1048577" in err


@pytest.mark.parametrize(
    "card",
    [
        {"license": "x" * 201},
        {"notes": "x" * 65537},
        {"notes": 7},
        {"notes": "\u001b[2J"},
        "text",
        None,
    ],
)
def test_texts_of_a_strangers_manifest_are_checked(card: Any, tmp_path: Path) -> None:
    save_state(random_state(), tmp_path / "v1")
    edit_manifest(tmp_path / "v1", card=card)
    with pytest.raises(ArtifactError, match="card"):
        load_state(tmp_path / "v1")


def test_figures_of_a_stranger_take_one_bounded_line_each(tmp_path: Path) -> None:
    strange = {
        "a\n## b|c": "x\x1b" * 5000,
        "deep": {"er": [[["\n"]]] * 300},
        **{f"m{n}": n for n in range(900)},
    }
    save_state(random_state(), tmp_path / "v1")
    edit_manifest(tmp_path / "v1", metrics=strange, training={"versions": 3, **strange}, data_statistics={
        "first_timestamp": 2**62, "last_timestamp": "soon"})  # fmt: skip
    card = load_state(tmp_path / "v1").card()
    assert max(map(len, card.splitlines())) < 700
    assert len(card) < 60_000
    assert "\x1b" not in card
    assert "\n## b" not in card
    assert "| … | 702 more |" in card


@pytest.mark.parametrize(
    "ids", [[3, 1, 2], ["b", "ä"], [("a", 1)], [b"\x00\xff"], [True, False], [1.5, None]]
)
def test_the_digest_of_ids_is_that_of_their_printed_lines(ids: list[Any]) -> None:
    known = IdMap(ids)
    lines = "".join(f"{text}\n" for text in known.printed(np.arange(len(ids))))
    assert ids_digest(known) == hashlib.sha256(lines.encode()).hexdigest()
