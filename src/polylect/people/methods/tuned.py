"""Reward models tuned with LoRA by ``train reward``: pooled, individual, conditional, personalized.

Texts are read by a local checkpoint whose adapters are trained on the pairs; the vectors of an
encoder are not read. What is kept is the adapters and heads, not the checkpoint.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from polylect.base import Count, InputError, Ledger, Positive, derive_seed
from polylect.people.crowd import Crowd, Seen, Text
from polylect.people.methods.model import CROWD, Arrays, VectorMethod, VectorModel
from polylect.people.methods.personalized import Personalized
from polylect.rows import Message, Preference, Verdict

if TYPE_CHECKING:
    from polylect.training import Adapter

NO_PROMPT = "Write a text."
"""What stands before a text that answers nothing."""


@dataclass(frozen=True)
class TunedModel(VectorModel):
    """Adapters of users and of the crowd; see ``VectorModel``."""

    def score(self, user: str, seen: Seen) -> np.ndarray:
        """Rewards of the texts, float64 [texts]; their vectors are not read."""
        known = user in self.users and bool(self.personal[self.users.index(user)])
        return self._method.reward(self, user if known else "", seen.texts)

    def adapt(self, user: str, crowd: Crowd, seen: Seen) -> "TunedModel":
        """The model with one user added, or learned anew; see ``VectorModel``."""
        others = self.without(user)
        at = self.users.index(user) if user in self.users else len(others.users)
        alone = replace(crowd, users=(user,), user=np.zeros(crowd.num_pairs, np.int32))
        learned = self._method.learn_user(self, alone) if crowd.num_pairs else {}
        return replace(
            self,
            users=(*others.users[:at], user, *others.users[at:]),
            personal=(*others.personal[:at], learned, *others.personal[at:]),
        )

    def personal_of(self, user: str) -> Arrays:
        """A user's arrays."""
        return self.personal[self.users.index(user)]

    @property
    def _method(self) -> "TunedMethod":
        assert isinstance(self.method, TunedMethod)
        return self.method


@dataclass(frozen=True)
class TunedMethod(VectorMethod):
    """Bradley–Terry on the texts themselves, by adapters of a local checkpoint.

    Attributes:
        model: folder of the checkpoint; it must stay there.
        lora_rank: of the adapters, which are scaled by 2.
        learning_rate: peak.
        epochs: passes over the pairs.
        batch_size: pairs per update.
        template: chat template: ``own`` (plain turns where there is none), ``plain``, ``aya``, or a
            Jinja file.
    """

    uses_torch: ClassVar[bool] = True

    model: str = ""
    lora_rank: Count = 16
    learning_rate: Positive = 1e-4
    epochs: Positive = 1.0
    batch_size: Count = 8
    template: str = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise InputError(f"{self.name}: which checkpoint?", "--settings model=CHECKPOINT")

    def fit(self, crowd: Crowd, seen: Seen, seed: int = 0) -> TunedModel:
        """What can be learned of a crowd; the vectors are not read. See ``VectorMethod``.

        Raises:
            InputError: no pairs, or the checkpoint cannot be tuned.
        """
        from polylect.checkpoints import Checkpoint

        if not crowd.num_pairs:
            raise InputError("there is no preference to learn from", "give a part with pairs")
        about = {"checkpoint": Checkpoint.open(self.model).digest, "seed": seed}
        shared = {CROWD: np.zeros(1), "about": _bytes(about)}
        users = tuple(crowd.users[i] for i in np.unique(crowd.user))
        start = TunedModel(self, users, shared, ({},) * len(users))
        return self.tune(start, crowd, seed)

    def load(self, users: tuple[str, ...], arrays: Arrays) -> TunedModel:
        """The model of ``VectorModel.arrays``."""
        model = super().load(users, arrays)
        return TunedModel(**{f.name: getattr(model, f.name) for f in fields(model)})

    def tune(self, model: TunedModel, crowd: Crowd, seed: int) -> TunedModel:
        """Train the crowd's adapter; each kind adds what its users have."""
        return self.with_shared(model, [crowd], [""], seed)

    def learn_user(self, model: TunedModel, crowd: Crowd) -> Arrays:
        """What a new user has; nothing gives the crowd's scores."""
        return {}

    def reward(self, model: TunedModel, user: str, texts: Sequence[Text]) -> np.ndarray:
        """Rewards of texts, float64 [texts]; the crowd's for an empty name."""
        return self.rewards(model, model.shared, texts, "")

    def with_shared(
        self, model: TunedModel, crowds: Sequence[Crowd], prefixes: Sequence[str], seed: int
    ) -> TunedModel:
        """The model with an adapter of all these rows; a prefix may hold ``{user}``."""
        rows = [row for crowd, prefix in zip(crowds, prefixes, strict=True)
                for row in _rows(crowd, prefix)]  # fmt: skip
        adapter, layout = _flat(self.adapter(rows, derive_seed(seed, "crowd"), model.ledger))
        return replace(model, shared={**model.shared, "adapter": adapter, "layout": layout})

    def adapter(self, rows: Sequence[Preference], seed: int, ledger: Ledger) -> "Adapter":
        """An adapter that was trained on rows; what is too long is counted."""
        from polylect.training import train_adapter

        return train_adapter(self._config(seed), Path(self.model), rows, ledger)

    def rewards(
        self, model: TunedModel, arrays: Arrays, texts: Sequence[Text], prefix: str
    ) -> np.ndarray:
        """Rewards by the adapter among some arrays, float64 [texts]."""
        values = self._opened(model, arrays)(_questions(texts, prefix), model.ledger)
        return np.array([answers[0] for answers in values], np.float64)

    def states(self, model: TunedModel, texts: Sequence[Text]) -> Seen:
        """The texts with the hidden states that the crowd's reward is read from."""
        values = self._opened(model, model.shared).states(_questions(texts, ""), model.ledger)
        return Seen(tuple(texts), np.array([answers[0] for answers in values], np.float32))

    def _opened(self, model: TunedModel, arrays: Arrays) -> Any:
        from polylect.checkpoints import Checkpoint
        from polylect.training import adapted_reward

        about = json.loads(model.shared["about"].tobytes())
        if Checkpoint.open(self.model).digest != about["checkpoint"]:
            raise InputError(
                f"{self.model}: not the checkpoint that the personal model was tuned on",
                "fit the personal model again",
            )
        adapter = _unflat(arrays["adapter"], model.shared["layout"])
        return adapted_reward(Path(self.model), adapter, self._config(0))

    def _config(self, seed: int) -> Any:
        from polylect.training import adapter_config

        return adapter_config(
            lora_rank=self.lora_rank, learning_rate=self.learning_rate, epochs=self.epochs,
            batch_size=self.batch_size, template=self.template, seed=seed % 2**31,
        )  # fmt: skip


@dataclass(frozen=True)
class TunedPooled(TunedMethod):
    """One adapter on all pairs; the user is ignored, and a new user needs none."""

    name: ClassVar[str] = "tuned_pooled"
    personal_names: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True)
class TunedIndividual(TunedMethod):
    """An adapter per user, of that user's pairs alone; the crowd has the pooled one."""

    name: ClassVar[str] = "tuned_individual"
    personal_names: ClassVar[tuple[str, ...]] = ("adapter",)

    def tune(self, model: TunedModel, crowd: Crowd, seed: int) -> TunedModel:
        """The crowd's adapter, then every user's."""
        model = super().tune(model, crowd, seed)
        parts = [crowd.take(crowd.pairs_of(crowd.users.index(user))) for user in model.users]
        learned = [self.learn_user(model, part) for part in parts]
        return replace(model, personal=tuple(learned))

    def learn_user(self, model: TunedModel, crowd: Crowd) -> Arrays:
        """The user's adapter."""
        seed = json.loads(model.shared["about"].tobytes())["seed"]
        adapter, layout = _flat(
            self.adapter(_rows(crowd, ""), derive_seed(seed, "user"), model.ledger)
        )
        assert np.array_equal(layout, model.shared["layout"])
        return {"adapter": adapter}

    def reward(self, model: TunedModel, user: str, texts: Sequence[Text]) -> np.ndarray:
        """Rewards by the user's adapter."""
        return self.rewards(model, model.personal_of(user) if user else model.shared, texts, "")


@dataclass(frozen=True)
class TunedConditional(TunedMethod):
    """One adapter; the user's name stands before the prompt.

    Every pair is learned twice: with the name of its user, and without one, which is the crowd. A
    new user is a name that the model has never read: it gets the scores of the crowd until the
    model is fitted again.
    """

    name: ClassVar[str] = "tuned_conditional"
    personal_names: ClassVar[tuple[str, ...]] = ("known",)

    def tune(self, model: TunedModel, crowd: Crowd, seed: int) -> TunedModel:
        """The adapter of both forms of every pair."""
        model = self.with_shared(model, [crowd, crowd], [_NAMED, ""], seed)
        return replace(model, personal=({"known": np.ones(1)},) * len(model.users))

    def reward(self, model: TunedModel, user: str, texts: Sequence[Text]) -> np.ndarray:
        """Rewards after the user's name."""
        prefix = _NAMED.format(user=user) if user else ""
        return self.rewards(model, model.shared, texts, prefix)


@dataclass(frozen=True)
class TunedPersonalized(TunedMethod):
    """One adapter for all; on its hidden states, a head per user as ``personalized`` learns it.

    The adapter and the heads are learned one after the other, not jointly as P-RLHF does: heads of
    users come and go without touching the body.
    """

    name: ClassVar[str] = "tuned_personalized"
    personal_names: ClassVar[tuple[str, ...]] = Personalized.personal_names

    def tune(self, model: TunedModel, crowd: Crowd, seed: int) -> TunedModel:
        """The crowd's adapter, then ``personalized`` on its hidden states."""
        model = super().tune(model, crowd, seed)
        heads = self._heads.fit(crowd, self.states(model, crowd.texts), seed)
        return replace(
            model, users=heads.users, personal=heads.personal,
            shared={**model.shared, **heads.shared},
        )  # fmt: skip

    def learn_user(self, model: TunedModel, crowd: Crowd) -> Arrays:
        """The user's head."""
        heads = self._heads_of(model).adapt("", crowd, self.states(model, crowd.texts))
        return heads.personal[heads.users.index("")]

    def reward(self, model: TunedModel, user: str, texts: Sequence[Text]) -> np.ndarray:
        """The head's scores of the hidden states."""
        return self._heads_of(model).score(user, self.states(model, texts))

    @property
    def _heads(self) -> Personalized:
        return Personalized(prior_sd=self.prior_sd)

    def _heads_of(self, model: TunedModel) -> VectorModel:
        return VectorModel(self._heads, model.users, model.shared, model.personal)


_NAMED = "User: {user}\n"


def _rows(crowd: Crowd, prefix: str) -> list[Preference]:
    """The pairs as rows of preferences, a prefix before each prompt."""
    rows = []
    for number, user in enumerate(crowd.user):
        text, other = (crowd.texts[side[number]] for side in (crowd.chosen, crowd.rejected))
        if text.messages != other.messages:
            place = crowd.places[number] if crowd.places else f"pair {number + 1}"
            raise InputError(
                f"{place}: two texts that answer different prompts cannot be tuned on",
                "--method without tuned_",
            )
        messages = _messages(text, prefix.format(user=crowd.users[user]))
        rows.append(Preference(
            language=text.language, messages=messages, answer_a=text.response,
            answer_b=other.response, verdict=Verdict.A,
        ))  # fmt: skip
    return rows


def _messages(text: Text, prefix: str) -> tuple[Message, ...]:
    first, *others = text.messages or (Message("user", NO_PROMPT),)
    return (replace(first, content=prefix + first.content), *others)


def _questions(texts: Sequence[Text], prefix: str) -> list[Any]:
    from polylect.engine import Question

    return [Question(_messages(text, prefix), text.language, [text.response]) for text in texts]


def _flat(adapter: "Adapter") -> tuple[np.ndarray, np.ndarray]:
    """An adapter as numbers [num], and its names and shapes as bytes."""
    names = sorted(adapter)
    layout = [[name, list(adapter[name].shape)] for name in names]
    return np.concatenate([adapter[name].ravel() for name in names]), _bytes(layout)


def _unflat(numbers: np.ndarray, layout: np.ndarray) -> dict[str, np.ndarray]:
    arrays, start = {}, 0
    for name, shape in json.loads(layout.tobytes()):
        size = int(np.prod(shape))
        arrays[name] = numbers[start : start + size].reshape(shape)
        start += size
    return arrays


def _bytes(value: object) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8).copy()
