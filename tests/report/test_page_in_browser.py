"""The page as people meet it: driven in Chromium, where there is one (`make browser` installs Debian's)."""

from __future__ import annotations

import shutil

import pandas as pd
import pytest

from tests.makers import make_frame
from tsforce import AutoNARX, Baseline, NARXForecaster, compare
from tsforce.report import report_bench

pytest.importorskip("plotly", reason="no plotly: pip install 'tsforce[report]'")
webdriver = pytest.importorskip("selenium.webdriver", reason="NO PAGE WAS SEEN IN A BROWSER: selenium is not installed")
keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
wait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="NO PAGE WAS SEEN IN A BROWSER: chromium, chromedriver missing (make browser)"
    ),
    # Selenium leaves the pipes of the driver to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

EVIL = "<img src=x onerror=alert(1)>"
H = 4


@pytest.fixture(scope="module")
def result():
    df = make_frame((60, 62, 64, 66, 68, 70, 72), ids=[EVIL, "</script><b>", "s2", "s3", "s4", "s5", "s6"], freq="D")
    models = {"linear": NARXForecaster(H, 7, scope="local", mode="open_loop"), EVIL: Baseline("seasonal_naive")}
    return compare(models, df, n_windows=3, season_length=7, level=80)


@pytest.fixture(scope="module")
def driver():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def where(result, tmp_path_factory):
    return result.report(tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def page(driver, where):
    """The page, freshly loaded; at the end nothing may have been complained of."""
    show(driver, 1280, dark=False)
    driver.get(where.as_uri())
    yield driver
    assert driver.get_log("browser") == []


def show(driver, width, *, dark):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def asked(page, expression):
    return page.execute_script(f"return {expression}")


def until(page, expression):
    """Wait for what the page does when it comes to it: events of the browser."""
    wait(page, 20).until(lambda _: asked(page, expression))


def look_at(page, name):
    page.execute_script(f"document.getElementById('chart-{name}').scrollIntoView()")
    until(page, f"document.getElementById('chart-{name}').data !== undefined")


def by_id(page, name):
    return page.find_element("id", name)


def drawn(page, name):
    """Which lines a picture shows, once it is looked at: their names and how many points."""
    look_at(page, name)
    return asked(page, f"document.getElementById('chart-{name}').data.map((own) => [own.name, own.y.length])")


def test_nothing_is_loaded_nothing_runs_and_every_picture_is_there(page):
    assert asked(page, "performance.getEntriesByType('resource').length") == 0
    assert asked(page, "document.querySelectorAll('img').length") == 0
    assert page.find_element("css selector", "h1").text == f"Backtest: linear, {EVIL}"
    for name in ("steps", "cutoffs", "gap", "coverage", "series", "scatter"):
        look_at(page, name)
        until(page, f"document.querySelectorAll('#chart-{name} svg.main-svg').length > 0")
    # Names are text in pictures, too.
    legend = asked(page, "[...document.querySelectorAll('#chart-steps .legendtext')].map((own) => own.textContent)")
    assert legend == ["linear", EVIL]


def test_the_numbers_on_the_page_equal_the_scores(page, result):
    scores = result.scores().set_index("model")
    row = asked(page, "[...document.querySelectorAll('#models tbody tr')[0].cells].map((own) => own.textContent)")
    assert row[1:5] == [f"{scores.loc[row[0], name]:.4g}" for name in ("mase", "smape", "mae", "rmse")]
    each = result.scores(by="unique_id").set_index(["model", "unique_id"])["mase"]
    for entry in page.find_elements("css selector", "#list option")[:3]:
        entry.click()
        name = by_id(page, "series-name").text
        shown = asked(page, "[...document.querySelectorAll('#series-errors td.number')].map((own) => own.textContent)")
        assert [float(text) for text in shown] == [
            pytest.approx(each[model, name], rel=1e-3) for model in ("linear", EVIL)
        ]


def test_a_series_is_found_by_its_name_which_stays_text(page):
    by_id(page, "search").send_keys("ONERROR")
    assert by_id(page, "count").text == "1 of 7 series"
    (option,) = page.find_elements("css selector", "#list option")
    assert option.text.startswith(EVIL)
    assert by_id(page, "series-name").text == EVIL
    by_id(page, "search").send_keys("nothing like it")
    assert by_id(page, "count").text == "0 of 7 series"


def test_the_list_is_walked_by_keyboard_from_the_worst_series_on(page, result):
    each = result.scores(by="unique_id")
    best = result.ranking()["model"].iloc[0]
    order = each[each["model"] == best].sort_values("mase", ascending=False)["unique_id"].tolist()
    assert by_id(page, "series-name").text == order[0]
    by_id(page, "search").send_keys(keys.TAB, keys.TAB, keys.TAB)
    at = page.switch_to.active_element
    assert at.get_attribute("id") == "list"
    at.send_keys(keys.ARROW_DOWN)
    assert by_id(page, "series-name").text == order[1]
    page.execute_script("document.getElementById('order').value = 'id'")
    page.execute_script("document.getElementById('order').dispatchEvent(new Event('change'))")
    assert page.find_elements("css selector", "#list option")[-1].text.startswith("s6")


def test_models_cutoffs_and_intervals_are_chosen(page):
    all_lines = drawn(page, "series")
    # The rows, two models after three cutoffs, and both edges of one model's fan.
    assert len(all_lines) == 1 + 2 * 3 + 2 * 3
    page.find_element("css selector", "#shown input[value='1']").click()
    page.execute_script("document.getElementById('fan').value = '0'")
    page.execute_script("document.getElementById('fan').dispatchEvent(new Event('change'))")
    page.find_elements("css selector", "#cutoffs option")[1].click()
    until(page, "document.getElementById('chart-series').data.length === 4")
    kept = drawn(page, "series")
    assert [name for name, _ in kept if name in ("linear", EVIL)] == ["linear"]
    assert len(kept) == 1 + 1 + 2
    page.find_element("css selector", "#series details summary").click()
    until(page, f"document.querySelectorAll('#series-numbers tbody tr').length === {H}")


def test_it_fits_a_phone_and_follows_dark_mode_while_open(page):
    look_at(page, "steps")
    light = asked(page, "document.getElementById('chart-steps').data[0].line.color")
    show(page, 390, dark=True)
    assert asked(page, "getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert light == "#0072b2"
    until(page, "document.getElementById('chart-steps').data[0].line.color === '#56b4e9'")
    assert asked(page, "document.documentElement.scrollWidth") <= 390


def test_the_page_of_an_automatic_choice_says_why_for_the_series_that_is_chosen(driver, tmp_path):
    model = AutoNARX(H, season_length=7, budget="fast").fit(make_frame((50, 45), ids=[EVIL, "b"]))
    show(driver, 1280, dark=False)
    driver.get(model.report(tmp_path / "r.html").as_uri())
    for name in (EVIL, "b"):
        by_id(driver, "search").clear()
        by_id(driver, "search").send_keys(name)
        assert by_id(driver, "series-name").text == name
        first = model.explain(name).frame.iloc[0]
        cells = asked(driver, "[...document.querySelector('#series-why tbody tr').cells].map((own) => own.textContent)")
        assert cells[:2] == [first["candidate"], first["family"]]
        assert float(cells[3]) == pytest.approx(first["weight"], rel=1e-3)
    look_at(driver, "series")
    assert driver.get_log("browser") == []


def test_the_page_of_a_bench_draws_its_runs_without_a_series_to_browse(driver, tmp_path):
    known = {"seed": None, "mode": "", "smape": 9.0, "mase": 1.0, "one_step": 0.5, "gap": 2.0, "status": "ok"}
    known |= {"fit_cpu_s": 2.0, "predict_cpu_s": 0.5}
    rows = pd.DataFrame([{**known, "model": EVIL, "owa": 1.0}, {**known, "model": "mlp", "owa": 0.9}])
    show(driver, 390, dark=True)
    driver.get(report_bench(rows, tmp_path / "bench.html", title=f"M3 {EVIL}").as_uri())
    look_at(driver, "owa")
    assert asked(driver, "document.getElementById('chart-owa').data.map((one) => one.x[0])") == [0.9, 1.0]
    assert "img src" in by_id(driver, "chart-owa").text
    look_at(driver, "cost")
    assert asked(driver, "document.getElementById('chart-cost').data.map((one) => one.x[0])") == [2.5, 2.5]
    assert asked(driver, "document.documentElement.scrollWidth") <= 390
    assert driver.get_log("browser") == []
