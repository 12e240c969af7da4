"""The page in a browser: what a user sees and hears, on a desk and on a phone."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from page_server import free_port, serving

pytestmark = pytest.mark.all

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# It would look for updates and the like by itself.
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
    # A microphone that hears beeps, and may be used.
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]
# A desk and a phone.
WIDTHS = [1280, 390]
PATIENCE = 60_000
SECONDS = 2.0


@dataclass
class Witness:
    """What a page said and whom it asked."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def watch(self, tab) -> None:
        tab.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("request", lambda request: self._note(urlsplit(request.url)))

    def _note(self, url) -> None:
        # Blobs and data are of the page itself.
        if url.scheme not in ("blob", "data"):
            self.hosts.add(url.netloc)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    pytest.importorskip("gradio", reason="needs the extra `demo`")
    api = pytest.importorskip("playwright.sync_api", reason="needs requirements-browser.txt")
    if not CHROMIUM:
        pytest.skip("there is no chromium on this machine")
    with api.sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield one
        one.close()


@pytest.fixture(scope="module")
def address(browser, model_folder, tmp_path_factory) -> Iterator[str]:
    temporary = tmp_path_factory.mktemp("temporary")
    with serving(model_folder, free_port(), temporary, "--max_minutes", "0.05") as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A recording of both channels at another rate than the model's, and one that is too long."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for name, seconds in {"call.wav": SECONDS, "long.wav": 4.0}.items():
        soundfile.write(folder / name, rng.standard_normal((int(22050 * seconds), 2)) / 8, 22050)
    return folder


@pytest.fixture(params=WIDTHS)
def tab(browser, address, request) -> Iterator:
    context = browser.new_context(viewport={"width": request.param, "height": 844})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.witness = Witness()
    page.witness.watch(page)
    page.goto(address)
    yield page
    context.close()


def ask(tab, path, title: str) -> None:
    tab.locator("input[type=file]").first.set_input_files(path)
    # Its name in the player says that it is there.
    tab.get_by_label("Play").first.wait_for()
    tab.get_by_label(title, exact=True).check()
    tab.get_by_role("button", name="Answer", exact=True).click()


def look(tab, path) -> None:
    """Take a picture, and see that nothing is wider than the screen and nobody else was asked."""
    tab.screenshot(path=path, full_page=True)
    wide, screen = tab.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen
    assert tab.witness.hosts == {urlsplit(tab.url).netloc}


def durations(tab, titles: list[str]) -> list[float]:
    """Seconds that the players of an answer have loaded."""
    players = [tab.get_by_test_id(f"audio-player-{title}") for title in titles]
    for player in players:
        player.wait_for()
        tab.wait_for_function("audio => audio.readyState > 0", arg=player.element_handle())
    return [player.evaluate("audio => audio.duration") for player in players]


def test_sources_can_be_heard_and_seen_beside_the_recording(tab, files, model, tmp_path):
    task = model.tasks["music"]
    ask(tab, files / "call.wav", task.title)
    titles = ["call.wav", *task.targets, "rest"]
    assert durations(tab, titles) == pytest.approx([SECONDS] * len(titles), abs=0.01)
    for title in titles:
        picture = tab.get_by_alt_text(f"wave and spectrogram of {title}", exact=True)
        picture.wait_for()
        width, height = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert (width, height) == (840, 520)
    assert tab.get_by_role("heading", name=task.title).is_visible()
    look(tab, tmp_path / "music.png")
    assert tab.witness.errors == []


def test_words_can_be_read_beside_the_recording(tab, files, model, tmp_path):
    task = model.tasks["asr"]
    ask(tab, files / "call.wav", task.title)
    assert durations(tab, ["call.wav"]) == pytest.approx([SECONDS], abs=0.01)
    want = model.transcribe(files / "call.wav")
    assert tab.get_by_test_id("textbox").input_value() == (want.text or "(no words)")
    assert want.words
    for row, word in enumerate(want.words):
        for column, text in enumerate([word.text, f"{word.start:.2f}", f"{word.end:.2f}"]):
            cell = tab.get_by_test_id(f"cell-{row}-{column}")
            cell.filter(has_text=text).wait_for()
    look(tab, tmp_path / "asr.png")
    assert tab.witness.errors == []


def test_a_recording_of_the_microphone_is_answered(tab, model, tmp_path):
    tab.get_by_label("Record audio").click()
    tab.get_by_role("button", name="Record", exact=True).click()
    tab.wait_for_timeout(1500)
    tab.get_by_role("button", name="Stop", exact=True).first.click()
    tab.get_by_label("Play").first.wait_for()
    tab.get_by_label(model.tasks["enh"].title, exact=True).check()
    tab.get_by_role("button", name="Answer", exact=True).click()
    (seconds,) = durations(tab, ["speech"])
    assert 0.5 < seconds < 3
    look(tab, tmp_path / "microphone.png")
    assert tab.witness.errors == []


def test_an_answer_takes_the_place_of_the_one_before(tab, files, model, tmp_path):
    ask(tab, files / "call.wav", model.tasks["music"].title)
    durations(tab, ["call.wav", "vocals"])
    tab.get_by_label(model.tasks["enh"].title, exact=True).check()
    tab.get_by_role("button", name="Answer", exact=True).click()
    assert durations(tab, ["call.wav", "speech", "rest"]) == pytest.approx([SECONDS] * 3, abs=0.01)
    assert tab.get_by_test_id("audio-player-vocals").count() == 0
    assert tab.get_by_test_id("audio-player-other").count() == 0
    look(tab, tmp_path / "enh.png")


def test_a_recording_that_is_too_long_is_told_in_one_line(tab, files, model, tmp_path):
    ask(tab, files / "call.wav", model.tasks["enh"].title)
    durations(tab, ["call.wav", "speech"])
    tab.get_by_label("Clear").first.click()
    ask(tab, files / "long.wav", model.tasks["enh"].title)
    tab.get_by_text("long.wav lasts more than 3 s, which are the most here.").wait_for()
    assert tab.get_by_text("Traceback").count() == 0
    # What was answered before is not left beside it.
    tab.get_by_test_id("audio-player-speech").wait_for(state="hidden")
    look(tab, tmp_path / "long.png")
