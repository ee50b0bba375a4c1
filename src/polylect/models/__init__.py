"""Models: build, load and save through transformers; packed attention; the chunked head."""

from typing import TYPE_CHECKING

from polylect.base import face

if TYPE_CHECKING:
    from polylect.models._writes import writing
    from polylect.models.attention import PACKED, Prefix, packed_attention
    from polylect.models.codecs import (
        NF4_BLOCK,
        SCALE_BLOCK,
        encode_nf4,
        nf4_levels,
        pack_int32,
        scale_levels,
    )
    from polylect.models.cohere2 import build_model
    from polylect.models.compatibility import check_compatible, is_weight, output_specs
    from polylect.models.config import BuildConfig, shape_for
    from polylect.models.config_defaults import with_defaults
    from polylect.models.config_keys import check_configs
    from polylect.models.decode_cache import DecodeCache
    from polylect.models.dispatch import routed
    from polylect.models.forward import (
        body_of,
        forward_hidden,
        is_packed,
        keep_prefix,
        plain_hidden,
        step_hidden,
    )
    from polylect.models.head import (
        Head,
        answer_log_probabilities,
        head_of,
        held_logits,
        scored_positions,
        token_log_probabilities,
        weighted_nll,
    )
    from polylect.models.joining import Joining
    from polylect.models.load_weights import place_weights
    from polylect.models.low_bit import (
        OUTLIER,
        Int4Linear,
        Int8DynamicLinear,
        Int8Linear,
        LowBitLinear,
        Nf4Linear,
        OutlierLinear,
        replace_linear,
    )
    from polylect.models.meta_model import (
        TORCH_DTYPES,
        fill,
        fill_own,
        first_line,
        rows_of,
        skeleton,
    )
    from polylect.models.name_conversion import WeightNames, weight_names
    from polylect.models.nexus import (
        Balance,
        NexusBlock,
        Routing,
        blocks_of,
        every_expert,
        given_experts,
        router_rows,
        routing_of,
        watched_routing,
    )
    from polylect.models.nexus_classes import family_classes, register_nexus
    from polylect.models.nexus_config import (
        FAMILIES,
        ROUTER_TYPES,
        RouterType,
        architecture_of,
        is_nexus,
        mlp_router_size,
    )
    from polylect.models.oracle import expert_of_language, is_oracle, told
    from polylect.models.probing import probe
    from polylect.models.quantized import NF4_STATE, dynamic_of, low_bit_layer
    from polylect.models.reward import load_reward_model, reward_model, reward_skeleton
    from polylect.models.rotary import unscaled_tokens
    from polylect.models.same_encoding import encode_alike
    from polylect.models.stacked_experts import (
        POLYLECT_EXPERTS,
        use_stacked_experts,
    )
    from polylect.models.steps import build
    from polylect.models.store import (
        SEPARATE,
        check_tokenizer,
        load_model,
        on_device,
        save_model,
    )
    from polylect.models.stored_weights import check_language_model
    from polylect.models.text_body import body_limits, load_body
else:
    __all__, __getattr__, __dir__ = face(__name__, __file__)
