#!/usr/bin/env bash
# transformers 5.23.0, `apply_chat_template`: a message's `thinking` or `reasoning` is rendered as `reasoning_content`.
#
# A good guess: a template sees the messages as they are given, so a field that the template does not name is not in the text.
# What it does: the value of `reasoning_content`, `thinking` or `reasoning` (the first that is there) is copied to
# `reasoning_content` and to `thinking` before the template runs. Whoever finds the fields that a template leaves out by looking for
# their names in the template says "not used" of text that the model was trained on, and the same template and data give another
# text under an older version, or under another engine that renders the template itself.
# Seen on 2026-11-28: with a template that reads `reasoning_content` alone, `thinking` and `reasoning` are both in the text.
# Source: transformers 5.23.0, utils/chat_template_utils.py.
#
# Exits with 0 while that is so, and with 1 once it changes. Installs into a temporary folder (about 150 MB, no torch).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 jinja2==3.1.6
cat > "$work/seen.py" <<'PY'
import sys

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

TEMPLATE = "{% for message in messages %}[{{ message.content }}|{{ message.reasoning_content }}]{% endfor %}"
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))


def rendered(**field):
    chat = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "answer", **field}]
    return tokenizer.apply_chat_template(chat, chat_template=TEMPLATE, tokenize=False)


found = {name: rendered(**{name: "secret"}) for name in ("reasoning_content", "thinking", "reasoning", "thoughts")}
for name, text in found.items():
    print(f"{name:18} {text}")
expected = "[q|][answer|secret]"
sys.exit(not (found["thoughts"] == "[q|][answer|]" and all(found[name] == expected for name in list(found)[:3])))
PY
"$work/venv/bin/python" "$work/seen.py"
