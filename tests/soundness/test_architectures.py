"""A dozen architectures that cover the kinds, through rote and by brute force; all of them: benchmarks/architectures.py."""

import pytest
import torch
from architectures import Brute, build, compare, lively, table

KINDS = {
    ("causal", "llama"): "measured",
    ("causal", "gemma3_text"): "measured",
    ("causal", "mixtral"): "measured",
    ("causal", "mamba"): "measured",
    ("causal", "bloom"): "measured",
    ("causal", "rwkv"): "one by one",
    ("causal", "recurrent_gemma"): "equal lengths",
    ("causal", "bart"): "equal lengths",
    ("causal", "bert"): "refused",
    ("causal", "xlnet"): "refused",
    ("sequence-to-sequence", "t5"): "measured",
    ("sequence-to-sequence", "fsmt"): "measured",
    ("sequence-to-sequence", "nllb-moe"): None,
    ("sequence-to-sequence", "switch_transformers"): None,
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_rote_says_what_brute_force_says(kind, name):
    found = compare(build(kind, name), kind)
    assert found.outcome not in ("WRONG", "TRACEBACK"), found.reason
    if KINDS[kind, name]:
        assert found.outcome.startswith(KINDS[kind, name]), found.reason
    if found.outcome == "refused":
        assert "cannot be audited" in found.reason
    else:
        assert found.nats < 1e-3
        assert "| WRONG | 0 |" in "\n".join(table([found]))


def test_brute_force_is_greedy_decoding_by_its_definition():
    from fakes import tiny_decoder

    network = lively(tiny_decoder(tokens=259), 2.0)
    written, gaps = Brute(network).greedy([5, 6, 7], 6, [258])
    own = network.generate(
        input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=6, do_sample=False, suppress_tokens=[258],
        pad_token_id=258,
    )  # fmt: skip
    assert own[0, 3:].tolist() == written
    assert min(gaps) > 0
