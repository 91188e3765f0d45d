"""HTML reports: self-contained and valid pages, also checked in a browser if available.

The browser tests need Chromium and its driver.
"""

import base64
import io
import json
import re
import shutil
import struct
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from gan_jax.cli import app
from gan_jax.core.errors import UserError
from gan_jax.reporting.html import collect, media, page
from gan_jax.runs import metrics_log

pytestmark = pytest.mark.integration

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Collects the elements and texts of a page, and checks that all elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]


@pytest.fixture(scope="module")
def runs(trained_run, tmp_path_factory):
    """Run folders: a run, a population with other settings and scores, audio and text."""
    root = tmp_path_factory.mktemp("runs")
    names = {"one": "labels", "many": "population", "sounds": "sounds", "texts": "texts"}
    for folder_name, name in names.items():
        shutil.copytree(trained_run(name), root / folder_name)
    card = {"metric": "frechet", "features": "pixels", "n_fake": 9, "n_real": 8, "step": 8}
    card |= {"real": "digits train", "weights": "ema", "seeds": [0, 1, 2], "values": [1, 2, 3]}
    cards = [{**card, "mean": 2.0, "sd": 1.0, "expected": 0.25}]
    (root / "many" / "scores.json").write_text(json.dumps({"cards": cards}))
    return root


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    """Folder with the page of each run and of a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    run_folders = {path.name: [path] for path in runs.iterdir()}
    run_folders["both"] = [runs / "one", runs / "many"]
    for name, paths in run_folders.items():
        collected = [collect.collect_run(path, page.ROOM // len(paths)) for path in paths]
        (folder / f"{name}.html").write_text(page.page(collected), encoding="utf-8")
    return folder


def data_of(text):
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(data)


def decode(address, media_type):
    prefix = f"data:{media_type};base64,"
    assert address.startswith(prefix)
    return io.BytesIO(base64.b64decode(address.removeprefix(prefix)))


@pytest.mark.parametrize("name", ["one", "many", "both", "sounds", "texts"])
def test_the_page_is_self_contained_and_accessible(pages, name):
    text = (pages / f"{name}.html").read_text()
    assert len(text) < page.LIMIT
    parsed = Page(text)
    assert parsed.open == []
    addresses = [
        attrs[key] for _, attrs in parsed.elements for key in ("src", "href") if key in attrs
    ]
    assert {address[0] for address in addresses} <= {"d", "#"}  # data: URLs and anchors on the page
    assert set(re.findall(r"https?://[^\s\"]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in text
    assert all(image["alt"] for image in parsed.all("img"))
    assert all(audio["aria-label"] for audio in parsed.all("audio"))
    assert parsed.all("html") == [{"lang": "en"}]
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attribute in ("aria-labelledby", "aria-describedby"):
        assert {attrs[attribute] for _, attrs in parsed.elements if attribute in attrs} <= set(ids)
    assert {link["href"][1:] for link in parsed.all("a")} <= set(ids)


def test_the_samples_equal_those_of_the_run_folder(runs, pages):
    (run,) = data_of((pages / "one.html").read_text())["runs"]
    frames = run["samples"][0]["frames"]
    assert [frame["step"] for frame in frames] == [4, 8, 12]
    for frame in frames:
        path = runs / "one" / "samples" / f"step_{frame['step']:08d}.png"
        with (
            Image.open(decode(frame["image"], "image/webp")) as actual,
            Image.open(path) as expected,
        ):
            np.testing.assert_array_equal(actual, expected.convert("RGB"))
        assert frame["exact"]


def test_the_curves_equal_the_metrics_log(runs, pages):
    panels = data_of((pages / "many.html").read_text())["panels"]
    losses = next(panel for panel in panels if panel["title"] == "losses")
    line = next(line for line in losses["lines"] if line["name"] == "gen_loss")
    rows = metrics_log.read_metrics(runs / "many")
    assert line["x"] == list(range(1, 9))
    np.testing.assert_allclose(line["mean"], rows["gen_loss"].mean(1), rtol=1e-4)
    np.testing.assert_allclose(line["low"], rows["gen_loss"].min(1), rtol=1e-4)
    np.testing.assert_allclose(line["high"], rows["gen_loss"].max(1), rtol=1e-4)
    np.testing.assert_allclose(line["last_std"], rows["gen_loss"][-1].std(ddof=1), rtol=1e-2)
    assert line["band"]


def test_runs_are_compared_side_by_side(pages):
    text = (pages / "both.html").read_text()
    parsed, data = Page(text), data_of(text)
    titles = [run["title"] for run in data["runs"]]
    assert titles == ["one", "many"]  # names of the folders: both runs are called small
    lines = data["panels"][0]["lines"]
    assert {line["color"] for line in lines} == {0, 1}
    assert {line["label"] for line in lines} >= {f"{title}: disc_loss" for title in titles}
    marked = [cell for cell in parsed.all("td") if cell.get("class") == "differs"]
    assert len(marked) >= 4
    assert re.search(r'<th scope="row">batch_size</th><td class="differs">16</td>', text)
    assert not re.search(r'<th scope="row">z_dim</th><td class="differs">', text)
    assert "2 ± 1" in text
    assert "expected for real data: 0.25" in text


def test_audio_samples_can_be_played(runs, pages):
    (run,) = data_of((pages / "sounds.html").read_text())["runs"]
    frame = run["samples"][0]["frames"][-1]
    rate, samples = wavfile.read(decode(frame["audio"], "audio/wav"))
    expected = wavfile.read(runs / "sounds" / "samples" / "step_00000006.wav")
    assert (rate, frame["clips"]) == (expected[0], 16)
    np.testing.assert_array_equal(samples, expected[1])
    assert len(run["walk"]["frames"]) == 25


def test_text_samples_can_be_read(runs, pages):
    text = (pages / "texts.html").read_text()
    (run,) = data_of(text)["runs"]
    frames = run["samples"][0]["frames"]
    lines = (runs / "texts" / "samples" / "step_00000006.txt").read_text().splitlines()
    assert frames[-1]["lines"] == lines[: collect.LINES]
    assert run["walk"] is None
    assert "no latents to interpolate" in text


def test_generated_text_is_escaped(runs):
    """Generated text is arbitrary, so it must be escaped."""
    collected = collect.collect_run(runs / "texts", page.ROOM, walk=False)
    collected["samples"][0]["frames"][-1]["lines"] = [
        '</script><script>alert("1")</script>',
        "</pre>",
    ]
    text = page.page([collected])
    assert Page(text).open == []
    assert len(Page(text).all("script")) == 2
    assert data_of(text)["runs"][0]["samples"][0]["frames"][-1]["lines"][1] == "</pre>"


@pytest.mark.parametrize(("limit", "exact"), [(10**7, True), (60_000, False), (5_000, False)])
def test_images_fit_into_the_size_limit(limit, exact):
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    address, is_exact = media.image_address(Image.fromarray(noise), limit)
    assert len(address) <= limit
    assert is_exact == exact
    with Image.open(decode(address, "image/webp")) as image:
        assert (np.asarray(image) == noise).all() if exact else image.width <= 256


def test_the_page_of_a_long_run_with_large_images_fits_the_limit(runs, tmp_path):
    """Uses sixty grids of incompressible noise."""
    shutil.copytree(runs / "one", tmp_path / "run")
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    for step in range(60):
        image = Image.fromarray(np.roll(noise, step, 0))
        image.save(tmp_path / "run" / "samples" / f"step_{100 + step:08d}.png", compress_level=0)
    collected = collect.collect_run(tmp_path / "run", page.ROOM, walk=False)
    assert len(page.page([collected]).encode()) <= page.LIMIT
    steps = [frame["step"] for frame in collected["samples"][0]["frames"]]
    assert (len(steps), steps[0], steps[-1]) == (collect.FRAMES, 4, 159)
    assert "compressed for this page" in page.page([collected])


def test_the_command_writes_a_page_and_needs_force_to_replace_it(command, runs, tmp_path):
    arguments = (
        f"report {runs / 'one'} --compare {runs / 'texts'} --out {tmp_path / 'deep' / 'a.html'}"
    )
    status, output, _ = command(app.main, arguments)
    assert (status, "a.html: 0." in output) == (0, True)
    status, _, error = command(app.main, arguments)
    assert (status, error.count("\n"), "--force" in error) == (2, 1, True)
    assert command(app.main, arguments, "--force --no-walk")[0] == 0
    status, _, error = command(app.main, f"report {tmp_path}")
    assert (status, "is not a run folder" in error) == (2, True)


def test_a_run_without_checkpoints_has_a_page(runs, tmp_path):
    shutil.copytree(runs / "one", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    text = page.page([collect.collect_run(tmp_path / "run", page.ROOM)])
    assert "has no checkpoint yet" in text


def records(path):
    """Records of a TFRecord file: length, its checksum, content, its checksum."""
    content, position = path.read_bytes(), 0
    while position < len(content):
        (length,) = struct.unpack_from("<Q", content, position)
        yield content[position + 12 : position + 12 + length]
        position += 16 + length


@pytest.mark.nightly
def test_event_files_have_the_metrics_and_images_of_each_member(command, runs, tmp_path):
    from tensorboardX.proto import event_pb2

    shutil.copytree(runs / "many", tmp_path / "run")
    for _ in range(2):  # a second run replaces the events of the first
        arguments = f"report {tmp_path / 'run'} --tensorboard --no-walk"
        assert command(app.main, arguments)[0] == 0
    rows = metrics_log.read_metrics(tmp_path / "run")
    for member in range(3):
        folder = tmp_path / "run" / "tensorboard" / f"member_{member:02d}"
        (file,) = folder.iterdir()
        values, image_steps = {}, []
        for record in records(file):
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.HasField("image"):
                    image_steps.append(event.step)
                else:
                    values.setdefault(value.tag, []).append((event.step, value.simple_value))
        assert image_steps == [4, 8]
        assert values.keys() == {f"train/{name}" for name in rows.keys() - {"step"}}
        steps, losses = zip(*values["train/gen_loss"], strict=True)
        assert steps == tuple(range(1, 9))
        np.testing.assert_allclose(losses, rows["gen_loss"][:, member], rtol=1e-6)


def test_event_files_without_tensorboardx_are_rejected(runs, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    from gan_jax.reporting.html import tensorboard

    with pytest.raises(UserError, match=r"pip install 'gan-jax\[tensorboard\]'"):
        tensorboard.write_events(runs / "one")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; skips the test if it is not installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with chromedriver here (apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chromium:
        yield chromium


def open_page(browser, path, width=1280, scheme="light"):
    media_features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media_features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["one", "many", "both", "sounds", "texts"])
def test_a_browser_reports_no_errors(browser, pages, name):
    open_page(browser, pages / f"{name}.html")
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.querySelectorAll('#charts svg path').length") > 1
    # Every control has an accessible name for screen readers.
    controls = browser.find_elements("css selector", "button, input, select, audio, [role=img]")
    assert all(control.accessible_name for control in controls)
    broken = "return [...document.images].filter(one => !one.naturalWidth).length"
    assert browser.execute_script(broken) == 0


@pytest.mark.nightly
def test_the_slider_changes_the_samples(browser, pages):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, pages / "one.html")
    slider = browser.find_element("css selector", "#samples-0 input")
    image = browser.find_element("css selector", "#samples-0 img")
    sources = {image.get_attribute("src")}
    assert slider.get_attribute("aria-valuetext") == "step 12"
    for step in (8, 4):
        slider.send_keys(Keys.ARROW_LEFT)
        assert slider.get_attribute("aria-valuetext") == f"step {step}"
        assert f"at step {step}" in image.get_attribute("alt")
        sources.add(image.get_attribute("src"))
    assert len(sources) == 3
    walk = browser.find_element("css selector", "#walk-0 img")
    before = walk.get_attribute("src")
    browser.find_element("css selector", "#walk-0 input").send_keys(Keys.END)
    assert walk.get_attribute("src") != before


@pytest.mark.nightly
def test_a_member_can_be_selected(browser, pages):
    open_page(browser, pages / "many.html")
    image = browser.find_element("css selector", "#samples-0 img")
    before = image.get_attribute("src")
    options = browser.find_elements("css selector", "#samples-0 option")
    assert [option.text for option in options][2] == "member 2: seed 2"
    options[2].click()
    assert image.get_attribute("src") != before
    bands = "return document.querySelectorAll('#charts path[opacity]').length"
    assert browser.execute_script(bands) > 1


@pytest.mark.nightly
def test_curves_zoom(browser, pages):
    """Zooms by dragging and by keyboard, and resets the zoom."""
    from selenium.webdriver import ActionChains

    open_page(browser, pages / "one.html")
    chart = browser.find_element("css selector", ".chart svg")
    output = browser.find_element("css selector", ".chart output")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    drawing = chart.get_attribute("innerHTML")
    drag = ActionChains(browser).move_to_element(chart).click_and_hold()
    drag.move_by_offset(chart.size["width"] // 4, 0).release().perform()
    low, high = map(int, re.findall(r"\d+", output.text.split(":")[0]))
    assert 5 <= low < high <= 10
    assert chart.get_attribute("innerHTML") != drawing
    chart.send_keys("0")
    assert output.text == "steps 1 to 12"
    assert chart.get_attribute("innerHTML") == drawing
    chart.send_keys("+")
    assert output.text == "steps 4 to 9"


@pytest.mark.nightly
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_the_window_and_have_contrast_in_both_color_schemes(
    browser, pages, scheme, width
):
    """Nothing is wider than the window, and text has enough contrast (WCAG AA, 4.5)."""
    open_page(browser, pages / "both.html", width, scheme)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    colors = browser.execute_script(
        "const one = getComputedStyle(document.body);"
        "const of = (name) => { document.body.style.outlineColor = `var(${name})`;"
        " return getComputedStyle(document.body).outlineColor; };"
        "return [one.backgroundColor, ...['--text', '--quiet', '--link', '--c0', '--c1', '--c2',"
        " '--c3', '--c4', '--c5'].map(of)]"
    )

    def luminance(color):
        linear = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in linear]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    background, *others = map(luminance, colors)
    assert (background < 0.1) == (scheme == "dark")
    for other in others:
        assert (max(background, other) + 0.05) / (min(background, other) + 0.05) >= 4.5
