"""The page in Debian's Chromium: what a visitor does, by mouse and by keyboard, and what goes wrong."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from hashgnn.serving import ServiceSettings, create_app
from hashgnn.serving.process.server import listen

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
PATIENCE = 60_000  # ms that anything may take on a machine that does other things too
WAYS = ["hamming", "biased", "asymmetric", "hierarchical", "float"]
REFUSED = "Failed to load resource"  # the browser's own note of an answer that is an error

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the path; on Debian: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


class Served:
    """A service in a thread of this process, which can be ended and begun again on its port."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings, self._port = settings, 0
        self.begin()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def begin(self) -> None:
        self._listening = listen("127.0.0.1", self._port)
        self._port = self._listening.getsockname()[1]
        app = create_app(self._settings)
        config = uvicorn.Config(app, ws="none", log_config=None, timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listening]})
        self._thread.start()

    def end(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listening.close()

    def post(self, path: str, **body: Any) -> Any:
        answer = httpx.post(self.url + path, json=body, timeout=PATIENCE / 1000)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]


@pytest.fixture
def serve(model_folder: Path, titles: Path) -> Iterator[Callable[..., Served]]:
    with contextlib.ExitStack() as stack:

        def started(**options: Any) -> Served:
            settings = {"items": titles, "item_id": "movie", "watch": 0, "log_requests": False, **options}
            served = Served(ServiceSettings(model=model_folder, **settings))
            stack.callback(served.end)
            return served

        yield started


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end no script has failed and no other host was contacted."""
    with contextlib.ExitStack() as stack:

        def opened(served: Served, *, refused: bool = False, **options: Any) -> Any:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            wrong: list[str] = []
            requested: set[str] = set()

            def check() -> None:
                faults = [text for text in wrong if not (refused and text.startswith(REFUSED))]
                assert faults == []
                assert {url for url in requested if not url.startswith((served.url, "data:"))} == set()

            stack.callback(check)
            page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(said.text))
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda request: requested.add(request.url))
            page.goto(served.url)
            return page

        yield opened


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE)
    yield
    expect.set_options(timeout=5_000)


def search(page: Any, query: str) -> Any:
    """Type a query and return the options found."""
    page.get_by_role("combobox", name="Search items").fill(query)
    return finds(page)


def finds(page: Any) -> Any:
    return page.get_by_role("listbox", name="Items found").get_by_role("option")


def pick(page: Any, title: str) -> None:
    search(page, title)
    finds(page).filter(has_text=title).first.click()
    expect(page.get_by_role("button", name=f"Remove {title}", exact=True)).to_be_visible()


def ids_of(page: Any, way: str) -> list[str]:
    """Return the ids in a list, as JSON text, once the answers are shown."""
    column = page.locator(f'.column[data-way="{way}"]')
    expect(column).not_to_have_attribute("aria-busy", "true")
    expect(column.locator("li button").first).to_be_visible()
    return [str(button.get_attribute("data-id")) for button in column.locator("li button").all()]


def answered(page: Any) -> None:
    """Wait until lists and codes of the last change are shown."""
    expect(page.get_by_role("status")).to_contain_text("recommendations by 5 search ways")


def test_picks_give_five_lists_whose_differences_are_marked(
    serve: Callable[..., Served], visit: Callable[..., Any]
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


def test_strips_show_the_bits_that_differ(serve: Callable[..., Served], visit: Callable[..., Any]) -> None:
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
    serve: Callable[..., Served], visit: Callable[..., Any]
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


def test_the_model_card_says_what_answers(serve: Callable[..., Served], visit: Callable[..., Any]) -> None:
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


def test_a_search_that_finds_nothing_says_so(serve: Callable[..., Served], visit: Callable[..., Any]) -> None:
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


def test_a_refusal_is_shown_and_can_be_corrected(
    serve: Callable[..., Served], visit: Callable[..., Any]
) -> None:
    page = visit(serve(result_limit=10), refused=True)
    pick(page, "The Number 3")
    answered(page)
    page.get_by_label("Show").select_option("20")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Rows times k must be at most 10, got 1 times 20; send smaller batches.")
    page.get_by_label("Show").select_option("5")
    expect(alert).to_be_hidden()
    assert len(ids_of(page, "hamming")) == 5


def test_an_unreachable_service_is_reported_and_retried(
    serve: Callable[..., Served], visit: Callable[..., Any]
) -> None:
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


def test_a_key_is_requested_where_one_is_needed(
    serve: Callable[..., Served], visit: Callable[..., Any]
) -> None:
    page = visit(serve(api_keys=("secret",)), refused=True)
    key = page.get_by_label("This service asks for an API key")
    expect(key).to_be_focused()
    key.fill("wrong")
    key.press("Enter")
    expect(page.get_by_text("This key was refused.")).to_be_visible()
    expect(key).to_be_focused()
    key.fill("secret")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#version")).to_contain_text("v1")
    pick(page, "The Number 3")
    answered(page)


def test_everything_can_be_done_from_the_keyboard(
    serve: Callable[..., Served], visit: Callable[..., Any]
) -> None:
    page = visit(serve())
    expect(page.locator("#starters button")).to_have_count(8)
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
    assert stops == ["chips", "clear", "k", *lists, "codes-of", "gather"]

    page.keyboard.press("Space")
    expect(page.get_by_label("Differing bits first")).to_be_checked()
    page.locator('.column[data-way="hamming"] li button').first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator('.column[data-way="biased"] li button').nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    answered(page)
    expect(page.locator("#chips button")).to_have_count(2)
    expect(field).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#chips button")).to_have_count(1)
    expect(page.locator("#chips button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(field).to_be_focused()
    expect(page.get_by_text("Nothing is picked yet.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    serve: Callable[..., Served], visit: Callable[..., Any], scheme: str
) -> None:
    page = visit(serve(), viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(247, 246, 243)", "dark": "rgb(19, 19, 24)"}[scheme]

    def fits() -> bool:
        return bool(page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"))

    expect(page.locator("#starters button")).to_have_count(8)
    assert fits()
    search(page, "a title that is much too long for such a narrow screen" * 3)
    expect(page.locator("#nothing")).to_be_visible()
    assert fits()
    pick(page, "The Number 3")
    answered(page)
    assert fits()
    last = page.locator('.column[data-way="float"]')
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    assert fits()
