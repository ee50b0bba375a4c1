"""One import lets plain transformers load a mixture."""

import subprocess
import sys

import pytest
from expert_models import write_data, write_model

import polylect as pl

CODE = """
import polylect.models.nexus_families
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, pipeline
model = AutoModelForCausalLM.from_pretrained("moe")
print(type(model).__name__, model.config.expert_names, AutoConfig.from_pretrained("moe").model_type)
made = pipeline("text-generation", model=model, tokenizer=AutoTokenizer.from_pretrained("moe"))
print(len(made("Das Haus", max_new_tokens=4, do_sample=False)))
model.save_pretrained("again")
print(len(AutoModelForCausalLM.from_pretrained("again").model.layers[0].mlp.experts))
"""


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_importing_one_file_lets_transformers_load_a_mixture(family, tmp_path):
    for number, name in enumerate(("seed", "de", "fr")):
        write_model(tmp_path / name, family, number)
    write_data(tmp_path)
    pl.experts.upcycle(
        seed_model=tmp_path / "seed", experts=[tmp_path / name for name in ("de", "fr")],
        data=[tmp_path / f"{name}.jsonl" for name in ("de", "fr")], encoder="ngrams",
        out=tmp_path / "moe",
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    name = {"llama": "NexusLlama", "gemma3_text": "NexusGemma3"}[family]
    assert lines[0].startswith(f"{name}ForCausalLM ['de', 'fr'] nexus_{family}")
    assert lines[1:] == ["1", "2"]
