"""The engine: log-likelihoods and answers of a local checkpoint, shared prefixes computed once."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.engine.answering import (
        JOURNAL,
        answer_prompts,
        count_outcomes,
        count_rejected,
        prompt_tokens,
        style_for,
    )
    from polylect.engine.config import EngineConfig, GenerateConfig, OverLong, Sampling
    from polylect.engine.embedding import embed
    from polylect.engine.encode import CUT, IN_WINDOWS, TokenRequest, encode_requests
    from polylect.engine.encoders import ENCODER_FORMS, Encoder, find_encoder
    from polylect.engine.function_reward import FunctionSource
    from polylect.engine.generation_plan import forecast
    from polylect.engine.generator import Answer, Generator, TokenPrompt
    from polylect.engine.hashed_ngrams import ngram_vectors
    from polylect.engine.journal import Journal
    from polylect.engine.limits import (
        max_input_tokens,
        room_for_prompt,
        stated_limit,
        stated_unscaled,
    )
    from polylect.engine.local import Engine, Work
    from polylect.engine.plan import Prepared, plan_passes
    from polylect.engine.remote import ask_server
    from polylect.engine.replies import served_model
    from polylect.engine.requests import Likelihood, Scores
    from polylect.engine.rewards import Question, Reward, RewardSource
    from polylect.engine.routing import RoutedText, routing_table
    from polylect.engine.sampling import EMPTY, LENGTH
    from polylect.engine.server import Server, read_address
    from polylect.engine.steps import ANSWERS, GenerateInputs, chosen_prompts, generate, model_place
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
