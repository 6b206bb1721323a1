from __future__ import annotations

import dataclasses
import re
import sys
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from table_model import TableModel, matrix

from hashgnn.codes import BinaryCodes, code_health
from hashgnn.errors import MissingExtraError, StorageError
from hashgnn.evaluation import evaluate
from hashgnn.evaluation.distances import sample_distances
from hashgnn.evaluation.report import Example, Recommended, ReportContent, write_report

HOSTILE = "<script>alert('&')</script>\"><img src=x>"
VOID = {"meta", "br", "img", "link"}


class Page(HTMLParser):
    """What a browser would see: elements with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def text_in(self, tag):
        return [text for inside, text in self.texts if inside == tag]


def evaluation():
    tables = {
        "hamming": np.array([[9, 1, 1, 1, 1], [9, 1, 1, 1, 8]], np.float32),
        "float": np.array([[9, 5, 4, 3, 2], [9, 5, 4, 3, 8]], np.float32),
    }
    train, test = matrix([[0], [0, 4]], 5), matrix([[1, 4], [2]], 5)
    return evaluate(TableModel(tables), train, test, metrics=["recall@2", "coverage@2"], rng=0)


def content(**changes):
    rng = np.random.default_rng(0)
    users, items = (BinaryCodes.from_signs(rng.normal(size=(n, 16))) for n in (20, 30))
    whole = ReportContent(
        title="A model",
        data_set="toys",
        evaluation=evaluation(),
        data={"Source": "a shelf"},
        configuration={"n_bits": 16, "schedule": {"start": 1.0}},
        history=[
            {"epoch": 1.0, "loss": 3.0, "recall@20": 0.1},
            {"epoch": 2.0, "loss": 2.0},
            {"epoch": 3.0, "loss": 1.0, "recall@20": 0.3},
            {"epoch": 4.0, "loss": 0.5, "recall@20": 0.2},
        ],
        health={"items": code_health(items), "users": code_health(users)},
        distances=sample_distances(users, items, np.arange(20), np.arange(20), rng=0),
        examples=[Example("ann", ["Cat"], [Recommended("Dog", held_out=True), Recommended("Owl")])],
        commands=["hashgnn fit toys.csv -o toys"],
        versions={"hashgnn": "0.1.0"},
    )
    return dataclasses.replace(whole, **changes)


def written(tmp_path, given):
    write_report(tmp_path / "report.html", given)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_holds_what_was_found(tmp_path):
    given = content()
    page = Page(written(tmp_path, given))
    assert page.open == []
    assert page.text_in("title")[:1] == page.text_in("h1") == ["A model"]
    texts = [text for _, text in page.texts]
    report = given.evaluation
    for way in ("hamming", "float"):
        assert f"{report.metrics[way]['recall@2']:.4f}" in texts
        assert f"ties {report.expected[way]['recall@2']:.4f}" in texts
        low, high = report.intervals[way]["recall@2"]
        assert f"{low:.4f}–{high:.4f}" in texts
        assert f"{report.bytes_per_item[way]:.0f}" in texts
    assert page.text_in("h2") == [
        "Search ways",
        "Pictures",
        "Recommendations",
        "Code health",
        "How this was made",
    ]
    assert [tag for tag, _ in page.elements].count("svg") == 4
    for text in ("a shelf", "ann", "Cat", "Owl", "hashgnn fit toys.csv -o toys", "0.1.0", '{"start": 1.0}'):
        assert text in texts
    assert f"{given.health['items'].mean_entropy:.4g}" in texts
    assert texts.count("held out") == 2  # the title that was, and the legend


def test_names_of_a_figure_share_a_prefix_and_sentences_have_room(tmp_path):
    split = "the last fifth of each user's interactions"
    page = Page(written(tmp_path, content(data={"users": 943, "split": split})))
    names = page.text_in("dt")
    assert names == ["Data set", "Users", "Split", "Users evaluated", "Items ranked for each"]
    assert [attributes.get("class") for _, attributes in page.elements].count("wide") == 1


def test_the_best_epoch_is_that_of_the_best_value(tmp_path):
    assert "best, epoch 3" in Page(written(tmp_path, content())).text_in("text")


def test_the_page_loads_nothing(tmp_path):
    text = written(tmp_path, content())
    page = Page(text)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object"}
    for _, attributes in page.elements:
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "//" not in text
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    policies = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_ids_are_unique_and_every_reference_has_its_id(tmp_path):
    text = written(tmp_path, content())
    ids = Counter(attributes["id"] for _, attributes in Page(text).elements if "id" in attributes)
    assert max(ids.values()) == 1
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text)) <= set(ids)


def test_the_figures_take_their_colours_from_the_page(tmp_path):
    text = written(tmp_path, content())
    defined = set(re.findall(r"^  (--[a-z]+):", text, re.MULTILINE))
    used = set(re.findall(r"var\((--[a-z]+)\)", text))
    assert {"--ink", "--faint", "--first", "--second"} <= used <= defined
    figures = text[text.index("<svg") : text.rindex("</svg>")]
    assert not re.findall(r"(?:fill|stroke): #", figures)


def test_whatever_the_words_are_they_stay_words(tmp_path):
    given = content(
        title=HOSTILE,
        data_set=HOSTILE,
        data={HOSTILE: HOSTILE},
        configuration={HOSTILE: [HOSTILE]},
        examples=[Example(HOSTILE, [HOSTILE], [Recommended(HOSTILE)])],
        commands=[HOSTILE],
        versions={HOSTILE: HOSTILE},
    )
    page = Page(written(tmp_path, given))
    assert not {tag for tag, _ in page.elements} & {"script", "img"}
    assert page.text_in("h1") == page.text_in("h3")[:1] == [HOSTILE]
    assert page.text_in("li") == [HOSTILE, HOSTILE]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_generated_data_are_named_wherever_results_stand(tmp_path):
    page = Page(written(tmp_path, content(generated=True)))
    assert page.text_in("title")[:1] == page.text_in("h1") == ["A model (generated data)"]
    assert "Generated data." in page.text_in("strong")
    assert [heading for heading in page.text_in("h2") if not heading.endswith(", generated data")] == [
        "How this was made"
    ]
    assert "generated" not in written(tmp_path, content())


def test_what_is_not_known_is_left_out(tmp_path):
    bare = ReportContent(title="Bare", data_set="toys", evaluation=evaluation())
    page = Page(written(tmp_path, bare))
    assert page.text_in("h2") == ["Search ways", "Pictures"]
    assert [tag for tag, _ in page.elements].count("svg") == 1
    no_metric = content(history=[{"epoch": 1.0, "loss": 3.0}, {"epoch": 2.0, "loss": 2.0}])
    assert not any("best, epoch" in text for text in Page(written(tmp_path, no_metric)).text_in("text"))


def test_the_same_content_makes_the_same_page(tmp_path):
    given = content()
    assert written(tmp_path, given) == written(tmp_path, given)


def test_without_matplotlib_the_extra_is_named_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (tmp_path / "report.html").write_text("the last one")
    with pytest.raises(MissingExtraError, match=r'a report with plots needs .* "hashgnn\[plots\]"'):
        write_report(tmp_path / "report.html", content())
    assert (tmp_path / "report.html").read_text() == "the last one"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match="could not be written"):
        write_report(tmp_path / "file" / "report.html", content())
