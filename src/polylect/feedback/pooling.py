"""A pool: every prompt answered by every teacher, once."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from polylect.base import InputError, Ledger, digest_of
from polylect.base import language as language_of
from polylect.checkpoints import Checkpoint
from polylect.engine import JOURNAL, Journal, Server, answer_prompts, chosen_prompts, model_place
from polylect.feedback.pool_config import PoolConfig, TeacherConfig
from polylect.feedback.pool_files import (
    POOL,
    POOL_PROMPTS,
    TEACHERS,
    PromptKey,
    is_answer,
    read_pool,
)
from polylect.feedback.stored_teachers import stored_answers
from polylect.rows import AnswerKey, PooledAnswer, Prompt, write_rows
from polylect.runs import FileInput, StepContext
from polylect.text import is_same, open_identifier

CHOICES = "choices.parquet"
LEAST_PROBABILITY = 0.5
"""Of a language, for an answer to seem to be in another one than was asked for."""
NOT_TOLD = "not identified: the language of an answer cannot be told"
NO_TEACHER = "not asked: no teacher is chosen for the prompt"
TEACHER_INPUT, REUSED_INPUT, CHOICES_INPUT = "teacher:", "reuse:", "choices"


def run_pool(
    config: PoolConfig, inputs: Mapping[str, FileInput | Server], context: StepContext
) -> None:
    """Write ``pool.parquet``, ``prompts.parquet`` and ``teachers.parquet``.

    What a pool that is to be reused holds already (same teacher, weights, settings and messages) is
    not asked again. With ``choices`` a prompt is asked of the chosen teacher alone.

    Inputs: ``prompts``; ``teacher:NAME`` of each teacher: a checkpoint's folder, a server, or a
    file of stored answers; ``reuse:NUMBER`` of pools; ``choices`` of a route.

    Raises:
        InputError: a teacher cannot be used, or has an answer to another text.
        PolylectError: a server keeps failing, or its limit is reached.
    """
    file = inputs["prompts"]
    assert not isinstance(file, Server)
    prompts = chosen_prompts(config.generate("pool"), file.path, context.ledger)
    known = _known(inputs)
    chosen = _choices(inputs)
    if chosen is not None:
        for prompt in prompts:
            is_chosen = (prompt.language, prompt.id) in chosen
            context.ledger.count(NO_TEACHER, int(not is_chosen), prompt.language)
    rows: list[PooledAnswer] = []
    teachers = []
    for teacher in config.teachers:
        asked = asked_of(teacher, prompts, chosen)
        place = inputs[TEACHER_INPUT + teacher.name]
        answers, num_reused = _answers(teacher, place, asked, config, known, context)
        rows += answers
        teachers.append(_about(teacher, place, asked, answers, num_reused, config))
    if not rows:
        raise InputError("no teacher answers any of the prompts", "check ids and languages")
    rows = identified(rows, config.identifier, context.ledger)
    write_rows(context.out / POOL, PooledAnswer, sorted(rows, key=lambda row: row.key))
    write_rows(context.out / POOL_PROMPTS, Prompt, prompts)
    pl.DataFrame(teachers, infer_schema_length=None).write_parquet(context.out / TEACHERS)


def asked_of(
    teacher: TeacherConfig, prompts: Sequence[Prompt], chosen: Mapping[PromptKey, str] | None
) -> list[Prompt]:
    """The prompts that a teacher is asked: in its languages, and those for which it was chosen.

    Raises:
        InputError: there is no prompt in any of its languages.
    """
    wanted = {language_of(tag, "--teacher-languages").tag for tag in teacher.languages}
    own = [prompt for prompt in prompts if not wanted or prompt.language in wanted]
    if not own:
        raise InputError(
            f"--teacher-languages {teacher.name}={','.join(teacher.languages)}: no prompt in them",
            f"there are {' '.join(dict.fromkeys(prompt.language for prompt in prompts))}",
        )
    return [
        prompt for prompt in own
        if chosen is None or chosen.get((prompt.language, prompt.id)) == teacher.name
    ]  # fmt: skip


def identified(
    rows: Sequence[PooledAnswer], identifier_name: str, ledger: Ledger
) -> list[PooledAnswer]:
    """The rows with the language that each answer seems to be in; empty where it cannot be told.

    A doubtful guess of another language than was asked for says nothing: an identifier takes
    sentences in languages that it hardly knows for whatever looks alike.
    """
    identifier = open_identifier(identifier_name)
    guesses = identifier.guess([row.answer for row in rows])
    tagged = []
    for row, guess in zip(rows, guesses, strict=True):
        is_told = not identifier.cannot_tell(row.language) and (
            is_same(guess.tag, row.language)
            or identifier.seems_other(row.language, guess, LEAST_PROBABILITY)
        )
        ledger.count(NOT_TOLD, int(not is_told and is_answer(row)), row.language)
        tagged.append(replace(row, identified=guess.tag if is_told else ""))
    return tagged


def _answers(
    teacher: TeacherConfig,
    place: FileInput | Server,
    asked: Sequence[Prompt],
    config: PoolConfig,
    known: Mapping[tuple[str, AnswerKey], PooledAnswer],
    context: StepContext,
) -> tuple[list[PooledAnswer], int]:
    """A teacher's answers, and how many of them were taken over from other pools."""
    num_samples = config.sampling.num_samples
    if not isinstance(place, Server) and place.path.is_file():
        rows = stored_answers(place.path, place.digest, teacher, asked, num_samples, context.ledger)
        return rows, 0
    generate, digest = config.generate(teacher.name), place.digest
    sampling = _sampling(config, place)
    reused: dict[AnswerKey, PooledAnswer] = {}
    for prompt in asked:
        for sample in range(num_samples):
            key = (prompt.language, prompt.id, teacher.name, sample)
            row = known.get((f"{digest} {sampling}", key))
            if row is not None and row.messages == prompt.messages:
                reused[key] = row
    rest = [
        prompt for prompt in asked
        if any((prompt.language, prompt.id, teacher.name, i) not in reused
               for i in range(num_samples))
    ]  # fmt: skip
    about = {
        "model_digest": digest, "sampling": sampling, "answer_origin": "native",
        "license": teacher.license or _license_of(place), "terms": teacher.terms,
    }  # fmt: skip
    rows = [replace(row, license=about["license"], terms=teacher.terms) for row in reused.values()]
    if rest:
        work = context.work / f"teacher-{digest_of(teacher.name)[:12]}"
        work.mkdir(exist_ok=True)
        _fill_journal(work / JOURNAL, rest, teacher.name, num_samples, reused)
        fresh = answer_prompts(
            rest, model_place(place), generate, work, context.report, context.ledger
        )
        made = [PooledAnswer.of(row, teacher=teacher.name, **about) for row in fresh]
        rows += [row for row in made if row.key not in reused]
    return rows, len(reused)


def _fill_journal(
    path: Path,
    prompts: Sequence[Prompt],
    name: str,
    num_samples: int,
    reused: Mapping[AnswerKey, PooledAnswer],
) -> None:
    """Note answers that are known, so that only the other samples of a prompt are asked for."""
    with Journal(path) as journal:
        for number, prompt in enumerate(prompts):
            for sample in range(num_samples):
                row = reused.get((prompt.language, prompt.id, name, sample))
                if row is not None and (number, sample) not in journal.rows:
                    journal.add(
                        number, sample, text=row.answer, num_tokens=row.num_tokens,
                        stopped=row.stopped, log_likelihood=row.log_likelihood, why=row.why,
                        dialect=None,  # how a server takes requests is found out anew
                    )  # fmt: skip


def _sampling(config: PoolConfig, place: FileInput | Server) -> str:
    """How answers are sampled, as JSON; the number of samples changes none of them."""
    settings: dict[str, object] = dict(asdict(config.sampling))
    settings.pop("num_samples")
    settings["template"] = Path(config.template).name
    if not isinstance(place, Server):
        settings["dtype"] = config.engine.dtype
    return json.dumps(settings, ensure_ascii=False, sort_keys=True)


def _license_of(place: FileInput | Server) -> str:
    return "" if isinstance(place, Server) else Checkpoint.open(place.path).license


def _known(
    inputs: Mapping[str, FileInput | Server],
) -> dict[tuple[str, AnswerKey], PooledAnswer]:
    """Answers of pools to be reused, by weights and settings, and by their key.

    One that failed is asked for again.
    """
    known = {}
    for name, place in inputs.items():
        if name.startswith(REUSED_INPUT) and not isinstance(place, Server):
            for row in read_pool(place.path):
                if row.stopped != "failed":
                    known[f"{row.model_digest} {row.sampling}", row.key] = row
    return known


def _choices(inputs: Mapping[str, FileInput | Server]) -> dict[PromptKey, str] | None:
    """The chosen teacher by prompt; None where nothing was chosen."""
    place = inputs.get(CHOICES_INPUT)
    if place is None or isinstance(place, Server):
        return None
    table = pl.read_parquet(place.path).select("language", "id", "teacher")
    return {(language, id_): teacher for language, id_, teacher in table.iter_rows()}


def _about(
    teacher: TeacherConfig,
    place: FileInput | Server,
    asked: Sequence[Prompt],
    answers: Sequence[PooledAnswer],
    num_reused: int,
    config: PoolConfig,
) -> dict[str, object]:
    wanted = len(asked) * config.sampling.num_samples
    kind = (
        "server" if isinstance(place, Server) else "file" if place.path.is_file() else "checkpoint"
    )
    first = answers[0] if answers else None
    return {
        "teacher": teacher.name, "kind": kind, "model_digest": place.digest,
        "license": first.license if first else teacher.license,
        "terms": first.terms if first else teacher.terms,
        "sampling": first.sampling if first else "",
        "languages": sorted(Counter(prompt.language for prompt in asked)),
        "asked": wanted, "answers": len(answers), "missing": wanted - len(answers),
        "empty": sum(not is_answer(row) for row in answers), "reused": num_reused,
    }  # fmt: skip
