"""Configs of a few layers of width 32 for any type that transformers knows: by the names of the settings, with exceptions."""

from typing import Any

from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

VOCABULARY = 260
WIDTH, HEADS, KEY_VALUE_HEADS, INNER, LAYERS, EXPERTS = 32, 4, 2, 64, 2, 4

SMALL: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "src_vocab_size", "tgt_vocab_size", "decoder_vocab_size"), VOCABULARY),
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "emb_dim", "dim", "embedding_size", "word_embed_proj_dim", "lru_width", "attention_hidden_size", "dim_model"),
        WIDTH,
    ),
    **dict.fromkeys(
        ("intermediate_size", "d_ff", "ffn_dim", "n_inner", "encoder_ffn_dim", "decoder_ffn_dim", "d_inner", "dff", "dim_ff", "ffn_hidden_size", "feed_forward_size"),
        INNER,
    ),
    **dict.fromkeys(
        ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers", "num_encoder_layers", "num_decoder_layers", "encoder_num_hidden_layers", "num_blocks"),
        LAYERS,
    ),
    **dict.fromkeys(
        ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads", "num_encoder_attention_heads", "num_decoder_attention_heads"),
        HEADS,
    ),
    **dict.fromkeys(("num_key_value_heads", "multi_query_group_num"), KEY_VALUE_HEADS),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_dim", "dim_head", "attention_head_size"), WIDTH // HEADS),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_source_positions", "max_target_positions", "max_seq_len", "context_length", "max_sequence_length", "seq_length", "max_encoder_position_embeddings", "max_decoder_position_embeddings"), 256),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts"), EXPERTS),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "expert_ffn_hidden_size", "shared_intermediate_size"), 16),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace", "n_shared_experts"), 1),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 8),
    "pad_token_id": 2, "bos_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 2, "forced_bos_token_id": None, "forced_eos_token_id": None,
    "image_token_id": 258, "video_token_id": 258, "audio_token_id": 258, "boi_token_id": 258, "eoi_token_id": 258,
    "sliding_window": 16, "attention_window_size": 16, "attention_chunk_size": 16, "local_attention_window": 16,
    "mamba_d_state": 8, "state_size": 8, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_chunk_size": 16, "chunk_size": 16, "time_step_rank": 4, "mamba_dt_rank": 4,
    "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "layerdrop": 0.0, "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0,
}  # fmt: skip
"""By the name of a setting, wherever it stands in a config."""

ROPE = {"rope_type": "default", "rope_theta": 10000.0}
SPECIAL: dict[str, dict[str, Any]] = {
    "codegen": {"rotary_dim": 4},
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 2, "hidden_size": 32},
    },
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "encoder-decoder": {"decoder": {"is_decoder": True, "add_cross_attention": True}},
    "falcon_h1": {"mamba_d_ssm": 64},
    "fsmt": {"decoder_start_token_id": 1},
    "gemma3n_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 260, "hidden_size_per_layer_input": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "led": {"attention_window": 16},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"zero_expert_num": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "reformer": {
        "is_decoder": True, "attn_layers": ["local", "lsh"], "axial_pos_embds": False, "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8, "num_buckets": 4,
    },
    "t5gemma": {"decoder_start_token_id": 0},  # as its checkpoints: they start with <bos>, and <pad> is masked
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "attention_hidden_size": 64,
        "attention_head_dim": 16, "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
    },
    "zamba2": {
        "num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "mamba"], "mamba_headdim": 8, "n_mamba_heads": 8,
        "attention_hidden_size": 64, "attention_head_dim": 16, "num_key_value_heads": 4,
    },
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
"""What a type needs besides."""
MAY_BE_UNSET = ("head_dim", "num_key_value_heads", "n_routed_experts", "num_experts_per_tok")
"""Settings that stand for something derived where they are not given."""


def tiny_config(type_: str, *, is_causal: bool) -> PretrainedConfig:
    """The config of a type, made small.

    Args:
        type_: a model type.
        is_causal: of the causal mapping: encoder-decoder types are asked for their decoder alone.
    """
    special = {"decoder_start_token_id": 2} if not is_causal else {}
    special |= SPECIAL.get(type_, {})
    made = _small(CONFIG_MAPPING[type_], special)
    if is_causal and made.is_encoder_decoder:
        made = _small(CONFIG_MAPPING[type_], {**special, "is_encoder_decoder": False, "is_decoder": True})
    return made


def _small(kind: type[PretrainedConfig], special: dict[str, Any]) -> PretrainedConfig:
    plain = kind()
    names = {*plain.to_dict(), *vars(plain), *getattr(kind, "attribute_map", {})}
    values = {name: value for name, value in SMALL.items() if name in names and _fits(plain, name)}
    if "kv_lora_rank" in names:  # latent attention has a key for each head
        values["num_key_value_heads"] = HEADS
    for name in getattr(kind, "sub_configs", {}):
        inner = getattr(plain, name, None)
        if isinstance(inner, PretrainedConfig):
            values[name] = _small(type(inner), special.get(name, {})).to_dict()
    values |= {name: value for name, value in special.items() if not isinstance(value, dict) or name not in values}
    return kind(**values)


def _fits(plain: PretrainedConfig, name: str) -> bool:
    """Whether the setting is of this kind here: a list or nothing stays what it is."""
    if name.endswith("token_id"):
        return True
    try:
        own = getattr(plain, name, None)
    except Exception:  # a setting that varies from layer to layer, says transformers in a class of its own
        return False
    return (isinstance(own, int | float) and not isinstance(own, bool)) or (own is None and name in MAY_BE_UNSET)
