"""LoRA adapters as peft saves them: every tensor gets its place in the base, or is refused."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from polylect.base import InputError, digest_of, file_digests, read_json
from polylect.checkpoints import FLOAT_DTYPES, Checkpoint, TensorInfo, read_header, read_raw
from polylect.merging.lora import Adapter, Change, Delta
from polylect.merging.lora_places import Places

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(.+)\.lora_(?:embedding_)?([AB])(?:\.weight)?")
_MAGNITUDE = re.compile(r"(.+)\.lora_magnitude_vector(?:\.weight)?")
_VECTOR = re.compile(r"(.+)\.lora_B\.bias")
_ROWS = re.compile(r"(.+)\.token_adapter\.trainable_tokens_delta")
_WRAPPED = re.compile(r"\.(?:base_layer|token_adapter|modules_to_save)(?=\.)")
# These change the model in other ways than by the tensors that are read here.
_UNSUPPORTED = {
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "arrow_config": "Arrow",
    "layer_replication": "replicated layers",
    "target_parameters": "adapters of bare parameters",
    "alora_invocation_tokens": "aLoRA",
    "megatron_config": "Megatron layers",
}
# These initializations change the base: the adapter belongs to another base.
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_HINT = "merge it into its base with peft: model.merge_and_unload().save_pretrained(DIR)"
# What peft does not merge either.
_UNMERGED = {"use_qalora", "arrow_config", "layer_replication", "alora_invocation_tokens"}
_PROMPTS = {
    "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT",
    "CPT", "CARTRIDGE", "XLORA",
}  # fmt: skip
_WITH_PEFT = "peft does not merge it either: use the model with peft"
_OTHER_BASE = "is this the base of the adapter?"


def read_adapter(path: Path, base: Checkpoint) -> Adapter:
    """An adapter with its tensors assigned to those of the base; reads no values of the base.

    Supports LoRA as peft saves it: rank and alpha by pattern, rank-stabilized scaling, DoRA,
    embeddings and heads (with the layer that peft saves beside), transposed layers, biases, single
    trained tokens, and whole modules, also of a model whose head is tied: then it is tied no more.

    Raises:
        InputError: no adapter in the folder, an unsupported kind (named), or a tensor that does not
            belong to the base.
    """
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (path / name).is_file():
            is_pickled = (path / "adapter_model.bin").is_file() and name == ADAPTER_WEIGHTS
            hint = "save it again with safetensors" if is_pickled else "give the adapter's folder"
            raise InputError(f"{path}: no {name}", hint)
    config = read_json(path / ADAPTER_CONFIG)
    _check_config(path, config)
    sorting = _Sorting(path, config, base)
    for name, info in read_header(path / ADAPTER_WEIGHTS).items():
        if info.dtype not in FLOAT_DTYPES:
            raise InputError(f"{path}: tensor {name!r} is {info.dtype}, not of floats", _HINT)
        sorting.take(name, info)
    changes = sorting.changes()
    digests = file_digests(path)
    digest = digest_of({name: digests[name] for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)})
    return Adapter(path, changes, sorting.untied, digest)


class _Sorting:
    """The tensors of an adapter by what they do, then by the tensor that they change."""

    def __init__(self, path: Path, config: Mapping[str, Any], base: Checkpoint) -> None:
        self.path, self.config, self.base = path, config, base
        self.places = Places(base)
        self.untied: dict[str, TensorInfo] = {}
        self._factors: dict[str, dict[str, TensorInfo]] = {"A": {}, "B": {}}
        self._embeddings: set[str] = set()
        self._magnitudes: dict[str, TensorInfo] = {}
        self._vectors: dict[str, TensorInfo] = {}
        self._rows: dict[str, TensorInfo] = {}
        self._whole: dict[str, TensorInfo] = {}

    def take(self, name: str, info: TensorInfo) -> None:
        """Sort one tensor by its name."""
        inner = name.removeprefix(_PREFIX)
        if match := _FACTOR.fullmatch(inner):
            self._factors[match[2]][match[1]] = info
            if "lora_embedding_" in inner:
                self._embeddings.add(match[1])
        elif match := _MAGNITUDE.fullmatch(inner):
            self._magnitudes[match[1]] = info
        elif match := _VECTOR.fullmatch(inner):
            self._vectors[match[1]] = info
        elif match := _ROWS.fullmatch(inner):
            self._rows[match[1]] = info
        else:
            self._whole[_WRAPPED.sub("", inner)] = info

    def changes(self) -> dict[str, Change]:
        """What is done to each tensor of the base, by its name there.

        Raises:
            InputError: a tensor does not fit.
        """
        changes: dict[str, Change] = {}
        for name, info in self._whole_by_tensor().items():
            target = self.untied[name] if name in self.untied else self.base.tensors[name]
            if info.shape != target.shape:
                raise InputError(
                    f"{self.path}: tensor {name!r} has shape {info.shape}, in the base "
                    f"{target.shape}",
                    f"was its vocabulary grown? model.resize_token_embeddings({info.shape[0]}) and"
                    " save_pretrained make a base for it",
                )
            changes[name] = Change(whole=info)
        for module in sorted({*self._factors["A"], *self._factors["B"], *self._magnitudes}):
            name, change = self._low_rank(module)
            changes[name] = changes.get(name, Change()).also(change)
        for module, info in self._vectors.items():
            if not self.places.find(f"{module}.bias"):
                raise InputError(
                    f"{self.path}: lora_bias adds a bias to {module}, which has none in"
                    f" {self.base.path}",
                    "peft does not merge it either: use the model with peft, or train the adapter"
                    " without lora_bias",
                )
            target = self.places.tensor(f"{module}.bias", self.path, f"a bias of {module}")
            _check(self.path, info.name, info.shape, target.shape)
            scale = self._scale(module, self._factors["A"][module].shape)
            changes[target.name] = changes.get(target.name, Change()).also(
                Change(vector=(info, scale))
            )
        for module, info in self._rows.items():
            for name, change in self._trained_rows(module, info).items():
                changes[name] = changes.get(name, Change()).also(change)
        return changes

    def _low_rank(self, module: str) -> tuple[str, Change]:
        for factor, modules in self._factors.items():
            if module not in modules:
                raise InputError(
                    f"{self.path}: {module} has no lora_{factor}", "save the adapter again"
                )
        tied = [name for name in self.places.tied(f"{module}.weight") if module not in name]
        if tied:
            raise InputError(
                f"{self.path}: {module} has LoRA, and its weight is tied to {tied[0]} in the base: "
                "merging would change both, where one was trained",
                f"untie the base first: {tied[0]} in its file, tie_word_embeddings false in its"
                " config.json",
            )
        target = self.places.tensor(f"{module}.weight", self.path, module)
        a, b = self._factors["A"][module], self._factors["B"][module]
        transposed = module in self._embeddings
        if not transposed and len(a.shape) == len(b.shape) == 2:
            transposed = self.places.is_transposed(
                module,
                stated=bool(self.config.get("fan_in_fan_out")),
                shape=(b.shape[0], a.shape[1]),
            )
        delta = Delta(a, b, self._scale(module, a.shape), transposed)
        _check_shapes(self.path, target, delta)
        magnitude = self._magnitudes.get(module)
        if magnitude is not None:
            outputs = target.shape[1] if transposed else target.shape[0]
            _check(self.path, magnitude.name, (magnitude.num_elements,), (outputs,))
        elif self.config.get("use_dora"):
            raise InputError(
                f"{self.path}: {module} has no lora_magnitude_vector", "save the adapter again"
            )
        return target.name, Change(delta=delta, magnitude=magnitude)

    def _trained_rows(self, module: str, info: TensorInfo) -> dict[str, Change]:
        """Rows of an embedding that were trained, also of the head that is tied to it."""
        stated = self.config.get("trainable_token_indices")
        if isinstance(stated, dict):
            fits = [key for key in stated if module == key or module.endswith(f".{key}")]
            stated = stated[fits[0]] if fits else None
        if not isinstance(stated, list) or not all(type(index) is int for index in stated):
            raise InputError(
                f"{self.path / ADAPTER_CONFIG}: no trainable_token_indices for {module}",
                "save the adapter again",
            )
        target = self.places.tensor(f"{module}.weight", self.path, module)
        _check(self.path, info.name, info.shape, (len(stated), *target.shape[1:]))
        if stated and not 0 <= min(stated) <= max(stated) < target.shape[0]:
            raise InputError(
                f"{self.path / ADAPTER_CONFIG}: trainable_token_indices go to {max(stated)}, "
                f"{target.name!r} has {target.shape[0]} rows",
                _OTHER_BASE,
            )
        tied = {self.places.find(name) for name in self.places.tied(f"{module}.weight")} - {""}
        rows = (tuple(stated), info)
        return {name: Change(rows=rows) for name in sorted({target.name, *tied})}

    def _whole_by_tensor(self) -> dict[str, TensorInfo]:
        """Tensors that take the place of others, by the names of those in the result."""
        low_rank = {f"{module}.weight" for module in self._factors["A"]}
        placed: dict[str, TensorInfo] = {}
        for name, info in self._whole.items():
            tied = () if name in low_rank else self.places.tied(name)
            if tied and not self._stay_tied(tied):
                source = self.places.tensor(tied[-1], self.path, f"tensor {name!r}")
                for other in tied:
                    if not self.places.find(other):
                        self.untied[other] = source
                placed[self.places.find(name) or name] = info
            elif tied:
                placed |= {self.places.find(other): info for other in tied}
                placed.pop("", None)
            elif name not in low_rank or self.places.find(name):
                target = self.places.tensor(name, self.path, f"tensor {info.name!r}")
                placed[target.name] = info
        return placed

    def _stay_tied(self, tied: tuple[str, ...]) -> bool:
        """Whether all of the weights that are tied were replaced, by the same values."""
        infos = [self._whole.get(name) for name in tied]
        if None in infos:
            return False
        raw = [read_raw(info) for info in infos if info is not None]
        return all(np.array_equal(raw[0], other) for other in raw[1:])

    def _scale(self, module: str, shape: tuple[int, ...]) -> float:
        """Alpha / rank, or alpha / sqrt(rank); the first pattern that fits the module's end."""
        alpha = self.config["lora_alpha"]
        for pattern, value in (self.config.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = value
                break
        rank = shape[0] if shape else 1
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)


def _check_config(path: Path, config: Any) -> None:
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise InputError(
            f"{path}: an adapter of kind {kind!r}, only LORA is supported",
            _WITH_PEFT if kind in _PROMPTS else _HINT,
        )
    for key, name in _UNSUPPORTED.items():
        if config.get(key):
            hint = _WITH_PEFT if key in _UNMERGED else _HINT
            raise InputError(f"{path}: {name} ({key}) is not supported", hint)
    initialization = config.get("init_lora_weights")
    if isinstance(initialization, str) and initialization.lower().startswith(_CHANGES_BASE):
        raise InputError(
            f"{path}: init_lora_weights is {initialization!r}, which changed the base "
            "before training",
            "convert it to plain LORA with peft (path_initial_model_for_weight_conversion)",
        )
    if not isinstance(config.get("lora_alpha"), int | float):
        raise InputError(f"{path / ADAPTER_CONFIG}: no lora_alpha", "save the adapter again")


def _check_shapes(path: Path, target: TensorInfo, delta: Delta) -> None:
    a, b, shape = delta.a.shape, delta.b.shape, target.shape
    expected = shape[::-1] if delta.transposed else shape
    are_matrices = len(a) == len(b) == len(shape) == 2
    if not are_matrices or a[0] != b[1] or (b[0], a[1]) != expected:
        raise InputError(
            f"{path}: lora_A {list(a)} and lora_B {list(b)} do not make {target.name!r} "
            f"of shape {list(shape)}",
            _OTHER_BASE,
        )


def _check(path: Path, name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise InputError(f"{path}: tensor {name!r} has shape {shape}, not {expected}", _OTHER_BASE)
