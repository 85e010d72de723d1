"""Before stage 3: a model is tried on a few texts, so that what is measured is what it says.

A number of an audit is right only if the model is causal, if a text's numbers depend neither on the texts beside it, nor on
padding, nor on what was read before, and if the teacher-forced pass sees what generation wrote. `trial` finds out, through
the functions that the audit uses, against plain calls of the model one text at a time. A model that fails is used in a way
in which it passes (texts of equal lengths together, one by one, without its cache, up to a number of tokens), or refused.
`agreement` asks again of real generations, when they are there.

What this does not know: whether the weights are the right ones, and whether the texts are what the model was trained on.
"""

from rote.soundness.agreement import agreement, check_agreement
from rote.soundness.samples import Samples, draw_samples
from rote.soundness.sentences import agreement_sentence, soundness_sentence
from rote.soundness.trial import as_tried, trial

__all__ = [
    "Samples",
    "agreement",
    "agreement_sentence",
    "as_tried",
    "check_agreement",
    "draw_samples",
    "soundness_sentence",
    "trial",
]
