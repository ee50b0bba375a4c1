"""Pages in a real browser: they draw, and nothing sticks out on a phone."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--allow-file-access-from-files", "--hide-scrollbars"]  # fmt: skip
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="skipped: no chromium on this machine"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all parts: every language, a wide table, both charts."""
    from polylect.base import LANGUAGES
    from polylect.report import (
        Dot,
        curves,
        dot_plot,
        language_cell,
        section,
        table,
        tag,
        write_page,
    )
    from polylect.report.charts import Point, scatter

    folder = tmp_path_factory.mktemp("page")
    languages = list(LANGUAGES.values())
    plot = [(language.name, [Dot(i, i - 1, i + 2, 0, "")])
            for i, language in enumerate(languages)]  # fmt: skip
    points = [Point(-i, i % 3, i % 2, f"merge {i}") for i in range(7)]
    (folder / "volatile.json").write_text('{"seconds": 12.5}\n')
    rows = [[language_cell(language), *["1.234"] * 14] for language in languages]
    write_page(
        folder / "index.html",
        "A page",
        "lead",
        [
            section("Plot", dot_plot(plot, "axis, %", zero=True)),
            section("Curves", curves({"a": [(0, 3), (10, 1)], "b": [(0, 2), (9, 2)]}, "x", "y")),
            section("Front", scatter(points, ["all", "front"], "de, more is better", "code")),
            section(
                "Cost",
                tag("div", tag("iframe", src="volatile.json", class_="seconds"), class_="frames"),
            ),
            section("Table", table(["language", *range(14)], rows, numbers=range(1, 15))),
        ],
    )
    return folder / "index.html"


def dom(path: Path, profile: Path) -> str:
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=4000",
         "--dump-dom", path.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout


def measured(page: Path, width: int, profile: Path) -> tuple[int, int, int]:
    """By how much a page is wider than its window, drawn endonyms, and cut tables or charts."""
    frame = page.parent / f"frame{width}.html"
    frame.write_text(
        f"<iframe id=f src={page.name} style='width:{width}px;height:900px;border:0'></iframe>"
        "<p id=o></p><script>f.onload=()=>{const d=f.contentDocument;"
        "const rows=[...d.querySelectorAll('bdi')].map(e=>e.getBoundingClientRect().width>0);"
        "o.textContent='overflow='+(d.documentElement.scrollWidth-d.documentElement.clientWidth)"
        "+' drawn='+rows.filter(Boolean).length+' cut='+[...d.querySelectorAll('.scroll')]"
        ".filter(e=>e.scrollWidth>e.clientWidth+1).length}</script>",
        encoding="utf-8",
    )
    match = re.search(r"overflow=(-?\d+) drawn=(\d+) cut=(\d+)", dom(frame, profile))
    assert match, "the page did not load"
    return int(match[1]), int(match[2]), int(match[3])


@pytest.mark.parametrize("width", [390, 800, 1200])
def test_no_page_is_wider_than_its_window(page: Path, tmp_path: Path, width: int) -> None:
    overflow, drawn, cut = measured(page, width, tmp_path)
    assert overflow <= 0, "the page is wider than the window"
    assert drawn == 24, "a language's own name was not drawn"
    assert cut == 0, "a table or a chart is cut"


def test_the_page_of_people_fits_a_phone(tmp_path: Path) -> None:
    import polylect as pl

    rows = [
        {"user": f"a person with a long name {user}", "prompt": "", "language": "en",
         "chosen": f"{'warm' if user > 4 else 'cold'} {i * 7919}",
         "rejected": f"{'cold' if user > 4 else 'warm'} {i * 104729}"}
        for user in range(12) for i in range(24)
    ]  # fmt: skip
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    study = pl.people.study(file, methods=["individual", "kernel"], seeds=2, resamples=9,
                            names=True, out=tmp_path / "out")  # fmt: skip
    assert study.page is not None
    overflow, _, cut = measured(study.page, 390, tmp_path / "profile")
    assert (overflow <= 0, cut) == (True, 0)


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_of_experts_fits_a_phone(tmp_path: Path, width: int) -> None:
    from expert_models import write_data, write_model

    import polylect as pl

    names = ["seed", "a-specialist-with-a-long-name", "خبر", *[f"expert-{i}" for i in range(13)]]
    for number, name in enumerate(names):
        write_model(tmp_path / name, "llama", number)
    (data,) = write_data(tmp_path, ("de",))
    experts = [tmp_path / name for name in names[1:]]
    moe = pl.experts.upcycle(seed_model=tmp_path / "seed", experts=experts, encoder="ngrams",
                             data=[data] * len(experts), out=tmp_path / "moe")  # fmt: skip
    files = dict.fromkeys((*names[1:4], "web without an own expert"), data)
    report = pl.experts.report(moe, data=files, against={"seed": tmp_path / "seed"},
                               out=tmp_path / "out")  # fmt: skip
    assert report.page is not None
    overflow, _, cut = measured(report.page, width, tmp_path / "profile")
    assert (overflow <= 0, cut) == (True, 0)


def test_arabic_and_hebrew_run_from_right_to_left(page: Path, tmp_path: Path) -> None:
    text = dom(page, tmp_path)
    assert len(re.findall(r'<bdi lang="(?:ar|fa|he)" dir="rtl">', text)) == 3


def test_every_point_of_the_front_is_drawn_inside_its_chart(page: Path, tmp_path: Path) -> None:
    frame = page.parent / "points.html"
    frame.write_text(
        f"<iframe id=f src={page.name} style='width:900px;height:900px;border:0'></iframe>"
        "<p id=o></p><script>f.onload=()=>{const d=f.contentDocument;"
        "const chart=[...d.querySelectorAll('svg')].find(e=>e.ariaLabel=='code against de, more is"
        " better');const box=chart.getBoundingClientRect();"
        "const dots=[...chart.querySelectorAll('circle')].map(e=>e.getBoundingClientRect());"
        "const inside=dots.filter(b=>b.left>=box.left&&b.right<=box.right&&b.top>=box.top&&"
        "b.bottom<=box.bottom);o.textContent='dots='+dots.length+' inside='+inside.length"
        "+' frames='+d.querySelectorAll('iframe.seconds').length}</script>",
        encoding="utf-8",
    )
    match = re.search(r"dots=(\d+) inside=(\d+) frames=(\d+)", dom(frame, tmp_path))
    assert match, "the page did not load"
    assert match.groups() == ("7", "7", "1")
