"""Measure the source of one checkout, or of two side by side, without importing any of it.

    python benchmarks/house.py
    python benchmarks/house.py --rev 576cc0d --rev HEAD
    python benchmarks/house.py --rev 576cc0d --root . --json

Everything is read as text and as a syntax tree; a module imported by a string is not seen. Code
lines are not blank, no comments alone and no docstrings; a docstring is any string that stands
alone as a statement. Each import statement between packages counts once, at any depth; it goes
past a face where it reads another file than the `__init__.py` of a package at the top. Circles of
files leave out the arcs between a face and the files of its own package.
"""

import argparse
import ast
import io
import json
import re
import subprocess
import tarfile
import tempfile
import tokenize
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
VAGUE = ("one", "found", "own", "told")
SUPPRESSIONS = ("type: ignore", "noqa", "pyrefly: ignore", "pragma", "fmt: skip", "fmt: off")
STEMS = """author binar capital categor central character custom discret emphas equal factor
 familiar final formal general harmon initial item lemmat linear local material maxim memo memor
 minim modern neutral normal optim organ parallel penal personal priorit quant random real recogn
 regular roman serial special stabil standard summar symmetr synchron token util vector visual"""
WORDS = r"""analys(?:e[dr]?|ing) artefacts? (?:mis)?behaviours? \w*cancell(?:ed|ing)
 catalogu(?:e|ed|es) cent(?:red?|res|ring) \w*colour\w* defences? favour\w* fulfil(?:ment)? grey\w*
 honour\w* judgements? \w*labell(?:ed|ing) learnt licences? \w*modell(?:ed|er|ing) neighbour\w*
 offences? programmes? rigour sceptic\w* signall(?:ed|ing) spelt travell(?:ed|er|ing) whilst"""
ISE = rf"(?:de|re|un|pre|non)?(?:{'|'.join(STEMS.split())})is(?:e[drs]?|ers|able|ing|ations?)"
BRITISH = re.compile("|".join([ISE, *WORDS.split()]))
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of snake_case, of CamelCase, or of a sentence
IMPORTS, FUNCTIONS = (ast.Import, ast.ImportFrom), (ast.FunctionDef, ast.AsyncFunctionDef)
FACE = "__init__.py"
Rows = dict[str, int | str]
Lists = dict[str, list[str]]


class Source:
    """A file: its path under the folder, its tree, and how many lines of each kind it has."""

    def __init__(self, path: Path, folder: Path):
        self.name = path.relative_to(folder).as_posix()
        self.package = self.name.split("/")[0].removesuffix(".py")
        self.folder = "/".join(self.name.split("/")[:-1][:2]) or self.package
        text = path.read_text("utf-8")
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))
        self.imports = [node for node in self.nodes if isinstance(node, IMPORTS)]
        branches = [node for node in self.nodes if isinstance(node, ast.If)]
        guarded = [n.body for n in branches if "TYPE_CHECKING" in ast.unparse(n.test)]
        self.typing = {id(n) for body in guarded for part in body for n in ast.walk(part)}
        alone = [node.value for node in self.nodes if isinstance(node, ast.Expr)]
        docs = [node for node in alone if isinstance(getattr(node, "value", 0), str)]
        self.docs = {id(node) for node in docs}
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments = [token for token in tokens if token.type == tokenize.COMMENT]
        self.comments = "\n".join(token.string.replace(" ", "") for token in comments)
        lines = text.splitlines()
        blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
        blank |= {token.start[0] for token in comments if token.line.lstrip().startswith("#")}
        doc = lines_of(docs)
        code = set(range(1, len(lines) + 1)) - blank - doc
        self.lines = Counter(total=len(lines), code=len(code), docstrings=len(doc))
        self.lines["code without imports"] = len(code - lines_of(self.imports))


def lines_of(nodes: list) -> set[int]:
    return {line for node in nodes for line in range(node.lineno, node.end_lineno + 1)}


def read(folder: Path) -> list[Source]:
    return [Source(path, folder) for path in sorted(folder.rglob("*.py"))]


def targets(files: dict[str, Source], node: ast.Import | ast.ImportFrom) -> set[str]:
    """The files of the package that a statement reads: a module of that name, or else the face."""
    paths = set()
    for alias in node.names:
        module = getattr(node, "module", None) or ""
        names = [f"{module}.{alias.name}".lstrip("."), module]
        stems = [name[9:].replace(".", "/") for name in names if name.startswith("polylect.")]
        options = [path for stem in stems for path in (f"{stem}/{FACE}", f"{stem}.py")]
        paths.update([path for path in options if path in files][:1])
    return paths


def circles(sources: list[Source], typing_too: bool) -> list[str]:
    """Strongly connected components, of two files or more, of the import graph."""
    files = {source.name: source for source in sources}
    arcs: dict[str, set[str]] = {source.name: set() for source in sources}
    for source in sources:
        for node in source.imports:
            for path in targets(files, node) if typing_too or id(node) not in source.typing else ():
                pairs = ((source.name, path), (path, source.name))
                faces = [pair for pair in pairs if pair[0].endswith(FACE)]
                if not any(there.startswith(face.removesuffix(FACE)) for face, there in faces):
                    arcs[source.name].add(path)
    reach: dict[str, set[str]] = {}
    for start in arcs:
        reach[start], stack = set(), [start]
        while stack:
            fresh = arcs[stack.pop()] - reach[start]
            reach[start] |= fresh
            stack.extend(fresh)
    rings = {tuple(sorted(b for b in reach[a] if a in reach[b])) for a in arcs}
    return [" / ".join(ring) for ring in sorted(rings) if len(ring) > 1]


def measure_imports(sources: list[Source]) -> tuple[Rows, Lists]:
    files = {source.name: source for source in sources}
    counts = Counter({"between packages": 0, "past a face": 0, "past a face, to a sub-face": 0})
    past: list[str] = []
    # A package whose face hands nothing on has none: its files are what it offers.
    faceless = {source.name.removesuffix(FACE) for source in sources
                if source.name.endswith(f"/{FACE}") and not source.imports}  # fmt: skip
    for source in sources:
        for node in source.imports:
            paths = [p for p in targets(files, node) if files[p].package != source.package]
            inner = [path for path in paths if path.count("/") > path.endswith(f"/{FACE}")
                     and path.partition("/")[0] + "/" not in faceless]  # fmt: skip
            counts["between packages"] += bool(paths)
            counts["past a face"] += bool(inner)
            past += [f"{source.name}:{node.lineno} reads {path}" for path in inner]
            files_inside = [path for path in inner if not path.endswith(f"/{FACE}")]
            counts["past a face, to a sub-face"] += bool(inner) - bool(files_inside)
    rings, typed = circles(sources, typing_too=False), circles(sources, typing_too=True)
    rows: Rows = {f"imports {label}": count for label, count in counts.items()}
    rows |= {"circles of files": len(rings), "circles of files, typing imports too": len(typed)}
    lists = {"circles": rings, "circles, typing imports too": typed, "imports past a face": past}
    return rows, lists


def measure_lines(sources: list[Source]) -> tuple[Rows, Lists]:
    rows: Rows = {}
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for source in sources:
        for key in {source.package, source.folder + "/", "(all)"}:
            sums[key] += source.lines
    for kind in sums["(all)"]:
        rows |= {f"lines, {kind}: {key}": sums[key][kind] for key in sorted(sums) if key[-1] != "/"}
    longest = max(sources, key=lambda source: source.lines["total"])
    rows |= {"files": len(sources), "longest file, lines": longest.lines["total"]}
    whole = sums.pop("(all)")
    for label, last in (("package", False), ("folder at the second level", True)):
        for kind in ("total", "code"):
            lines, name = max((sums[key][kind], key) for key in sums if (key[-1] == "/") == last)
            rows[f"largest {label}, % of {kind}"] = f"{name} {100 * lines / whole[kind]:.1f}"
    return rows, {"longest file": [longest.name]}


def measure_definitions(sources: list[Source]) -> tuple[Rows, Lists]:
    places: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for node in source.tree.body:
            if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                places[node.name].add(source.name)
    rows, lists = {}, {}
    for label, private in (("public", False), ("private", True)):
        names = [n for n in places if n.startswith("_") == private and not n.startswith("__")]
        counts = Counter({n: len(places[n]) for n in names if len(places[n]) > 1}).most_common()
        rows[f"{label} names defined in 2+ files"] = len(counts)
        rows[f"{label} names defined in 4+ files"] = sum(count > 3 for _, count in counts)
        lists[f"{label} names defined most often"] = [f"{name} {n}" for name, n in counts[:16]]
    return rows, lists


def measure_names(sources: list[Source]) -> tuple[Rows, Lists]:
    rows, lists = {"Any in annotations": 0}, {}
    for label in SUPPRESSIONS:
        counts = [source.comments.count(label.replace(" ", "")) for source in sources]
        rows[f"suppressions: {label}"] = sum(counts)
    names: list[tuple[str, bool, str]] = []  # the name of a value, whether it is bound, the file
    words: dict[str, list[str]] = {"names": [], "strings": [], "docstrings": []}
    for source in sources:
        words["names"].append(Path(source.name).stem)
        for node in source.nodes:
            fields = [getattr(node, key, None) for key in ("annotation", "returns")]
            text = " ".join(ast.unparse(field) for field in fields if field is not None)
            rows["Any in annotations"] += len(re.findall(r"\bAny\b", text))
            texts = [getattr(node, key, 0) for key in ("id", "arg", "attr", "name", "asname")]
            words["names"] += [text for text in texts if isinstance(text, str)]
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words["docstrings" if id(node) in source.docs else "strings"].append(node.value)
            elif isinstance(node, ast.Name | ast.arg):
                bound = isinstance(getattr(node, "ctx", ast.Store()), ast.Store)
                names.append((texts[0] or texts[1], bound, source.name))
    for word in VAGUE:
        named = [(bound, file) for name, bound, file in names if name == word]
        rows |= {f"'{word}' bound": sum(b for b, _ in named), f"'{word}' written": len(named)}
        rows[f"'{word}' in files"] = len({file for _, file in named})
    for label, texts in words.items():
        parts = (part.lower() for text in texts for part in PART.findall(text))
        counts = Counter(part for part in parts if BRITISH.fullmatch(part))
        rows[f"British spellings in {label}"] = counts.total()
        lists[f"British in {label}"] = [f"{word} {n}" for word, n in counts.most_common(16)]
    return rows, lists


def measure(root: Path) -> tuple[Rows, Lists]:
    """The numbers of a checkout, and the lists behind some of them."""
    sources, tests = read(root / "src" / "polylect"), read(root / "tests")
    rows, lists = {}, {}
    for part in (measure_lines, measure_imports, measure_definitions, measure_names):
        more = part(sources)
        rows, lists = rows | more[0], lists | more[1]
    functions = [n for source in tests for n in source.nodes if isinstance(n, FUNCTIONS)]
    rows["test functions"] = sum(node.name.startswith("test_") for node in functions)
    rows |= {"test files": len(tests), "test lines": sum(s.lines["total"] for s in tests)}
    return rows, lists


def measure_revision(revision: str) -> tuple[Rows, Lists]:
    command = ["git", "-C", str(HERE), "archive", revision, "src", "tests"]
    data = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
        return measure(Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for flag, text in (("--rev", "a revision of this repository"), ("--root", "a checkout")):
        parser.add_argument(flag, action="append", default=[], help=f"{text}; may be repeated")
    parser.add_argument("--json", action="store_true", help="print {checkout: [rows, lists]}")
    given = parser.parse_args()
    results = {revision: measure_revision(revision) for revision in given.rev}
    for root in given.root or [str(HERE)] * (not given.rev):
        results[root] = measure(Path(root))
    if given.json:
        print(json.dumps(results, indent=1))
        return
    print(f"{'':44}" + "".join(f"{name[-24:]:>26}" for name in results))
    labels = dict.fromkeys(label for rows, _ in results.values() for label in rows)
    for label in sorted(
        labels, key=lambda label: label.split(":") if label[:5] == "lines" else ["~"]
    ):
        values = [rows.get(label, 0) for rows, _ in results.values()]
        numbers = [value for value in values if isinstance(value, int)]
        change = f"{numbers[1] - numbers[0]:>+9}" if len(numbers) == len(values) == 2 else ""
        print(f"{label:44}" + "".join(f"{value!s:>26}" for value in values) + change)
    for name, (_, lists) in results.items():
        print(f"\n{name}")
        for label, entries in lists.items():
            print(f"  {label}: {'; '.join(entries) or 'none'}")


if __name__ == "__main__":
    main()
