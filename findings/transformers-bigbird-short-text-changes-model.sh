#!/usr/bin/env bash
# transformers 5.23.0, BigBird with `attention_type="block_sparse"`: one call on a short text changes the model for good.
#
# A good guess: a model in evaluation mode has no state between calls, so the logits of a text do not depend on the texts that
# were read before it.
# What it does: a text that is too short for blocks is read with full attention, and the instance keeps full attention from then
# on. The same long text has other logits before and after. Whoever scores texts of mixed lengths gets numbers that depend on
# their order: longest first gives block-sparse numbers, one short text first gives full-attention ones.
# BigBirdPegasus does the same in its encoder.
# Seen on 2026-11-28 (torch 2.13.0 on a CPU): the same call twice differs by 0 nats; with a short text read in between, by 2.5.
# Source: transformers 5.23.0, models/big_bird/modeling_big_bird.py.
#
# Exits with 0 while that is so, and with 1 once it changes. Installs into a temporary folder (about 1 GB).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 torch==2.13.0
cat > "$work/seen.py" <<'PY'
import sys

import torch
from transformers import BigBirdConfig, BigBirdForCausalLM, logging

logging.set_verbosity_error()
torch.manual_seed(0)
torch.set_num_threads(1)
size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512)
sparse = dict(attention_type="block_sparse", block_size=8, num_random_blocks=1)
model = BigBirdForCausalLM(BigBirdConfig(vocab_size=64, is_decoder=True, **size, **sparse)).eval()
with torch.no_grad():
    for weight in model.parameters():
        if weight.dim() > 1:  # weights as lively as trained ones
            weight.copy_(torch.randn_like(weight) / weight.shape[-1] ** 0.5)
long, short = torch.randint(0, 64, (1, 256)), torch.randint(0, 64, (1, 16))


def log_probabilities(ids):
    with torch.inference_mode():
        return model(ids).logits.log_softmax(-1)


first, again = log_probabilities(long), log_probabilities(long)
log_probabilities(short)
after = log_probabilities(long)
same, moved = float((first - again).abs().max()), float((first - after).abs().max())
print(f"the same call twice: {same:.2g} nats; with a short text in between: {moved:.2g} nats")
sys.exit(not (same < 1e-4 and moved > 0.1))
PY
"$work/venv/bin/python" "$work/seen.py"
