"""Fifteen chat templates in the manner of public families, fifteen kinds of conversation.

The templates are written for these tests: only the markers are those of the families. What each
writes of an assistant's turn stands beside it in Python, by hand: the oracle of the matrix.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TURN = "{% for m in messages %}"
END = "{% endfor %}"
ALTERNATE = (
    "{% for m in messages if m.role != 'system' %}{% if (m.role == 'user') != (loop.index0 % 2 =="
    " 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/…') }}"
    "{% endif %}{% endfor %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}"
)
CHATML_TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
CHATML_ASK = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
CALLS = (
    "{% for call in m.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
    "\n</tool_call>{% endfor %}"
)
EOS = "⏏"
"""Stands for the tokenizer's end-of-text token."""
CALL_TEXT = '<tool_call>\n{"name": "add", "arguments": {"a": 2}}\n</tool_call>'


@dataclass(frozen=True)
class Family:
    """A template and what it writes of an assistant's turn.

    Attributes:
        template: in Jinja.
        specials: its special tokens.
        says: the text that is learned of a turn (a message, whether no user follows), or None where
            the template leaves something of it out.
        plain_tokens: tokens of the vocabulary that are not special.
    """

    template: str
    specials: tuple[str, ...]
    says: Callable[[dict[str, Any], bool], str | None]
    plain_tokens: tuple[str, ...] = field(default=())


def turn(
    tail: str, lead: str = "", *, strip: bool = False, calls: bool = False
) -> Callable[[dict[str, Any], bool], str | None]:
    """What a template writes that adds ``lead`` and ``tail``, and may strip the content."""

    def says(message: dict[str, Any], is_last: bool) -> str | None:
        if message.get("reasoning_content") or (message.get("tool_calls") and not calls):
            return None
        text = message["content"] + (CALL_TEXT if message.get("tool_calls") else "")
        return lead + (text.strip() if strip else text) + tail

    return says


def qwen3(message: dict[str, Any], is_last: bool) -> str | None:
    """Qwen3 writes a thought, be it empty, behind the last user's turn."""
    text, thought = message["content"], message.get("reasoning_content", "")
    if "</think>" in text:
        thought = text.split("</think>")[0].split("<think>")[-1].strip("\n")
        text = text.split("</think>")[-1].lstrip("\n")
    if is_last:
        text = f"<think>\n{thought}\n</think>\n\n" + text.lstrip("\n")
    return text + (CALL_TEXT if message.get("tool_calls") else "") + "<|im_end|>"


def without_thought(tail: str) -> Callable[[dict[str, Any], bool], str | None]:
    """DeepSeek leaves thoughts out wherever they stand."""

    def says(message: dict[str, Any], is_last: bool) -> str | None:
        if "</think>" in message["content"]:
            return None
        return turn(tail)(message, is_last)

    return says


def never(message: dict[str, Any], is_last: bool) -> str | None:
    """The model goes on after other text than stands before an answer."""
    return None


MISTRAL = (
    "{{ bos_token }}{% set ns = namespace(system='', last=0) %}" + TURN + "{% if m.role == 'system'"
    " %}{% set ns.system = m.content + '\n\n' %}{% elif m.role == 'user' %}{% set ns.last ="
    " loop.index0 %}{% endif %}" + END + TURN + "{% if m.role == 'user' %}{% if loop.index0 =="
    " ns.last %}{% if tools %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "[INST] {{ ns.system + m.content }}[/INST]{% else %}[INST] {{ m.content }}[/INST]{% endif %}"
    "{% elif m.role == 'tool' %}[TOOL_RESULTS] {{ m.content }}[/TOOL_RESULTS]{% elif m.tool_calls"
    " %}[TOOL_CALLS] " + CALLS + "{{ eos_token }}{% elif m.role == 'assistant' %} {{ m.content }}"
    "{{ eos_token }}{% endif %}" + END
)
QWEN_BEGIN = (
    "{% if tools %}<|im_start|>system\n{% if messages and messages[0].role == 'system' %}"
    "{{ messages[0].content }}{% else %}DEFAULT{% endif %}\n# Tools\n{% for tool in tools %}"
    "{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% elif not messages or messages[0].role !="
    " 'system' %}BEGIN{% endif %}"
)
QWEN_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
QWEN_OTHERS = (
    "{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response>"
    "<|im_end|>\n{% elif m.role != 'system' or not (tools and loop.first) %}"
)
QWEN3 = (
    QWEN_BEGIN.replace("DEFAULT", "").replace("BEGIN", "")
    + "{% set ns = namespace(last=0) %}"
    + TURN
    + "{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    + END
    + TURN
    + "{% if m.role == 'assistant' %}{% set content = m.content %}{% set thought ="
    " m.reasoning_content or '' %}{% if '</think>' in content %}{% set thought ="
    " content.split('</think>')[0].split('<think>')[-1].strip('\n') %}{% set content ="
    " content.split('</think>')[-1].lstrip('\n') %}{% endif %}<|im_start|>assistant\n"
    "{% if loop.index0 > ns.last and (loop.last or thought) %}<think>\n{{ thought }}\n</think>\n\n"
    "{{ content.lstrip('\n') }}{% else %}{{ content }}{% endif %}" + CALLS + "<|im_end|>\n"
    "{% else %}" + QWEN_OTHERS + CHATML_TURN + "{% endif %}{% endif %}" + END + CHATML_ASK
)
COMMAND = "<|START_OF_TURN_TOKEN|><|{0}_TOKEN|>{{{{ m.content{1} }}}}<|END_OF_TURN_TOKEN|>"


def command(trim: str) -> str:
    """The turns of Command and Aya models."""
    return (
        "{{ bos_token }}" + TURN + "{% if m.role == 'system' %}" + COMMAND.format("SYSTEM", trim)
        + "{% elif m.role == 'user' %}" + COMMAND.format("USER", trim) + "{% elif m.role =="
        " 'assistant' %}" + COMMAND.format("CHATBOT", trim) + "{% else %}"
        "{{ raise_exception('Only user and assistant roles are supported') }}{% endif %}" + END
        + "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
    )  # fmt: skip


COMMAND_TOKENS = ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>",
                  "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>")  # fmt: skip
DEEPSEEK = (
    "{{ bos_token }}" + TURN + "{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user'"
    " %}<｜User｜>{{ m.content }}{% elif m.role == 'assistant' %}<｜Assistant｜>"
    "{{ m.content.split('</think>')[-1] }}<｜end▁of▁sentence｜>{% endif %}" + END
    + "{% if add_generation_prompt %}<｜Assistant｜>THINK{% endif %}"
)  # fmt: skip
DEEPSEEK_TOKENS = ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>")

FAMILIES = {
    "ChatML": Family(TURN + CHATML_TURN + END + CHATML_ASK, CHATML_TOKENS, turn("<|im_end|>")),
    "SmolLM2": Family(
        TURN + "{% if loop.first and m.role != 'system' %}<|im_start|>system\nYou are a small"
        " model.<|im_end|>\n{% endif %}" + CHATML_TURN + END + CHATML_ASK,
        CHATML_TOKENS, turn("<|im_end|>"),
    ),
    "Llama 2": Family(
        ALTERNATE + "{% set ns = namespace(system='') %}" + TURN + "{% if m.role == 'system' %}"
        "{% set ns.system = '<<SYS>>\n' + m.content + '\n<</SYS>>\n\n' %}{% elif m.role == 'user'"
        " %}{{ bos_token }}[INST] {{ (ns.system + m.content) | trim }} [/INST]{% set ns.system = ''"
        " %}{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}" + END,
        (), turn(" " + EOS, " ", strip=True),
    ),
    "Llama 3": Family(
        "{{ bos_token }}" + TURN + "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>" + END + "{% if add_generation_prompt %}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), turn("<|eot_id|>", strip=True),
    ),
    "Gemma": Family(
        NO_SYSTEM + ALTERNATE + "{{ bos_token }}" + TURN + "<start_of_turn>{{ 'model' if m.role =="
        " 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n" + END
        + "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ("<start_of_turn>", "<end_of_turn>"), turn("<end_of_turn>", strip=True),
    ),
    "Zephyr": Family(
        TURN + "{% if m.role in ['system', 'user', 'assistant'] %}<|{{ m.role }}|>\n{{ m.content }}"
        "{{ eos_token }}\n{% endif %}{% if loop.last and add_generation_prompt %}<|assistant|>\n"
        "{% endif %}" + END,
        (), turn(EOS),
    ),
    "Mistral v3": Family(
        MISTRAL, ("[INST]", "[/INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
                  "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
        lambda m, is_last: (
            f"[TOOL_CALLS] {CALL_TEXT}{EOS}" if m.get("tool_calls") else turn(EOS, " ")(m, is_last)
        ),
    ),
    "Qwen2.5": Family(
        QWEN_BEGIN.replace("DEFAULT", "You are a helpful assistant.").replace("BEGIN", QWEN_SYSTEM)
        + TURN + "{% if m.role == 'assistant' %}<|im_start|>assistant\n{{ m.content }}" + CALLS
        + "<|im_end|>\n{% else %}" + QWEN_OTHERS + CHATML_TURN + "{% endif %}{% endif %}" + END
        + CHATML_ASK,
        CHATML_TOKENS, turn("<|im_end|>", calls=True), ("<tool_call>", "</tool_call>"),
    ),
    "Qwen3": Family(
        QWEN3, CHATML_TOKENS, qwen3, ("<tool_call>", "</tool_call>", "<think>", "</think>")
    ),
    "Phi-3": Family(
        TURN + "<|{{ m.role }}|>\n{{ m.content }}<|end|>\n" + END + "{% if add_generation_prompt %}"
        "<|assistant|>\n{% else %}{{ eos_token }}{% endif %}",
        ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"), turn("<|end|>"),
    ),
    "Command R": Family(command(""), COMMAND_TOKENS, turn("<|END_OF_TURN_TOKEN|>")),
    "Aya, trimmed": Family(
        command(" | trim"), COMMAND_TOKENS, turn("<|END_OF_TURN_TOKEN|>", strip=True)
    ),
    "DeepSeek": Family(
        DEEPSEEK.replace("THINK", ""), DEEPSEEK_TOKENS, without_thought("<｜end▁of▁sentence｜>"),
        ("<think>", "</think>"),
    ),
    "DeepSeek R1": Family(
        DEEPSEEK.replace("THINK", "<think>\n"), DEEPSEEK_TOKENS, never, ("<think>", "</think>")
    ),
    "Alpaca": Family(
        "{{ bos_token }}" + TURN + "{% if m.role == 'system' %}{{ m.content }}\n\n{% elif m.role =="
        " 'user' %}### Instruction: {{ m.content }}\n\n{% elif m.role == 'assistant' %}"
        "### Response: {{ m.content }}{{ eos_token }}\n\n{% endif %}" + END
        + "{% if add_generation_prompt %}### Response: {% endif %}",
        (), turn(EOS),
    ),
}  # fmt: skip

TOOL = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {}}}
ASK = {"role": "user", "content": "Two and two?"}


def said(text: str, **more: Any) -> dict[str, Any]:
    """A turn of the assistant."""
    return {"role": "assistant", "content": text} | more


CONVERSATIONS: dict[str, dict[str, Any]] = {
    "one turn": {"messages": [ASK, said("Four.")]},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, ASK, said("Four.")]},
    "system, two turns": {"messages": [
        {"role": "system", "content": "Be brief."}, ASK, said("Four."),
        {"role": "user", "content": "And one?"}, said("Five."),
    ]},
    "several turns": {"messages": [
        ASK, said("Four."), {"role": "user", "content": "And one?"}, said("Five."),
        {"role": "user", "content": "Sure?"}, said("Yes, five."),
    ]},
    "tools": {"messages": [
        ASK,
        said("", tool_calls=[{"type": "function",
                              "function": {"name": "add", "arguments": {"a": 2}}}]),
        {"role": "tool", "content": "4"}, said("Four."),
    ], "tools": [TOOL]},
    "reasoning_content": {"messages": [ASK, said("Four.", reasoning_content="hm, 2 + 2")]},
    "<think> in several turns": {"messages": [
        ASK, said("<think>\nhm\n</think>\n\nFour."), {"role": "user", "content": "And one?"},
        said("<think>\nso 5\n</think>\n\nFive."),
    ]},
    "begins with a line end": {"messages": [ASK, said("\nFour.")]},
    "ends with white space": {"messages": [ASK, said("Four. \n")]},
    "white space in the prompt": {"messages": [{"role": "user", "content": " Two?\n\n"},
                                               said("Four.")]},
    "empty answer": {"messages": [ASK, said("")]},
    "control tokens": {"messages": [
        {"role": "user", "content": "Say CONTROL and more"}, said("CONTROL is a token")
    ]},
    "scripts without spaces": {"messages": [
        {"role": "user", "content": "今日は良い天気"}, said("ですね。散歩に行きましょう"),
        {"role": "user", "content": "مرحبا، كيف"}, said("حالك؟ بخير"),
    ]},
    "content as parts": {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "Two and "},
                                     {"type": "text", "text": "two?"}]},
        said("Four."),
    ]},
    "assistant first": {"messages": [said("Hello."), ASK, said("Four.")]},
}  # fmt: skip
