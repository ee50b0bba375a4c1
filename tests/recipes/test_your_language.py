"""The guide for a language outside the 23: every command of it, with small budgets."""

import json
import re
import shlex
from pathlib import Path

from command_line import polylect_in_process

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "your-language.md"
WORDS = {
    "cy": "Mae'r felin yn sefyll wrth yr afon dawel o dan y bryn a'r hen ffordd",
    "ga": "Tá an muileann ina sheasamh in aice leis an abhainn chiúin faoin gcnoc",
    "en": "The mill stands beside the quiet river below the hill and the old road",
}
SMALL = {
    "run lifecycle": "--num-parameters 250000 --vocab-size 400 --base-tokens 3000"
    " --expert-tokens 1000 --bytes-per-language 500",
    "train sft": "--epochs 1 --probes 0",
}


def test_the_guide_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    chats, items = [], []
    for tag, words in WORDS.items():
        (tmp_path / "text" / tag).mkdir(parents=True)
        parts = [" ".join(words.split()[i % 9 :] + [str(i)] * 3) + "\n" + words for i in range(400)]
        (tmp_path / "text" / tag / "a.txt").write_text("\n\n".join(parts), encoding="utf-8")
        for i in range(6):
            turns = [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": words}]
            chats.append({"messages": turns, "language": tag})
            items.append({"id": f"{tag}{i}", "language": tag, "context": words, "answer": 0,
                          "choices": [f" {words}", f" {i} {i}"]})  # fmt: skip
    for name, rows in (("chats", chats), ("items", items)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) == 7
    for command in commands:
        more = next((v for k, v in SMALL.items() if command.startswith(f"polylect {k} ")), "")
        words = [
            str(path)
            for word in shlex.split(f"{command} {more}")[1:]
            for path in (sorted(tmp_path.glob(word)) if "*" in word else [word])
        ]
        done = polylect_in_process(*words)
        assert done.returncode == 0, (command, done.stderr)
    assert "Cymraeg" in (tmp_path / "runs" / "lifecycle" / "index.html").read_text("utf-8")
    page = (tmp_path / "paid" / "index.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("Cymraeg", "Gaeilge", "English"))
