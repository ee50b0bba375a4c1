"""Building a model as a step of a run; torch is imported only when it works."""

from polylect.models.config import BuildConfig
from polylect.runs import StepContext, StepInputs, step


@step(version=1)
def build(config: BuildConfig, inputs: StepInputs, context: StepContext) -> None:
    """A checkpoint with fresh weights; input ``tokens`` (for the tokenizer)."""
    from polylect.checkpoints import Lineage
    from polylect.models.cohere2 import build_model
    from polylect.models.store import save_model
    from polylect.text import Tokenizer

    tokenizer = Tokenizer.load(inputs["tokens"].path / "tokenizer")
    model = build_model(
        config, tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id
    )
    lineage = Lineage(
        method="build",
        settings={"num_parameters": model.num_parameters(), "seed": config.seed},
        parents=(),
        license="Apache-2.0",
    )
    save_model(model, tokenizer, context.out, lineage)
