"""The only place that loads models: transformers and peft, tokenizer, device, number format, hash.

`import rote.models` is cheap; transformers is imported when a model is loaded.
"""

from rote.models.adapters import adapter_base
from rote.models.folders import check_folder, check_safetensors, model_digest, stray_adapter
from rote.models.loaded import Batching, LoadedModel, pick_device, quiet
from rote.models.loading import is_encoder_decoder, load_model
from rote.models.tokenizers import load_tokenizer, tokenizer_digest, tokenizer_source

__all__ = [
    "Batching",
    "LoadedModel",
    "adapter_base",
    "check_folder",
    "check_safetensors",
    "is_encoder_decoder",
    "load_model",
    "load_tokenizer",
    "model_digest",
    "pick_device",
    "quiet",
    "stray_adapter",
    "tokenizer_digest",
    "tokenizer_source",
]
