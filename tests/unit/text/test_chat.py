import importlib
import json
import warnings

import pytest

from polylect.base import InputError, Ledger
from polylect.rows import Message, as_dicts
from polylect.text import ChatTemplate, Tokenizer, style_or_plain, train_bpe
from polylect.text.chat import render_chat
from polylect.text.turns import template_of

TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}
    {{- '<|' + message['role'] + '|>' }}
    {{- message['content'] | trim }}{{ eos_token }}
{% endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}
"""
GENERATION = """\
{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}
[{{ message.content }}]{% endgeneration %}{% else %}({{ message | tojson }}){% endif %}
{% if loop.index > 5 %}{% break %}{% endif %}{% endfor %}
"""
TURNS = [
    Message("user", " Wie heißt du? <b>&amp; "),
    Message("assistant", "クロード"),
    Message("user", "And\nyou?"),
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe({"de": ["Wie heißt du und wie alt bist du?"] * 3}, vocab_size=270)


@pytest.fixture
def folder(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    return tmp_path


def give(folder, template):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))


def by_transformers(folder, turns, add_generation_prompt=True):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        auto = importlib.import_module("transformers").AutoTokenizer
        loaded = auto.from_pretrained(str(folder))
    return loaded.apply_chat_template(
        as_dicts(turns), tokenize=False, add_generation_prompt=add_generation_prompt
    )


@pytest.mark.parametrize("add_generation_prompt", [True, False])
@pytest.mark.parametrize("template", [TEMPLATE, GENERATION, "\n\n  {% if true %} x{% endif %}"])
def test_a_chat_is_rendered_as_transformers_does(folder, template, add_generation_prompt):
    give(folder, template)
    text = render_chat(folder, TURNS, add_generation_prompt)
    assert text == by_transformers(folder, TURNS, add_generation_prompt)
    assert text.strip()


def test_what_a_chat_looks_like(folder):
    give(folder, TEMPLATE)
    assert render_chat(folder, TURNS[2:]) == "<BOS><|user|>And\nyou?<EOS>\n<|assistant|>\n"


def test_a_template_file_goes_before_the_configuration(folder):
    give(folder, "from the configuration")
    (folder / "chat_template.jinja").write_text("from the file")
    assert render_chat(folder, TURNS) == by_transformers(folder, TURNS) == "from the file"


def test_of_several_templates_the_default_one_is_taken(folder):
    named = [{"name": "tools", "template": "tools"}, {"name": "default", "template": "default"}]
    give(folder, named)
    assert render_chat(folder, TURNS) == by_transformers(folder, TURNS) == "default"
    give(folder, named[:1])
    with pytest.raises(InputError, match="no chat template"):
        render_chat(folder, TURNS)


def test_tokens_may_be_objects_or_lie_in_their_own_file(folder):
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["bos_token"]
    path.write_text(json.dumps(config | {"eos_token": {"content": "<EOS>"}}))
    (folder / "special_tokens_map.json").write_text('{"bos_token": "<BOS>"}')
    give(folder, "{{ bos_token }}|{{ eos_token }}|{{ sep_token }}")
    assert render_chat(folder, TURNS) == "<BOS>|<EOS>|"


def test_today_is_always_the_same_day(folder):
    source = "\n{{ strftime_now('%d %b %Y') }} {{ strftime_now(\"%H\") }} {{ strftime_now(fmt) }}."
    give(folder, source)
    assert render_chat(folder, TURNS) == "\n26 Jul 2024 00 2024-07-26."
    # Only the date differs from transformers.
    give(folder, "\n  {% if strftime_now is defined %}\n a{% endif %}\nb")
    assert render_chat(folder, TURNS) == by_transformers(folder, TURNS)


def test_a_tokenizer_without_a_template_is_refused(folder):
    with pytest.raises(InputError) as caught:
        render_chat(folder, TURNS)
    assert str(folder) in str(caught.value)
    assert (
        "no chat template — put it into chat_template.jinja, or do without: --template plain"
        in str(caught.value)
    )


@pytest.mark.parametrize(
    ("template", "turns", "words"),
    [
        (TEMPLATE, [Message("system", "x")], "no system turn"),
        ("{% if %}", TURNS, "cannot be used"),
        ("{{ messages[0].nothing.more }}", TURNS, "cannot be used"),
        ("{{ ''.__class__.__mro__ }}", TURNS, "unsafe"),
        ("{{ 1 / 0 }}", TURNS, "division by zero"),
    ],
)
def test_a_template_that_refuses_or_is_broken_is_one_line(folder, template, turns, words):
    give(folder, template)
    with pytest.raises(InputError, match=words) as caught:
        render_chat(folder, turns)
    assert "\n" not in str(caught.value)
    assert "mend the template, or do without: --template plain" in str(caught.value)


def test_the_digest_is_of_template_and_tokens(folder, tmp_path_factory):
    give(folder, TEMPLATE)
    template = ChatTemplate.load(folder)
    assert template.digest == ChatTemplate("elsewhere", template.source, template.tokens).digest
    assert template.digest != ChatTemplate("", template.source + " ", template.tokens).digest
    assert template.digest != ChatTemplate("", template.source, {"bos_token": "x"}).digest


def test_a_template_that_asks_for_the_date_is_counted(folder):
    for source, num in (("{{ strftime_now('%Y') }}", 1), ("{{ messages }}", 0)):
        give(folder, source)
        ledger = Ledger()
        style_or_plain(folder, Tokenizer.load(folder), "own", ledger)
        assert ledger.total("fixed: the chat template asks for today's date") == num


def test_a_broken_configuration_is_named(folder):
    (folder / "tokenizer_config.json").write_text("[]")
    with pytest.raises(InputError, match=r"tokenizer_config.json: not an object"):
        ChatTemplate.load(folder)


def test_a_processors_template_is_read_where_the_tokenizer_has_none(tmp_path):
    (tmp_path / "chat_template.json").write_text('{"chat_template": "{{ messages }}"}')
    assert ChatTemplate.load(tmp_path).source == "{{ messages }}"
    named = [{"name": "rag", "template": "x"}, {"name": "default", "template": "{{ bos_token }}"}]
    for several in (named, {entry["name"]: entry["template"] for entry in named}):
        (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": several}))
        assert ChatTemplate.load(tmp_path).source == "{{ bos_token }}"
    (tmp_path / "chat_template.jinja").write_text("{{ 1 }}")
    assert ChatTemplate.load(tmp_path).source == "{{ 1 }}"


WITHOUT_SYSTEM = """\
{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}
<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}"""
LAST_USER_ALONE = """\
{% for m in messages %}{% if m.role == 'user' and not loop.last %}{% continue %}{% endif %}
<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}"""
SYSTEM_IN_USER = """\
{% set first = messages[0].content if messages[0].role == 'system' else '' %}
{% for m in messages if m.role != 'system' %}<|{{ m.role }}|>{% if loop.first %}{{ first }}
{% endif %}{{ m.content | trim }}{{ eos_token }}{% endfor %}"""
SHOUTS = "{% for m in messages %}{{ m.content | upper }}{{ eos_token }}{% endfor %}"
READS_JSON = "{% for m in messages %}{{ m.content[1:] | upper }}{{ eos_token }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "lost"),
    [(WITHOUT_SYSTEM, "turn 1 (system)"), (LAST_USER_ALONE, "turn 2 (user)"),
     (SYSTEM_IN_USER, ""), (READS_JSON, ""), (SHOUTS, ""),
     (SHOUTS.replace("| upper", "[-9:]"), "turn 1 (system)"),
     (SHOUTS.replace("m.content |", "m.content[:2] ~ '…' ~ m.content[-2:] |"), "turn 1 (system)"),
     (SHOUTS.replace("{{ m", "{{ '' if m.content | length < 5 else m"), "turn 2 (user)")],
)  # fmt: skip
def test_a_message_that_the_template_does_not_write_is_refused(template, lost):
    chat = ChatTemplate("place", template, {"eos_token": "<|end|>", "bos_token": "<s>"})
    turns = [Message("system", "Antworte kurz. "), Message("user", "Ja?\n"),
             Message("assistant", "Nein."), Message("user", "Doch! ")]  # fmt: skip
    if lost:
        with pytest.raises(InputError) as caught:
            chat.render_every_turn(turns)
        assert caught.value.message == f"place: the chat template does not write all of {lost}"
    else:
        assert chat.render_every_turn(turns) == chat.render(turns)


@pytest.mark.parametrize(
    ("name", "content", "ends"),
    [("chat_template.jinja", b"\xff\xfe", None), ("chat_template.json", b"{", None),
     ("chat_template.json", b"3", None),
     ("chat_template.jinja", b"version https://git-lfs.github.com/spec/v1\n", None),
     ("chat_template.json", b'"mine"', "mine"),
     ("chat_template.json", b'[{"name": "default", "template": "mine"}]', "mine"),
     ("other.json", b"{", "")],
)  # fmt: skip
def test_a_template_that_cannot_be_read_is_not_taken_for_none(folder, name, content, ends):
    config = folder / "tokenizer_config.json"
    values = json.loads(config.read_text())
    values.pop("chat_template", None)
    config.write_text(json.dumps(values))
    (folder / name).write_bytes(content)
    if ends is None:
        with pytest.raises(InputError, match=name.replace(".", "[.]")):
            template_of(folder)
    else:
        assert template_of(folder) == ends


@pytest.mark.parametrize("text", ["q", "qz", "qzx", "z", "どうも"])
def test_no_text_of_a_user_is_what_a_template_is_tried_with(text):
    template = ChatTemplate("here", "{{ messages[0].content }}", {})
    assert template.render_every_turn([Message("user", text)], False) == text


CHATML = """\
{%- for message in messages %}{{- '<|' + message['role'] + '|>' }}CONTENT{{ eos_token }}
{% endfor %}{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}
"""
THOUGHT = "<think>hm</think>Ja."
KEPT = "{{- message['content'] | trim }}"
ALTERING = {
    "keeps all": (KEPT, ["Ja.", "Ja."], 0),
    "trims": (KEPT, ["  Ja. \n", "Nein."], 0),
    "leaves out answers": (
        "{% if message['role'] != 'assistant' %}{{- message['content'] }}{% endif %}",
        ["Ja.", "Nein."],
        2,
    ),
    "keeps the last answer": (
        "{% if message['role'] != 'assistant' or loop.index > 2 %}"
        "{{- message['content'] }}{% endif %}",
        ["Ja.", "Ja."],
        1,
    ),
    "drops thoughts": ("{{- message['content'].split('</think>')[-1] }}", ["Ja.", THOUGHT], 1),
    "shortens": ("{{- message['content'][:40] }}", ["ど" * 41, "ど" * 40], 1),
    "empty": (KEPT, ["", " "], 0),
}


@pytest.mark.parametrize("name", ALTERING)
def test_earlier_answers_that_a_template_alters_are_counted(name):
    content, (first, second), num = ALTERING[name]
    template = ChatTemplate("here", CHATML.replace("CONTENT", content), {"eos_token": "</s>"})
    turns = [Message("user", "Was?"), Message("assistant", first), Message("user", "Wie?"),
             Message("assistant", second), Message("user", "Wo?")]  # fmt: skip
    assert template.num_altered(turns) == num
    assert template.num_altered(turns[:1]) == 0
