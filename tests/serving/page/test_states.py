"""The page where something is wrong, missing, slow or strange."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from tests.browser import SIZES, needs_chromium, widest
from tests.serving.page.visitor import answered, expect, finds, pick, search, start, starters

from hashgnn.state import save_state
from hashgnn.testing.states import random_state

pytestmark = needs_chromium

Serve = Callable[..., Any]
Visit = Callable[..., Any]


# --- what goes wrong ------------------------------------------------------------------------------------------


def test_a_refusal_is_shown_and_can_be_corrected(serve: Serve, visit: Visit) -> None:
    page = visit(serve(result_limit=10), refused=True)
    pick(page, "The Number 3")
    answered(page)
    page.get_by_label("Show").select_option("20")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Rows times k must be at most 10, got 1 times 20; send smaller batches.")
    expect(page.locator(".column[aria-busy]")).to_have_count(0)
    page.get_by_label("Show").select_option("5")
    expect(alert).to_be_hidden()
    expect(page.locator('.column[data-way="hamming"] li button')).to_have_count(5)


def test_an_unreachable_service_is_reported_and_retried(serve: Serve, visit: Visit) -> None:
    served = serve()
    page = visit(served, refused=True)
    pick(page, "The Number 3")
    answered(page)
    served.end()
    page.get_by_label("Show").select_option("5")
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
    served.begin()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator('.column[data-way="float"] li button')).to_have_count(5)
    expect(page.get_by_role("combobox", name="Search items")).to_be_focused()


def test_a_search_that_failed_is_made_again(serve: Serve, visit: Visit) -> None:
    page = visit(serve(), refused=True)
    start(page)
    page.route("**/v1/items?*", lambda route: route.abort())
    page.get_by_role("combobox", name="Search items").fill("evening")
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached.")
    page.unroute("**/v1/items?*")
    page.get_by_role("button", name="Try again").click()
    expect(finds(page).first).to_contain_text("Evening")


def test_an_answer_that_is_none_of_the_service_is_told(serve: Serve, visit: Visit) -> None:
    page = visit(serve(), refused=True)
    start(page)
    page.route("**/v1/encode", lambda route: route.fulfill(body="<p>A proxy says hello.</p>"))
    starters(page).first.click()
    expect(page.get_by_role("alert")).to_contain_text("Something other than this service answered.")
    expect(page.locator(".column li.none")).to_have_text(["No answer."] * 5)
    page.unroute("**/v1/encode")
    page.get_by_role("button", name="Try again").click()
    answered(page)


def test_a_page_whose_service_does_not_answer_can_begin_again(serve: Serve, visit: Visit) -> None:
    served = serve()
    page = visit(served, refused=True)
    page.route("**/v1/model", lambda route: route.fulfill(status=503, json={"detail": "the model is opened"}))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The model is opened.")
    expect(page.locator(".loading:visible")).to_have_count(0)
    page.unroute("**/v1/model")
    page.get_by_role("button", name="Try again").click()
    start(page)


# --- keys -----------------------------------------------------------------------------------------------------


def test_a_key_is_requested_where_one_is_needed(serve: Serve, visit: Visit) -> None:
    page = visit(serve(api_keys=("secret",)), refused=True)
    key = page.get_by_label("This service asks for an API key")
    expect(key).to_be_focused()
    expect(key).to_have_attribute("aria-invalid", "false")
    key.fill("wrong")
    key.press("Enter")
    expect(page.get_by_role("alert").get_by_text("This key was refused.")).to_be_visible()
    expect(key).to_be_focused()
    expect(key).to_have_attribute("aria-invalid", "true")
    key.fill(" secret ")  # pasted with spaces
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#version")).to_contain_text("v1")
    expect(page.get_by_role("combobox", name="Search items")).to_be_focused()
    pick(page, "The Number 3")
    answered(page)
    page.reload()
    start(page)  # the tab keeps the key


@pytest.mark.parametrize("wrong", ["ключ", "two words", "a\tb", "🔑"])
def test_a_key_that_no_header_can_hold_is_refused_too(serve: Serve, visit: Visit, wrong: str) -> None:
    page = visit(serve(api_keys=("secret",)), refused=True)
    key = page.get_by_label("This service asks for an API key")
    expect(key).to_be_focused()
    key.fill(wrong)
    key.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="This key was refused: a key has")).to_be_visible()
    key.fill("secret")
    key.press("Enter")
    start(page)


def test_a_key_that_is_taken_back_is_asked_for_again(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("shop: first-key-of-the-shop\n")
    page = visit(serve(api_keys_file=file), refused=True)
    page.get_by_label("This service asks for an API key").fill("first-key-of-the-shop")
    page.get_by_role("button", name="Use it").click()
    pick(page, "The Number 3")
    answered(page)
    file.write_text("shop: second-key-of-the-shop\n")
    told = page.get_by_text("This key was refused.")
    while not told.is_visible():  # the service looks at the file now and then
        for k in ("5", "10"):
            page.get_by_label("Show").select_option(k)
            page.wait_for_timeout(200)
    page.get_by_label("This service asks for an API key").fill("second-key-of-the-shop")
    page.get_by_role("button", name="Use it").click()
    answered(page)
    expect(page.locator("#chips button")).to_have_count(1)


def test_a_browser_that_keeps_nothing_can_use_a_key(serve: Serve, visit: Visit) -> None:
    page = visit(serve(api_keys=("secret",)), refused=True)
    page.add_init_script(
        "Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('no'); }})"
    )
    page.reload()
    page.get_by_label("This service asks for an API key").fill("secret")
    page.get_by_role("button", name="Use it").click()
    start(page)


# --- what answers hold ----------------------------------------------------------------------------------------

LONG = "A title that goes on " * 15
STRANGE = {
    "long": {"title": LONG},
    "one word": {"title": "x" * 300},
    "right to left": {"title": "كتاب الليل والنهار", "shelf": "رف"},
    "emoji": {"title": "🎬 A film 👩‍👩‍👧"},
    "markup": {"title": "<img src=x onerror=alert(1)><b>bold</b>"},
    "nothing known": None,
    "no title": {"genres": ["Drama", "War"], "price": 3.5},
    "empty title": {"title": " "},
    "other types": {"title": 1984, "flags": {"new": True}, "image": None},
}


@pytest.mark.parametrize("size", SIZES)
def test_titles_of_any_kind_are_shown_as_text(serve: Serve, visit: Visit, size: str) -> None:
    page = visit(serve(), viewport=SIZES[size])

    def changed(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        for item, metadata in zip(document["results"][0]["items"], STRANGE.values(), strict=False):
            item["metadata"] = metadata
        route.fulfill(response=answer, json=document)

    page.route("**/v1/recommend", changed)
    pick(page, "The Number 3")
    answered(page)
    rows = page.locator('.column[data-way="float"] li button')
    ids = rows.evaluate_all("buttons => buttons.map(button => JSON.parse(button.dataset.id))")
    titles = rows.locator(".title").all_text_contents()
    expected = [
        LONG,
        "x" * 300,
        "كتاب الليل والنهار",
        "🎬 A film 👩‍👩‍👧",
        "<img src=x onerror=alert(1)><b>bold</b>",
    ]
    assert titles[:5] == expected
    assert titles[5:9] == [ids[5], ids[6], ids[7], "1984"]
    assert rows.nth(6).locator(".more").text_content() == "Drama, War · 3.5"
    assert page.locator(".column img, .column b").count() == 0
    heights = rows.locator(".title").evaluate_all("titles => titles.map(title => title.clientHeight)")
    assert max(heights) < 60  # two lines
    direction = rows.nth(2).locator(".title").evaluate("title => getComputedStyle(title).direction")
    assert direction == "rtl"
    assert not widest(page)
    rows.first.click()  # as a chip a long title is cut
    expect(page.locator("#chips button")).to_have_count(2)
    assert not widest(page)


def test_lists_shorter_than_k_and_empty_ones_are_shown(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    left = {"hamming": 3, "float": 0}

    def shorter(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        row = document["results"][0]
        row["items"] = row["items"][: left.get(document["search"])]
        route.fulfill(response=answer, json=document)

    page.route("**/v1/recommend", shorter)
    pick(page, "The Number 3")
    expect(page.locator('.column[data-way="float"] li.none')).to_have_text("Nothing is left to recommend.")
    expect(page.locator('.column[data-way="hamming"] li button')).to_have_count(3)
    expect(page.locator('.column[data-way="hamming"] .shared')).to_have_text("0 of 3 as by float")
    expect(page.locator("#strip-list li")).to_have_count(4)
    page.get_by_label("Items of").select_option("float")
    expect(page.get_by_text("Codes show here once something is picked.")).to_be_visible()


def test_picking_the_last_item_of_a_list_goes_back_to_the_search(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)
    pick(page, "The Number 3")
    answered(page)

    def emptied(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        document["results"][0]["items"] = []
        route.fulfill(response=answer, json=document)

    page.route("**/v1/recommend", emptied)
    page.locator('.column[data-way="biased"] li button').last.click()
    expect(page.locator('.column[data-way="biased"] li.none')).to_have_text("Nothing is left to recommend.")
    expect(page.get_by_role("combobox", name="Search items")).to_be_focused()


def test_reasons_of_an_answer_are_shown(serve: Serve, visit: Visit) -> None:
    page = visit(serve(), refused=True)

    def explained(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        document["results"][0]["items"][0]["reasons"] = [
            {"id": "i3", "metadata": {"title": "The Number 3"}, "share": 0.414},
            {"id": "i8", "metadata": {"title": "<b>Evening</b>"}},
            {"id": "i9", "metadata": None, "share": -0.2},  # speaks against it
        ]
        route.fulfill(response=answer, json=document)

    page.route("**/v1/recommend", explained)
    page.route("**/v1/explain", lambda route: route.abort())
    pick(page, "The Number 3")
    answered(page)
    rows = page.locator('.column[data-way="hamming"] li')
    expect(rows.first.locator(".because")).to_have_text("because of The Number 3 (41 %), <b>Evening</b>")
    assert rows.locator(".because").count() == 1


def test_picks_that_the_model_does_not_know_give_popular_items_and_say_so(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)

    def unknown(route: Any) -> None:
        route.continue_(post_data=str(route.request.post_data).replace('"i3"', '"nobody"'))

    page.route("**/v1/recommend", unknown)
    page.route("**/v1/encode", unknown)
    pick(page, "The Number 3")
    answered(page)
    expect(page.locator("#lists-note")).to_contain_text("the lists are the most popular items")
    expect(page.get_by_text("Codes show here once something is picked.")).to_be_visible()


def test_that_nothing_was_held_out_is_no_fault(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)

    def without(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "metrics": {}})

    page.route("**/v1/model", without)
    page.reload()
    start(page)
    note = page.locator("#cards .note").filter(has_text="no part was held out to validate")
    expect(note).to_have_text(
        "Trained on all interactions: no part was held out to validate. hashgnn evaluate measures quality on a file of others."
    )


def test_a_version_with_other_search_ways_gets_other_lists(serve: Serve, visit: Visit) -> None:
    page = visit(serve(), refused=True)
    start(page)
    pick(page, "The Number 3")
    answered(page)

    def other(route: Any) -> None:
        answer = route.fetch()
        ways = ["hamming", "float"]
        route.fulfill(response=answer, json={**answer.json(), "version": "v2", "search_ways": ways})

    def refuses(route: Any) -> None:
        if '"biased"' in str(route.request.post_data):
            route.fulfill(status=422, json={"detail": "search must be one of hamming, float"})
        else:
            route.continue_()

    page.route("**/v1/model", other)
    page.route("**/v1/recommend", refuses)
    pick(page, "Evening 8")
    expect(page.get_by_role("status")).to_contain_text("recommendations by 2 search ways")
    expect(page.locator(".column h3")).to_have_text(["hamming", "float"])
    expect(page.locator("#codes-of option")).to_have_text(["hamming", "float"])
    expect(page.get_by_role("alert")).to_be_hidden()


# --- the picker -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model of 10,000 items and their titles."""
    n, folder = 10_000, tmp_path_factory.mktemp("large")
    save_state(random_state(20, n, density=0.001, rng=0), folder / "v1")
    titles = [f"Volume {place}" for place in range(n)]
    rows = {"movie": [f"i{place}" for place in range(n)], "title": titles}
    pyarrow.parquet.write_table(pa.table(rows), folder / "items.parquet")
    return folder / "v1", folder / "items.parquet"


def test_one_of_ten_thousand_items_is_found_by_text(
    serve: Serve, visit: Visit, large: tuple[Path, Path]
) -> None:
    model, items = large
    page = visit(serve(model=model, items=items))
    expect(page.locator("#version")).to_contain_text("10,000 items")
    expect(search(page, "volume 77")).to_have_count(12)
    expect(page.get_by_text("These are the first 12. More letters narrow them down.")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("The first 12 items are shown")
    expect(search(page, "9999 volume")).to_have_count(1)
    expect(page.locator("#nothing")).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("1 item found")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove Volume 9999", exact=True)).to_be_visible()
    answered(page)
    page.get_by_label("Show").select_option("50")
    expect(page.locator('.column[data-way="float"] li button')).to_have_count(50)


def test_a_slow_search_says_that_it_goes_on(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)
    held: list[Any] = []
    page.route("**/v1/items?*", lambda route: held.append(route))
    page.get_by_role("combobox", name="Search items").fill("evening")
    expect(page.get_by_text("Searching …")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Searching …")).to_be_hidden()
    page.unroute("**/v1/items?*")
    expect(search(page, "evening 8").first).to_have_text("Evening 81998")


def test_lists_show_that_answers_are_on_their_way(serve: Serve, visit: Visit) -> None:
    page = visit(serve())
    start(page)
    held: list[Any] = []
    page.route("**/v1/recommend", lambda route: route.continue_() if held else held.append(route))
    pick(page, "The Number 3")
    expect(page.locator('.column[aria-busy="true"]')).to_have_count(5)
    expect(page.locator(".column li.loading")).to_have_count(50)
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    answered(page)
    expect(page.locator(".column[aria-busy], .column li.loading")).to_have_count(0)
