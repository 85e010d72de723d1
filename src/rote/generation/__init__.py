"""Stage 3 of 7: shows each model the beginnings of the records and keeps what it writes.

`prompts` cuts examples into prompts and references, `language_model` draws generations in fixed batches from anything
that continues texts, `decoding` is that for transformers models, `blocking` keeps models from writing training text out,
`controls` makes the generations of the positive and the negative control, `tokens` is the one place where text becomes
token ids (the teacher-forced pass uses it too). Nothing here knows of runs and files; but for `blocking`, nothing knows of
training texts other than a prompt's own.
"""

from rote.generation.blocking import ForbiddenTokens, forbidden_tokens, training_tokens
from rote.generation.controls import Shuffled, shuffled_generations, true_suffix_generations
from rote.generation.decoding import TransformersModel
from rote.generation.language_model import Draw, LanguageModel, decoding_label, generate
from rote.generation.prompts import CutPrompts, cut_prompts, moved_sentence, prompting_hint, resolved

__all__ = [
    "CutPrompts",
    "Draw",
    "ForbiddenTokens",
    "LanguageModel",
    "Shuffled",
    "TransformersModel",
    "cut_prompts",
    "decoding_label",
    "forbidden_tokens",
    "generate",
    "moved_sentence",
    "prompting_hint",
    "resolved",
    "shuffled_generations",
    "training_tokens",
    "true_suffix_generations",
]
