"""The page in Debian's Chromium: what a visitor does, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from tests.browser import PATIENCE, SIZES, needs_chromium, widest
from tests.serving.page.visitor import (
    WAYS,
    answered,
    expect,
    finds,
    ids_of,
    pick,
    search,
    start,
    starters,
    timed,
)

pytestmark = needs_chromium


def test_picks_give_five_lists_whose_differences_are_marked(
    serve: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    served = serve()
    page = visit(served)
    expect(page.get_by_text("Nothing is picked yet.")).to_be_visible()
    expect(search(page, "19 number").first).to_have_text("The Number 192009")  # title and year
    pick(page, "The Number 3")
    pick(page, "Evening 8")
    answered(page)

    lists = {}
    for way in WAYS:
        (row,) = served.post("/v1/recommend", histories=[["i3", "i8"]], k=10, search=way)
        lists[way] = [item["id"] for item in row["items"]]
        assert ids_of(page, way) == [f'"{item}"' for item in lists[way]]
        assert " ms" in page.locator(f'.column[data-way="{way}"] .time').inner_text()
    for way in WAYS[:-1]:
        column = page.locator(f'.column[data-way="{way}"]')
        absent = [item for item in lists[way] if item not in lists["float"]]
        assert column.locator(".absent").count() == column.locator("li.differs").count() == len(absent)
        expect(column.locator(".shared")).to_have_text(f"{10 - len(absent)} of 10 as by float")
        moved = [
            item for rank, item in enumerate(lists[way]) if item in lists["float"]
            and lists["float"].index(item) != rank
        ]  # fmt: skip
        assert column.locator(".moved").count() == len(moved)

    page.locator('.column[data-way="hamming"]').get_by_label("compare with this").check()
    shared = len(set(lists["hamming"]) & set(lists["float"]))
    expect(page.locator('.column[data-way="float"] .shared')).to_have_text(f"{shared} of 10 as by hamming")

    page.locator('.column[data-way="hamming"] li button').first.click()
    answered(page)
    assert page.locator("#chips button").count() == 3
    page.get_by_role("button", name="Clear all").click()
    expect(page.get_by_text("Nothing is picked yet.")).to_be_visible()
    expect(page.locator("#strips")).to_be_hidden()


def test_strips_show_the_bits_that_differ(serve: Callable[..., Any], visit: Callable[..., Any]) -> None:
    served = serve()
    page = visit(served)
    pick(page, "The Number 3")
    answered(page)
    (row,) = served.post("/v1/recommend", histories=[["i3"]], k=10, search="hamming")
    (query,) = served.post("/v1/encode", histories=[["i3"]])
    found = served.post("/v1/encode", items=[item["id"] for item in row["items"]])
    own = np.frombuffer(bytes.fromhex(query["code"]), np.uint8)
    distances = [
        int(np.bitwise_count(np.frombuffer(bytes.fromhex(one["code"]), np.uint8) ^ own).sum())
        for one in found
    ]
    strips = page.locator("#strip-list li:not(.own)")
    assert strips.locator("strong").all_inner_texts() == [str(distance) for distance in distances]
    assert distances == sorted(distances)

    def drawn() -> list[int]:
        # A cell is one subpath of a path.
        count = "ms => ms.map(m => [...m.querySelectorAll('path.differs')].map(p => p.getAttribute('d').split('z').length - 1).reduce((a, b) => a + b, 0))"
        return list(strips.evaluate_all(count))

    assert drawn() == distances
    labels = [strips.nth(place).get_by_role("img").get_attribute("aria-label") for place in range(10)]
    assert labels == [f"{distance} of 32 bits differ" for distance in distances]
    page.get_by_label("Differing bits first").check()
    assert drawn() == distances
    page.get_by_label("Items of").select_option("float")
    (by_float,) = served.post("/v1/recommend", histories=[["i3"]], k=1, search="float")
    title = (by_float["items"][0]["metadata"] or {"title": by_float["items"][0]["id"]})["title"]
    expect(strips.first.locator(".title")).to_have_text(title)


def test_a_row_says_which_picks_it_is_there_because_of(
    serve: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    served = serve()
    page = visit(served)
    pick(page, "The Number 3")
    pick(page, "Evening 8")
    answered(page)
    names = {"i3": "The Number 3", "i8": "Evening 8"}
    for way in ("hamming", "float"):
        body = {"histories": [["i3", "i8"]], "k": 10, "search": way, "explain": 3}
        (row,) = served.post("/v1/recommend", **body)
        for rank, item in enumerate(row["items"]):
            said = [
                f"{names[reason['id']]} ({round(100 * reason['share'])} %)"
                for reason in item["reasons"]
                if reason["share"] >= 0
            ]
            line = page.locator(f'.column[data-way="{way}"] ol > li').nth(rank).locator(".because")
            if said:
                expect(line).to_have_text(f"because of {', '.join(said)}")
            else:
                expect(line).to_have_count(0)


def test_the_model_card_says_what_answers(serve: Callable[..., Any], visit: Callable[..., Any]) -> None:
    served = serve()
    model = httpx.get(served.url + "/v1/model", timeout=PATIENCE / 1000).json()
    page = visit(served)
    card = page.locator("#cards")
    expect(card).to_contain_text(model["checksum"][:12])
    expect(page.locator("#version")).to_have_text("v1 · 30 items · 32 bits")
    for words in ("recall@20, validation", "0.5", "32 bits and an item bias", "Mean entropy"):
        expect(card).to_contain_text(words)
    health = model["code_health"]["item_codes"]
    row = card.get_by_role("row", name="Dead bits")
    expect(row.get_by_role("cell").first).to_have_text(str(health["dead_bits"]))
    assert len(model["bit_balance"]["item_codes"]) == 32
    assert np.mean(model["bit_balance"]["item_codes"]) == pytest.approx(health["mean_balance"], abs=1e-4)
    expect(card.get_by_role("img", name="Share of item codes")).to_be_visible()


def test_a_search_that_finds_nothing_says_so(serve: Callable[..., Any], visit: Callable[..., Any]) -> None:
    page = visit(serve())
    search(page, "no such title")
    expect(page.locator("#nothing")).to_have_text("Nothing is called “no such title”. Try fewer letters.")
    expect(page.get_by_role("status")).to_contain_text("Nothing is called")
    page.keyboard.press("Enter")
    expect(page.locator("#picked")).to_be_hidden()
    search(page, "<b>bold</b>")  # what is typed is text
    expect(page.locator("#nothing")).to_contain_text("<b>bold</b>")
    expect(search(page, "i29")).to_have_count(1)  # an item without a title is found by its id
    page.keyboard.press("Escape")
    expect(finds(page)).to_have_count(0)


def test_everything_can_be_done_from_the_keyboard(
    serve: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    page = visit(serve())
    start(page)
    field = page.get_by_role("combobox", name="Search items")
    focused = page.locator(":focus")

    page.keyboard.press("Tab")
    expect(focused).to_have_text("Skip to the recommendations")
    for name in ("Lists", "Codes", "Model"):
        page.keyboard.press("Tab")
        expect(focused).to_have_text(name)
    page.keyboard.press("Tab")
    expect(field).to_be_focused()
    page.keyboard.type("evening")
    expect(finds(page).first).to_be_visible()
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = finds(page).nth(1)
    expect(second).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", str(second.get_attribute("id")))
    title = second.locator(".title").inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=f"Remove {title}", exact=True)).to_be_visible()
    answered(page)
    expect(field).to_be_focused()
    expect(field).to_have_value("")

    page.keyboard.press("Tab")
    expect(starters(page).first).to_be_focused()  # one stop for all of them; arrow keys go on
    page.keyboard.press("ArrowRight")
    expect(starters(page).nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(starters(page).last).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(starters(page).last).to_be_focused()
    page.keyboard.press("Home")
    expect(starters(page).first).to_be_focused()
    stops = []
    while not stops or stops[-1] != "gather":
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate(
                "() => { const e = document.activeElement, list = e.closest('[data-way]');"
                " return e.id || (list ? `${e.tagName} ${list.dataset.way}` : e.closest('ul')?.id ?? e.tagName); }"
            )
        )
        outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", stops[-1]
    # One stop a list; of the radio buttons the chosen one.
    lists = [f"BUTTON {way}" for way in WAYS]
    lists.insert(4, "INPUT float")
    assert stops == ["chips", "clear", "k", "filter", "BUTTON", *lists, "codes-of", "gather"]

    page.keyboard.press("Space")
    expect(page.get_by_label("Differing bits first")).to_be_checked()
    page.locator('.column[data-way="hamming"] li button').first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator('.column[data-way="biased"] li button').nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#chips button")).to_have_count(2)
    answered(page)
    # The list goes on at the same rank.
    expect(page.locator('.column[data-way="biased"] li button').nth(1)).to_be_focused()
    page.locator("#chips button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chips button")).to_have_count(1)
    expect(page.locator("#chips button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(field).to_be_focused()
    expect(page.get_by_text("Nothing is picked yet.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    serve: Callable[..., Any], visit: Callable[..., Any], scheme: str
) -> None:
    page = visit(serve(), viewport=SIZES["phone"], color_scheme=scheme, has_touch=True)
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(247, 246, 243)", "dark": "rgb(19, 19, 24)"}[scheme]
    start(page)
    assert not widest(page)
    search(page, "a title that is much too long for such a narrow screen" * 3)
    expect(page.locator("#nothing")).to_be_visible()
    assert not widest(page)
    pick(page, "The Number 3")
    answered(page)
    assert not widest(page)
    last = page.locator('.column[data-way="float"]')
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    assert not widest(page)


def test_a_phone_says_which_list_is_on(serve: Callable[..., Any], visit: Callable[..., Any]) -> None:
    page = visit(serve(), viewport=SIZES["phone"], has_touch=True)
    start(page)
    names = page.get_by_role("group", name="Go to the list of a search way")
    expect(names).to_be_hidden()
    pick(page, "The Number 3")
    answered(page)
    on = names.locator("[aria-current]")
    expect(on).to_have_text("hamming")
    page.locator("#columns li").first.scroll_into_view_if_needed()
    for way in ("asymmetric", "float", "biased"):
        names.get_by_role("button", name=way).click()
        expect(on).to_have_text(way)
        expect(page.get_by_role("heading", name=way, exact=True)).to_be_in_viewport()
    page.locator("#columns").evaluate("columns => columns.scrollTo({left: 9999})")
    expect(on).to_have_text("float")
    # It stays in sight while a list is read.
    page.locator('.column[data-way="float"] li').last.scroll_into_view_if_needed()
    expect(names).to_be_in_viewport()
    page.set_viewport_size(SIZES["desktop"])
    expect(names).to_be_hidden()  # all lists are in sight
    page.get_by_role("button", name="Clear all").click()
    page.set_viewport_size(SIZES["phone"])
    expect(names).to_be_hidden()


def test_popular_items_stay_in_reach(serve: Callable[..., Any], visit: Callable[..., Any]) -> None:
    page = visit(serve())
    start(page)
    title = starters(page).first.get_attribute("aria-label")
    starters(page).first.click()
    expect(page.get_by_role("button", name=f"Remove {title}", exact=True)).to_be_visible()
    expect(starters(page).first).to_have_attribute("aria-pressed", "true")
    expect(starters(page).first).to_be_focused()
    starters(page).nth(1).click()
    expect(page.locator("#chips button")).to_have_count(2)
    answered(page)
    starters(page).first.click()  # the same button takes it away
    expect(page.locator("#chips button")).to_have_count(1)
    expect(starters(page).first).to_have_attribute("aria-pressed", "false")
    page.locator("#chips button").click()
    expect(starters(page).nth(1)).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_text("Nothing is picked yet.")).to_be_visible()


def test_rows_line_up_across_the_lists(serve: Callable[..., Any], visit: Callable[..., Any]) -> None:
    page = visit(serve())
    pick(page, "The Number 3")
    pick(page, "Evening 8")
    answered(page)
    tops = "lists => lists.map(list => [...list.children].map(row => Math.round(row.getBoundingClientRect().top)))"
    first, *others = page.locator(".column ol").evaluate_all(tops)
    assert len(first) == 10
    assert others == [first] * 4
    assert len(set(first)) == 10


def test_times_are_medians_of_several_asks(serve: Callable[..., Any], visit: Callable[..., Any]) -> None:
    page = visit(serve())
    told: dict[str, list[float]] = {way: [] for way in WAYS}

    def slow(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        times = told[document["search"]]
        document["milliseconds"] = [90.0, 0.25, 0.75, 0.5, 40.0][len(times) % 5]
        times.append(document["milliseconds"])
        route.fulfill(response=answer, json=document)

    page.route("**/v1/recommend", slow)
    pick(page, "The Number 3")
    timed(page)
    assert all(len(times) == 5 for times in told.values())
    assert page.locator(".time").all_inner_texts() == ["0.75 ms"] * 5


def test_a_limit_of_requests_ends_the_timing_and_nothing_else(
    serve: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    page = visit(serve(), refused=True)
    n_asked = 0

    def limited(route: Any) -> None:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 8:
            route.fulfill(status=429, json={"detail": "too many requests"})
        else:
            route.continue_()

    page.route("**/v1/recommend", limited)
    pick(page, "The Number 3")
    answered(page)
    while n_asked < 8:
        page.wait_for_timeout(50)
    expect(page.locator(".time").first).to_contain_text("ms")
    expect(page.get_by_role("alert")).to_be_hidden()
    pick(page, "Evening 8")
    answered(page)
    expect(page.locator("#chips button")).to_have_count(2)
    page.wait_for_timeout(1000)
    assert n_asked == 13  # five more, and no round of times after them
