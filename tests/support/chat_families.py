"""The chat templates of public families of models, and the special tokens that they spell."""

from polylect.text.turns import AYA_TEMPLATE

TURN = "{% for message in messages %}"
LLAMA3 = (
    "{{ bos_token }}" + TURN + "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}" + TURN + "{% set role = 'model' if message['role'] == 'assistant' else"
    " message['role'] %}<start_of_turn>{{ role }}\n{{ message['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
CHATML = (
    TURN + "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}" + TURN + "{% if message['role'] == 'user' %}[INST] {{ message['content'] }}"
    " [/INST]{% else %} {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    TURN + "\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] +"
    " eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' +"
    " message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
    "{% endfor %}"
)
PHI3 = (
    TURN + "<|{{ message['role'] }}|>\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
FAMILIES = {
    "Llama 3": (LLAMA3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "<|eot_id|>"),
    "Gemma": (GEMMA, ("<start_of_turn>", "<end_of_turn>"), "<end_of_turn>"),
    "Qwen (ChatML)": (CHATML, ("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
    "Aya 23, Command": (
        AYA_TEMPLATE,
        ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>",
         "<|SYSTEM_TOKEN|>"),
        "<|END_OF_TURN_TOKEN|>",
    ),
    "Mistral": (MISTRAL, ("[INST]", "[/INST]"), "<EOS>"),
    "Zephyr": (ZEPHYR, (), "<EOS>"),
    "Phi 3": (PHI3, ("<|user|>", "<|assistant|>", "<|end|>"), "<|end|>"),
}  # fmt: skip
"""Template, special tokens, and the token that ends a turn, by family."""
