"""Words, sentences and terms of a text, with spans that the tokenizer itself hands out (nothing is searched for).

No model and no download. The sentence splitter is our own handful of rules, by language: the packages at hand either
look their sentences up again in the text to find the spans, or change their boundaries (and with them every published
rate) between releases; and none knows that a line that begins with "Doctor:" is a new turn.

Languages written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar): every character is a word, pairs of
neighbouring characters are the terms, and in Thai and Lao, which have no full stop, white space ends a sentence.
"""

from rote.text.lists import abbreviations, check_language, stop_words
from rote.text.splitting import sentences
from rote.text.stemming import stem, stems, terms, terms_of
from rote.text.tokenizing import is_repetitive, is_unspaced, tokens, words, written_words

__all__ = [
    "abbreviations",
    "check_language",
    "is_repetitive",
    "is_unspaced",
    "sentences",
    "stem",
    "stems",
    "stop_words",
    "terms",
    "terms_of",
    "tokens",
    "words",
    "written_words",
]
