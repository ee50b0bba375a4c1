"""Generation over HTTP against a server that fails in every planted way."""

import itertools
import json
import time

import pytest
from child_processes import COMMAND_LINE
from planted_server import FAULTS, HABITS, Planted, reply_to, serving

from polylect.base import InputError, Ledger, PolylectError, read_json
from polylect.cli import main
from polylect.engine import GenerateConfig, Sampling, Server, answer_prompts, read_address
from polylect.engine.answering import DECLINED, EMPTY, FAILED, FILTERED, JOURNAL, REFUSED, UNSAID
from polylect.engine.journal import Journal
from polylect.engine.protocol import NO_TEXT, REASONING, Dialect, body_for, most_tokens
from polylect.engine.replies import wait_of
from polylect.rows import Generated, Prompt, read_rows
from polylect.runs import Silent

pytestmark = pytest.mark.server


def prompts_of(texts, language="de"):
    return [Prompt(id=str(i), language=language, prompt=text) for i, text in enumerate(texts)]


def config_of(template="own", **sampling):
    return GenerateConfig(
        name="m", template=template, sampling=Sampling(**{"max_new_tokens": 9} | sampling)
    )


def server_of(url, **more):
    fast = {"timeout_seconds": 0.3, "longest_wait_seconds": 0.05}
    return Server(url, "planted", **fast | more)


def ask(prompts, server, work, config=None, ledger=None):
    return answer_prompts(
        prompts, server, config or config_of(), work, Silent(),
        Ledger() if ledger is None else ledger,
    )  # fmt: skip


FAILING = ["short"] + [
    f"question {number} [fail: {' '.join(faults)}] please"
    for number, faults in enumerate(
        [(one,) for one in FAULTS] + list(itertools.permutations(FAULTS, 2))[::3]
    )
]


@pytest.mark.parametrize("concurrency", [1, 7])
def test_every_request_is_answered_once_whatever_fails(tmp_path, concurrency):
    texts = FAILING if concurrency > 1 else FAILING[:12]
    prompts, config = prompts_of(texts), config_of(num_samples=2)
    plan = Planted(slow=0.6)
    with serving(plan) as url:
        stored = ask(prompts, server_of(url, concurrency=concurrency), tmp_path, config)
    assert [(one.id, one.sample) for one in stored] == [
        (str(i), sample) for i in range(len(texts)) for sample in (0, 1)
    ]
    seeds = {
        (prompt.id, sample): body_for(prompt, sample, "", config, Dialect())["seed"]
        for prompt in prompts
        for sample in (0, 1)
    }
    for answer in stored:
        assert answer.answer == reply_to(answer.prompt, seeds[answer.id, answer.sample])
        assert answer.num_tokens == len(answer.answer.split())
        assert answer.log_likelihood == -0.25 * answer.num_tokens
    assert len(set(seeds.values())) == len(seeds)
    # Answered once each, after just as many failures as were planted.
    assert set(plan.answered.values()) == {1}
    assert len(plan.answered) == 2 * len(texts)
    for (text, _), num in plan.received.items():
        assert num == 1 + len(text.partition("[fail:")[2].partition("]")[0].split())
    assert plan.most_running <= concurrency
    if concurrency > 1:
        assert plan.most_running > 1
    usage = read_json(tmp_path / "volatile.json")
    assert usage["requests"] == plan.requests
    assert usage["tokens_spent"] >= plan.billed
    assert sum(usage["sent_again"].values()) == plan.requests - len(stored)


def test_faults_change_no_answer(tmp_path):
    plain = [text.replace("[fail: ", "[were: ") for text in FAILING]
    answers = []
    for number, texts in enumerate((FAILING, plain)):
        plan = Planted(answer=lambda text, _: text.replace("[fail: ", "[were: "))
        (tmp_path / str(number)).mkdir()
        with serving(plan) as url:
            stored = ask(prompts_of(texts), server_of(url), tmp_path / str(number))
        answers.append([(answer.answer, answer.num_tokens, answer.stopped) for answer in stored])
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("requests", "tokens"), [(9, None), (None, 700), (30, 900)])
def test_the_limit_holds_and_answered_requests_are_not_sent_again(tmp_path, requests, tokens):
    prompts, plan = prompts_of([f"question {i} [fail: 500 cut]" for i in range(12)]), Planted()
    with serving(plan) as url:
        bounds = {"max_requests": requests, "max_tokens": tokens, "concurrency": 4}
        with pytest.raises(PolylectError, match=r"the limit .* is reached") as error:
            ask(prompts, server_of(url, **bounds), tmp_path)
        assert "run again with a larger limit" in str(error.value)
        assert plan.requests <= (requests or 1 << 30)
        assert plan.billed <= (tokens or 1 << 30)
        kept, asked = dict(plan.answered), dict(plan.received)
        # The same bound again spends nothing at all.
        with pytest.raises(PolylectError, match="the limit"):
            ask(prompts, server_of(url, **bounds), tmp_path)
        assert dict(plan.received) == asked or requests is None
        assert plan.billed <= (tokens or 1 << 30)
        stored = ask(prompts, server_of(url), tmp_path)
    assert kept
    assert len(stored) == 12
    assert set(plan.answered.values()) == {1}
    assert all(plan.received[key] == asked[key] for key in kept)


def test_the_maximum_cost_bounds_the_actual_cost():
    prompt = Prompt(id="1", language="zh-Hans", prompt="今天天气很好", system="您好")
    assert most_tokens(prompt, config_of()) == 18 + 6 + 2 * 64 + 9


def test_a_server_without_log_probabilities_or_usage_works(tmp_path):
    plan = Planted(log_probabilities=False, limit="max_completion_tokens", usage=False)
    ledger = Ledger()
    with serving(plan) as url:
        stored = ask(prompts_of(["a b", "c"]), server_of(url), tmp_path, ledger=ledger)
    assert [answer.log_likelihood for answer in stored] == [None, None]
    assert [answer.num_tokens for answer in stored] == [None, None]
    # Each refusal taught something, and only the first request paid for it.
    assert plan.requests == 4
    assert plan.bodies[-1].keys() >= {"max_completion_tokens", "seed", "temperature"}
    assert not plan.bodies[-1].keys() & {"logprobs", "max_tokens", "top_p", "min_p"}
    assert ledger.total() == 0


def test_text_completion_uses_the_completions_path(tmp_path):
    config = config_of("none", top_p=0.9, min_p=0.1, top_k=5, stop=("x",), temperature=0.5)
    with serving(plan := Planted()) as url:
        (answer,) = ask(prompts_of(["continue me"]), server_of(f"{url}/v1/"), tmp_path, config)
    assert answer.log_likelihood == -0.5 * answer.num_tokens
    (body,) = plan.bodies
    assert body["prompt"] == "continue me"
    assert (body["top_p"], body["min_p"], body["top_k"], body["stop"]) == (0.9, 0.1, 5, ["x"])
    assert body["logprobs"] == 1


def test_a_rejected_prompt_is_counted(tmp_path):
    ledger = Ledger()
    with serving(Planted(longest=20)) as url:
        stored = ask(
            prompts_of(["short", "far too long for this one", "fine"]), server_of(url), tmp_path,
            ledger=ledger,
        )  # fmt: skip
    assert [answer.stopped for answer in stored] == ["end", "refused", "end"]
    assert stored[1].answer == ""
    said = f'{REFUSED}; the first: "400: longer than the context"'
    assert list(ledger.rows()) == [(EMPTY, "de", 1), (said, "de", 1)]
    assert stored[1].why == "400: longer than the context"


@pytest.mark.parametrize(
    ("plan", "said", "requests"),
    [
        ({"longest": 1}, "the shortest prompt is refused (400: longer than the context)", 3),
        ({"key": "secret"}, "put the key into the environment variable POLYLECT_API_KEY", 1),
    ],
)
def test_a_permanent_failure_is_one_line_after_few_requests(tmp_path, plan, said, requests):
    plan = Planted(**plan)
    with serving(plan) as url, pytest.raises(InputError) as error:
        ask(prompts_of(["ab", "cde", "fghi", "jklmn"]), server_of(url), tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert plan.requests == requests


def test_the_key_is_sent_and_not_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("POLYLECT_API_KEY", "sesame-8841")
    with serving(Planted(key="sesame-8841")) as url:
        assert len(ask(prompts_of(["a"]), server_of(url), tmp_path)) == 1
    for path in tmp_path.iterdir():
        assert b"sesame" not in path.read_bytes()


@pytest.mark.parametrize("place", [0, 20, 39])
def test_a_prompt_that_always_fails_does_not_stop_the_others(tmp_path, place):
    texts = [f"question {number}" for number in range(40)]
    texts[place] = "[never]"  # the shortest too
    plan, ledger = Planted(), Ledger()
    with serving(plan) as url:
        server = server_of(url, retries=2)
        with pytest.raises(PolylectError) as error:
            ask(prompts_of(texts), server, tmp_path)
        said = f"1 of 40 requests failed 3 times, first prompt '{place}' (de) (last: 500: this"
        assert said in str(error.value)
        assert "--skip-failed" in str(error.value)
        assert plan.requests == 39 + 3
        # Again: only what failed is sent; and kept as an empty answer where that is asked for.
        with pytest.raises(PolylectError, match="1 of 40"):
            ask(prompts_of(texts), server, tmp_path)
        assert plan.requests == 39 + 3 + 3
        skipping = server_of(url, retries=0, skip_failed=True)
        stored = ask(prompts_of(texts), skipping, tmp_path, ledger=ledger)
    assert [answer.stopped for answer in stored].count("failed") == 1
    assert stored[place].stopped == "failed"
    assert stored[place].answer == ""
    said = f'{FAILED}; the first: "500: this prompt crashes the model"'
    assert list(ledger.rows()) == [(EMPTY, "de", 1), (said, "de", 1)]


def test_a_prompt_that_is_always_refused_does_not_stop_the_others(tmp_path):
    texts = [
        "[fail: 400 400]",
        "[fail: 422 422] longer",
        *(f"question {i}".ljust(40, "?") for i in range(5)),
    ]
    with serving(Planted()) as url:
        stored = ask(prompts_of(texts), server_of(url), tmp_path)
    assert [answer.stopped for answer in stored] == ["refused"] * 2 + ["end"] * 5


@pytest.mark.parametrize("concurrency", [1, 6])
def test_a_server_that_keeps_failing_is_given_up(tmp_path, concurrency):
    texts = ["ok", *(f"[never] {number}" for number in range(40))]
    plan = Planted()
    with serving(plan) as url, pytest.raises(PolylectError) as error:
        ask(prompts_of(texts), server_of(url, retries=1, concurrency=concurrency), tmp_path)
    assert "requests in a row failed 2 times each (last: 500: this prompt" in str(error.value)
    assert plan.requests <= 1 + 2 * 3 * 6
    with serving(Planted()) as url:
        pass
    with pytest.raises(InputError, match="no server answers there"):
        ask(prompts_of(["a"]), server_of(url), tmp_path / "..")


def test_the_servers_retry_after_is_respected(tmp_path):
    assert wait_of({"retry-after": "1.5"}) == 1.5
    assert wait_of({"retry-after": "0"}) == 0
    assert wait_of({}) is wait_of({"retry-after": "soon"}) is None
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 25 < wait_of({"retry-after": later}) < 31
    plan = Planted(wait="0.7")
    with serving(plan) as url:
        started = time.monotonic()
        ask(prompts_of(["[fail: 429] x"]), server_of(url, longest_wait_seconds=5.0), tmp_path)
        assert time.monotonic() - started >= 0.7


@pytest.mark.parametrize("fault", ["429", "503", "busy"])
def test_a_server_that_says_at_once_is_asked_again_at_once(tmp_path, fault):
    plan = Planted(wait="0")
    slow = {"longest_wait_seconds": 600.0, "timeout_seconds": 60.0}
    with serving(plan) as url:
        ask(prompts_of([f"[fail: {' '.join([fault] * 8)}] x"]), server_of(url, **slow), tmp_path)
    # With exponential backoff, the eight would have waited for a minute and more.
    assert plan.requests == 9


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("template", ["own", "none"])
def test_the_habits_of_other_servers_are_understood(tmp_path, habit, template):
    ledger, plan = Ledger(), Planted(habit=habit)
    with serving(plan) as url:
        stored = ask(prompts_of(["one", "two", "three"]), server_of(url), tmp_path,
                     config_of(template), ledger)  # fmt: skip
    seeds = [None if habit == "no seed" else body["seed"] for body in plan.bodies[-3:]]
    assert sorted(answer.answer for answer in stored) == sorted(
        reply_to(body["messages"][-1]["content"] if template == "own" else body["prompt"], seed)
        for body, seed in zip(plan.bodies[-3:], seeds, strict=True)
    )
    assert {answer.stopped for answer in stored} == {
        "other" if habit in ("no finish", "calls") else "end"
    }
    events = {
        "no seed": {"fell back: the server takes no seed"},
        "no zero": {"fell back: temperature 0.001 in place of 0"},
        "no finish": {UNSAID},
        "calls": {f'{UNSAID}; the first: "tool_calls"'},
        "reasoning field": {REASONING} if template == "own" else set(),
        "reasoning parts": {REASONING} if template == "own" else set(),
        "image parts": {NO_TEXT} if template == "own" else set(),
    }
    assert set(ledger.by_event()) == events.get(habit, set())


def test_what_a_server_will_not_take_is_said_in_its_own_words(tmp_path):
    only_one = "'temperature' does not support 0 with this model. Only the default (1) value is"
    dialect = Dialect().simpler(only_one)
    assert dialect is not None
    assert dialect.simpler(only_one) is None
    assert Dialect().simpler("you exceeded your quota") is None
    assert Dialect().simpler(only_one, 0.7) is None
    without = Dialect().simpler("Unsupported parameter: 'temperature'", 1.0)
    assert without is not None
    config = config_of(temperature=1.0)
    (prompt,) = prompts_of(["x"])
    assert "temperature" not in body_for(prompt, 0, "m", config, without)
    assert without.fallbacks(config) == [
        "fell back: the server takes no temperature, not even 1: none was sent"
    ]
    assert without.simpler(only_one, 1.0) is None


def test_a_server_that_asks_to_wait_for_a_day_is_not_waited_for(tmp_path):
    with (
        serving(Planted(wait="86400")) as url,
        pytest.raises(PolylectError, match=r"asks to wait 86,400 seconds .*429") as caught,
    ):
        ask(prompts_of(["a", "[fail: 429] b b"]), server_of(url, concurrency=1), tmp_path)
    assert "kept" in caught.value.hint
    with Journal(tmp_path / JOURNAL) as journal:
        assert list(journal.rows) == [(0, 0)]


REFUSAL = "I cannot help with that"


@pytest.mark.parametrize(
    ("word", "stopped", "text", "event", "why"),
    [
        ("declined", "declined", REFUSAL, DECLINED, ""),
        ("declined in parts", "declined", REFUSAL, DECLINED, ""),
        ("declined without content", "declined", REFUSAL, DECLINED, ""),
        ("withheld", "filter", "", FILTERED, "400: triggered our policy"),
        ("withheld answer", "filter", "", FILTERED, "hate"),
        ("wrapped", "refused", "", REFUSED, "400: provider says no"),
        ("detail", "refused", "", REFUSED, "422: body.messages: too many"),
        ("object", "refused", "", REFUSED, "400: no such thing"),
        ("status alone", "refused", "", REFUSED, "413: Request Entity Too Large"),
    ],
)
def test_what_a_server_says_instead_of_an_answer_is_kept_and_shown(
    tmp_path, word, stopped, text, event, why
):
    ledger = Ledger()
    with serving(Planted()) as url:
        prompts = prompts_of(["hi", f"[{word}] one", f"[{word}] other"])
        rows = ask(prompts, server_of(url), tmp_path, ledger=ledger)
    assert [(row.stopped, row.answer, row.why) for row in rows[1:]] == [(stopped, text, why)] * 2
    said = f'{event}; the first: "{why}"' if why else event
    assert ledger.by_event()[said] == 2
    assert rows[0].stopped == "end"
    # Alone they say as much, or the command does; a filter does not speak against the server.
    alone = tmp_path / "alone"
    alone.mkdir()
    with serving(Planted()) as url:
        if stopped == "refused":
            with pytest.raises(InputError, match=why[:12]):
                ask(prompts_of([f"[{word}]"] * 2), server_of(url), alone)
        else:
            assert ask(prompts_of([f"[{word}]"] * 5), server_of(url), alone)[4].stopped == stopped


def test_each_kind_of_failure_shows_its_own_words(tmp_path):
    ledger = Ledger()
    texts = ["hi", "[detail] 1", "[object] 2", "[detail] 3", "[withheld] 4"]
    with serving(Planted()) as url:
        ask(prompts_of(texts), server_of(url), tmp_path, ledger=ledger)
    assert ledger.by_event() == {
        EMPTY: 4,
        f'{REFUSED}; the first: "422: body.messages: too many"': 2,
        f'{REFUSED}; the first: "400: no such thing"': 1,
        f'{FILTERED}; the first: "400: triggered our policy"': 1,
    }


ADDRESSES = {
    "https:/bad": "https://bad/v1",
    "localhost:8000": "http://localhost:8000/v1",
    "127.0.0.1/v1": "http://127.0.0.1/v1",
    "api.host.org/v1": "http://api.host.org/v1",
    "http://host:1/v1 ": "http://host:1/v1",
    " http://host": "http://host/v1",
    "HTTP://host/v1": "http://host/v1",
    "http:///v1": "http://HOST:PORT/v1",
    "http://host:99999/v1": "http://HOST:PORT/v1",
    "http://name:word@host/v1": "http://host/v1",
    "http://host/v1/chat/completions": "http://host/v1",
    "http://host/v1?key=1": "http://host/v1",
    "http://ho st/v1": "http://ho/v1",
}


@pytest.mark.parametrize("typed", ADDRESSES)
def test_what_is_nearly_an_address_is_corrected(typed):
    corrected = ADDRESSES[typed]
    for tail, hint in (("", ""), ("#m", "#m")):
        with pytest.raises(InputError) as error:
            read_address(typed + tail)
        assert error.value.hint == corrected + hint
        if "HOST" not in corrected:
            assert read_address(corrected + hint) == (corrected, hint[1:])
    with pytest.raises(InputError) as error:
        Server(typed, "m")
    assert error.value.hint == corrected


@pytest.mark.parametrize("folder", ["models/m", "m", "./localhost", "C:/m", "Org/model-2.5", "a:b"])
def test_a_folder_is_no_address(folder):
    assert read_address(folder) is None


def test_the_hint_about_an_address_is_that_of_the_verb(tmp_path, capsys):
    write_prompts(tmp_path, 1)
    with serving(Planted()) as url:
        bare = url.removeprefix("http://")
        for typed in (bare, f"{url}/v1 ", f"{url}/v1#planted", f"{url}/v1/chat/completions"):
            assert main(words(typed, tmp_path, tmp_path / "out")) == 2
            hint = capsys.readouterr().err.strip().rpartition(" — ")[2]
            assert hint.split()[0] == f"{url}/v1"
            out = tmp_path / f"out{len(typed)}{typed[-1]}"
            call = words(hint.split()[0], tmp_path, out)
            assert main([*call, *hint.split()[1:]]) == 0
    assert main(["eval", f"{url}/v1", "--tasks", "x", "--out", str(tmp_path / "e")]) == 2
    assert "generate, judge and grade take the address" in capsys.readouterr().err


def words(url, place, out):
    return ["generate", url, "--prompts", str(place / "p.jsonl"), "--out", str(out)]


def write_prompts(place, num, text="q {}"):
    rows = [{"id": str(i), "language": "tr", "prompt": text.format(i)} for i in range(num)]
    (place / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_command_stops_at_its_limit_and_resumes(tmp_path, capsys):
    write_prompts(tmp_path, 9)
    with serving(plan := Planted()) as url:
        call = words(url, tmp_path, tmp_path / "out")
        assert main([*call, "--dry-run"]) == 0
        assert "9 requests to" in capsys.readouterr().out
        assert plan.requests == 0
        assert main([*call, "--max-requests", "4", "--concurrency", "2"]) == 1
        assert "the limit --max-requests 4 is reached: 4 requests" in capsys.readouterr().err
        assert main(call) == 0
    assert plan.requests == 9
    stored = list(read_rows(tmp_path / "out" / "answers.parquet", Generated))
    assert [answer.id for answer in stored] == [str(i) for i in range(9)]
    assert {answer.model for answer in stored} == {"planted"}
    assert "tr" in capsys.readouterr().out
    assert read_json(tmp_path / "out" / "volatile.json")["requests"] == 9


@pytest.mark.kill
def test_a_killed_run_sends_only_unanswered_requests(tmp_path, started):
    write_prompts(tmp_path, 40)
    plan = Planted(answer=lambda text, seed: time.sleep(0.03) or reply_to(text, seed))
    with serving(plan) as url:
        call = [*words(url, tmp_path, tmp_path / "out"), "--concurrency", "3"]
        for most in (8, 20):
            child = started(COMMAND_LINE, *call)
            child.wait_until(lambda most=most: sum(plan.answered.values()) >= most)
            child.kill()
        child = started(COMMAND_LINE, *call)
        assert child.wait() == 0, child.stderr
    assert len(plan.answered) == 40
    # Each kill loses at most what was under way.
    assert sum(plan.answered.values()) <= 40 + 2 * 3
    stored = list(read_rows(tmp_path / "out" / "answers.parquet", Generated))
    assert [answer.id for answer in stored] == [str(i) for i in range(40)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--template", "plain"], "a server writes its turns itself"),
        (["--concurrency", "0"], "--concurrency is 0"),
        (["--timeout-seconds", "0"], "--timeout-seconds is 0"),
    ],
)
def test_wrong_options_for_a_server_are_refused(tmp_path, capsys, more, said):
    write_prompts(tmp_path, 1)
    call = words("http://127.0.0.1:9/v1", tmp_path, tmp_path / "out")
    assert main([*call, "--served-model", "m", *more]) == 2
    assert said in capsys.readouterr().err


def test_half_a_character_in_an_answer_is_the_replacement_character(tmp_path):
    """A server that stops within an emoji sends half of its pair, which no file can hold."""
    plan = Planted(answer=lambda text, seed: "so \ud83d")
    with serving(plan) as url:
        (answer,) = ask(prompts_of(["one"]), server_of(url), tmp_path)
    assert answer.answer == "so \ufffd"
