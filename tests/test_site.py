"""The documentation site builds without a warning, finds what is searched for, and has a page for each public name."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "docs" / "site" / "conf.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for name in ("sphinx", "furo", "myst_parser", "numpydoc"):
        pytest.importorskip(name, reason=f"NOT TESTED: {name} is not installed: pip install 'tsforce[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-W", "--keep-going", "-c", str(CONF.parent)]
    command += ["-d", str(out / "cache"), str(ROOT), str(out / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out / "html"


class _Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given["id"]} if "id" in given else set()
        if tag in ("a", "img", "link", "script"):
            self.found += [given[key] for key in ("href", "src") if given.get(key)]


@pytest.mark.slow
def test_the_site_is_whole_and_needs_no_network(site):
    pages = {file: _Links(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}
    assert len(pages) > 100
    for page, links in pages.items():
        for link in links.found:
            target, _, anchor = link.partition("#")
            if re.match(r"https?:|mailto:|data:", target):
                continue
            file = (page.parent / target.partition("?")[0]).resolve() if target else page
            assert file.exists(), (page.name, link)
            if anchor and file in pages:
                assert anchor in pages[file].ids, (page.name, link)
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(https?:[^\"]+)", text) == [], page.name


@pytest.mark.slow
def test_every_public_name_has_a_page_that_the_search_finds(site):
    modules = re.findall(r'^    "(tsforce[\w.]*)": "', CONF.read_text(), flags=re.M)
    assert len(modules) == 11
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    known = json.loads(index[index.index("(") + 1 : index.rindex(")")])["docnames"]
    main = importlib.import_module("tsforce")
    for module in modules:
        for name in importlib.import_module(module).__all__:
            home = "tsforce" if name in main.__all__ else module
            if name != "__version__":
                page = f"build/api/{home}.{name}"
                assert page in known
                text = (site / f"{page}.html").read_text(encoding="utf-8")
                assert f'id="{home}.{name}"' in text or "autodata" in text, page
