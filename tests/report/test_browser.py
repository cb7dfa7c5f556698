"""The page in a real browser, driven over the DevTools protocol through a pipe; skipped where there is no Chromium."""

import json
import os
import shutil
import subprocess

import pytest

from segxfer3d.report.page import write_report
from tests.report.made_studies import NASTY, write_study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]


class Browser:
    """One page of a headless Chromium: commands and answers are JSON, each ended by a zero byte."""

    def __init__(self, folder):
        (command_out, self._commands), (self._answers, answer_in) = os.pipe(), os.pipe()

        def use_pipes():  # Chromium reads from 3 and writes to 4
            ends = os.dup(command_out), os.dup(answer_in)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={folder}",
        ]
        self.process = subprocess.Popen(
            [CHROMIUM, *options, "about:blank"], preexec_fn=use_pipes, close_fds=False, stderr=subprocess.DEVNULL
        )
        os.close(command_out)
        os.close(answer_in)
        self._number, self._buffer, self.session, self.asked, self.errors = 0, b"", None, [], []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self):
        while b"\0" not in self._buffer:
            self._buffer += os.read(self._answers, 1 << 16) or pytest.fail("the browser ended")
        text, self._buffer = self._buffer.split(b"\0", 1)
        answer = json.loads(text)
        if answer.get("method") == "Network.requestWillBeSent":
            self.asked.append(answer["params"]["request"]["url"])
        if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.errors.append(answer["params"])
        return answer

    def open(self, address):
        self.do("Page.navigate", url=address)
        self.value("new Promise(r => document.readyState === 'complete' ? r(1) : addEventListener('load', () => r(1)))")

    def value(self, expression):
        answer = self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def shown(self, number):
        """Wait until this slice is drawn; gives what the canvas says of itself."""
        wait = f"const c = document.getElementById('viewer-canvas'); while (c.dataset.slice !== '{number}')"
        script = f"(async () => {{ {wait} await new Promise(r => setTimeout(r, 20)); return {{...c.dataset}}; }})()"
        return self.value(script)

    def key(self, name):
        self.value(
            "document.getElementById('viewer-canvas').dispatchEvent("
            f"new KeyboardEvent('keydown', {{key: '{name}', bubbles: true, cancelable: true}}))"
        )

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        os.close(self._commands)
        os.close(self._answers)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, seeds=2, budgets=(5,), case_names=[NASTY, *(f"case{i}" for i in range(9))])
    return write_report(folder, folder.parent / "page.html").page


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.open(page.resolve().as_uri())
    yield browser
    browser.close()


def test_the_table_is_read_and_nothing_is_asked_for(browser, page):
    cells = "[...document.querySelectorAll('.result table')[0].rows].map(r => [...r.cells].map(c => c.textContent))"
    head, *rows = browser.value(cells)
    assert head[:4] == ["arm", "scenario", "pretext", "dice"]
    assert [row[0] for row in rows] == ["random", "encoder", "encoder+decoder"]
    assert {address.split(":")[0] for address in browser.asked} <= {"file", "data", "about"}
    assert [a for a in browser.asked if a.startswith("file:")] == [page.resolve().as_uri()]
    assert browser.errors == []


def test_pictures_are_loaded_and_the_page_is_not_wider_than_its_window(browser):
    assert browser.value("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.value("document.documentElement.scrollWidth <= window.innerWidth")


def test_slices_are_scrolled_by_slider_keys_and_address(browser):
    start = int(browser.value("document.getElementById('viewer-slice').value"))
    first = browser.shown(start)
    assert int(first["truth"]) > 0
    assert int(first["prediction"]) > 0
    browser.value(
        "(s => { s.value = 0; s.dispatchEvent(new Event('input')); })(document.getElementById('viewer-slice'))"
    )
    assert browser.shown(0)["truth"] == "0"  # below the ball
    browser.key("PageUp")
    assert int(browser.shown(10)["truth"]) > 0
    browser.key("ArrowDown")
    browser.shown(9)
    assert browser.value("document.getElementById('viewer-words').textContent") == "slice 10 of 20 (1.4 mm apart)"
    browser.value("location.hash = 'case=1&slice=7'")
    browser.shown(7)
    assert browser.value("document.getElementById('viewer-case').value") == "1"
    assert browser.value("[...document.querySelectorAll('.mark')].map(m => m.textContent)") == ["R", "L"]


def test_the_picture_is_the_slice_as_radiologists_see_it(browser):
    """The prediction is shifted to the patient's right, which is image left; the ball lies behind the middle: below."""
    browser.value("location.hash = 'case=2&slice=10'")
    browser.shown(10)
    pixels = """(() => {
        const c = document.getElementById('viewer-canvas'), w = c.width, h = c.height;
        const d = c.getContext('2d').getImageData(0, 0, w, h).data;
        const mean = test => { let x = 0, y = 0, n = 0;
            for (let i = 0; i < d.length; i += 4) if (test(d[i], d[i + 1], d[i + 2])) {
                n++; x += (i / 4) % w; y += Math.floor(i / 4 / w); }
            return [x / n / w, y / n / h]; };
        return [mean((r, g, b) => b > r + 80), mean((r, g, b) => r > b + 80)]; })()"""
    truth, prediction = browser.value(pixels)
    assert prediction[0] < truth[0] - 0.01
    assert truth[1] > 0.53


def test_names_from_data_do_not_act(browser):
    options = browser.value("[...document.getElementById('viewer-case').options].map(o => o.textContent).join()")
    assert "case" in options
    assert browser.value("document.querySelectorAll('script').length") == 2
    browser.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit = 1\">')")
    assert browser.value("new Promise(r => setTimeout(() => r(window.hit === undefined), 300))")
