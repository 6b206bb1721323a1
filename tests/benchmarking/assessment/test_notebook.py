"""What a notebook shows: in a browser, in the colours of light and dark notebooks, narrow and wide."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from tests.browser import PATIENCE, SCHEMES, SIZES, launched, needs_chromium, violations, widest

import hashgnn as hg
from hashgnn.benchmarking.assessment import assess, report_content
from hashgnn.checking import check_model
from hashgnn.data import Interactions
from hashgnn.testing.states import random_state

GROUNDS = {"light": ("#ffffff", "#111111"), "dark": ("#111111", "#e0e0e0")}
HOSTILE = "<script>alert(1)</script><b>x"


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """One of each kind of object that a notebook shows."""
    users = [HOSTILE, *(f"u{n}" for n in range(1, 20))]
    model = hg.HashGNN.from_state(random_state(users, 30))
    state = model.state_
    free = np.argwhere(state.seen.toarray() == 0)
    rows = free[np.sort(np.random.default_rng(0).choice(len(free), 200, replace=False))]
    test = Interactions(state.users.ids, state.items.ids, rows[:, 0], rows[:, 1])
    metrics = ["recall@5", "ndcg@5"]
    found = assess(
        model, test, baselines=["popularity", "ease"], n_bootstrap=50, metrics=metrics, progress=False
    )
    folder = tmp_path_factory.mktemp("notebook")
    model.save(folder / "v1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checked = check_model(folder / "v1", against=folder / "v1")
    return {
        "evaluation": found.result,
        "assessment": found,
        "recommendations": model.recommend(users[:12], k=12),
        "similar": model.similar_items(["i1", "i2"], k=3),
        "model": model,
        "unfitted": hg.HashGNN(n_bits=64),
        "check": checked,
        "report": report_content(model, test, found, title="A <b>model</b>"),
    }


def test_every_object_has_one_and_escapes_what_it_holds(objects):
    for name, one in objects.items():
        html = one._repr_html_()
        assert html.startswith('<div class="hashgnn"><style>'), name
        assert HOSTILE not in html, name
        assert "<b>x" not in html, name
    assert "&lt;script&gt;" in objects["recommendations"]._repr_html_()


def test_recommendations_stand_side_by_side(objects):
    found = objects["recommendations"]
    html = found._repr_html_()
    assert html.count('<th scope="col">') == 1 + 8
    assert html.count('<th scope="row">') == 10
    best = [row[0] for row in found.lists()[:8]]
    assert '<th scope="row">1</th>' + "".join(f"<td>{item}</td>" for item in best) in html
    assert "and 4 more of user_id, lower ranks" in html
    similar = objects["similar"]._repr_html_()
    assert "and " not in similar.split("</table>")[1]


def test_no_recommendation_is_told(objects):
    model = objects["model"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nothing = model.recommend(["u1"], k=3, allow=[])
    assert "no item_id for 1 of user_id" in nothing._repr_html_()


def test_a_model_shows_what_it_is(objects):
    html = objects["model"]._repr_html_()
    for name, value in (("users", "20"), ("items", "30"), ("code", "32 bits and an item bias")):
        assert f'<th scope="row">{name}</th><td>{value}</td>' in html
    assert f'<th scope="row">float</th><td>{objects["model"].bytes_per_item("float"):,.0f}</td>' in html
    assert '<th scope="row">code</th><td>64 bits and an item bias</td>' in objects["unfitted"]._repr_html_()
    assert "not fitted" in objects["unfitted"]._repr_html_()


def test_a_report_is_shown_in_a_frame_that_runs_nothing(objects):
    html = objects["report"]._repr_html_()
    assert html.count("<iframe ") == 1
    assert 'sandbox=""' in html
    assert 'title="Report: A &lt;b&gt;model&lt;/b&gt;"' in html


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@needs_chromium
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_a_notebook_shows_all_of_it_to_everybody(objects, browser, tmp_path, size, scheme):
    ground, ink = GROUNDS[scheme]
    parts = "".join(f"<section><h2>{name}</h2>{one._repr_html_()}</section>" for name, one in objects.items())
    path = tmp_path / "notebook.html"
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A notebook</title>'
    look = f"<style>body {{ background: {ground}; color: {ink}; font: 14px sans-serif; }}</style>"
    path.write_text(f"{head}{look}<body>{parts}</body></html>", encoding="utf-8")
    page = browser.new_page(viewport=SIZES[size], color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    page.goto(path.as_uri())
    assert violations(page) == []
    assert not widest(page)
    frame = page.frame_locator("iframe")
    assert frame.locator("h1").inner_text() == "A <b>model</b>"
    assert frame.locator("svg").count() >= 3
    page.close()
