#!/usr/bin/env bash
# peft 0.21.2, LILY (`LilyConfig`): an adapted causal model is not causal, and a row's logits depend on the rows beside it.
#
# A good guess: an adapter on q_proj and v_proj of a causal model leaves it causal, as LoRA does, so that teacher forcing scores
# each token given what stands before it, alone or in any batch.
# What it does: LILY's router takes the mean of its expert weights over all positions of all rows, so later tokens and other rows
# decide how much each expert adds. Log-probabilities of one text move when the text is cut, and when another text stands beside
# it; generation step by step differs from a forward pass over the finished text.
# Seen on 2026-11-28 (torch 2.13.0 on a CPU, transformers 5.23.0): plain model 5e-07 and 0 nats; with LILY 0.07 and 0.20 nats.
# Source: peft 0.21.2, tuners/lily/layer.py.
#
# Exits with 0 while that is so, and with 1 once it changes. Installs into a temporary folder (about 1 GB).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 peft==0.21.2 torch==2.13.0
cat > "$work/seen.py" <<'PY'
import sys
import warnings

import torch
from peft import LilyConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
torch.manual_seed(0)
torch.set_num_threads(1)
size = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4)
model = LlamaForCausalLM(LlamaConfig(vocab_size=64, max_position_embeddings=64, **size)).eval()
text, other = torch.randint(0, 64, (2, 1, 32))


def moved(net):
    """Largest change of a log-probability when later tokens are cut off, and when another text stands beside."""
    with torch.inference_mode():
        whole = net(text).logits.log_softmax(-1)
        cut = net(text[:, :20]).logits.log_softmax(-1)
        beside = net(torch.cat([text, other])).logits.log_softmax(-1)[:1]
    return float((whole[:, :20] - cut).abs().max()), float((whole - beside).abs().max())


plain = moved(model)
adapted = get_peft_model(model, LilyConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], r=4)).eval()
with torch.no_grad():
    for weight in (weight for weight in adapted.parameters() if weight.requires_grad):
        weight.copy_(torch.randn_like(weight) / 2)  # as after some training: LILY starts at nothing
lily = moved(adapted)
print("nats moved by (cutting later tokens, another row beside): plain %.1g, %.1g" % plain)
print("nats moved by (cutting later tokens, another row beside): LILY  %.2g, %.2g" % lily)
sys.exit(not (max(plain) < 1e-4 and min(lily) > 1e-2))
PY
"$work/venv/bin/python" "$work/seen.py"
