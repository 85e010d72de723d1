import pytest

from fakes import token_statistics
from rote.scoring.likelihood import exact_memorization, extractable, loss


def test_metrics_by_hand():
    tokens = token_statistics((-0.5, -1.5), (True, False))
    assert loss(tokens) == 1.0
    assert exact_memorization(tokens) == 0.5
    assert extractable(tokens, 1) is True
    assert extractable(tokens, 2) is False


def test_metrics_of_nothing_are_none():
    nothing = token_statistics((), ())
    assert (loss(nothing), exact_memorization(nothing), extractable(nothing, 1)) == (None, None, None)


def test_extractable_needs_that_many_tokens():
    tokens = token_statistics((-0.1, -0.1, -5.0), (True, True, False))
    assert [extractable(tokens, count) for count in (1, 2, 3, 4)] == [True, True, False, None]
    with pytest.raises(ValueError, match=r"suffix_tokens >= 1, got 0"):
        extractable(tokens, 0)


def test_the_loss_of_certainty_is_zero_not_minus_zero():
    assert str(loss(token_statistics((0.0, 0.0), (True, True)))) == "0.0"
