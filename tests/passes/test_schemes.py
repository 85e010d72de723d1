import doctest

import pytest

from rote.config import ScoringConfig
from rote.errors import ConfigError
from rote.passes import schemes
from rote.passes.schemes import PLAIN, Scheme, parse_scheme, parse_schemes


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("t1", PLAIN),
        ("k40", Scheme(1.0, 40, 1.0)),
        ("t0.8-k40-p0.95", Scheme(0.8, 40, 0.95)),
        ("p0.5-t2", Scheme(2.0, 0, 0.5)),
    ],
)
def test_a_scheme_is_read_and_its_label_read_back(text, scheme):
    assert parse_scheme(text) == scheme
    assert parse_scheme(scheme.label) == scheme


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"'' is none of tNUMBER, kNUMBER, pNUMBER"),
        ("greedy", r"'greedy' is none of"),
        ("t1-t2", r"'t2' is given twice"),
        ("t0", r"the temperature must be > 0, found 0"),
        ("t-1", r"'t' is none of"),
        ("t1..5", r"'1\.\.5' is not a number"),
        ("k1.5", r"k must be a whole number, found 1\.5"),
        ("p0", r"p must be in \(0, 1\], found 0"),
        ("p1.5", r"p must be in \(0, 1\], found 1\.5"),
        ("tinf", r"'tinf' is none of"),
        ("T1", r"'T1' is none of"),
    ],
)
def test_a_wrong_scheme_is_an_error_that_shows_it(text, message):
    with pytest.raises(ConfigError, match=rf"scoring\.schemes: '{text}': {message}"):
        parse_scheme(text)


def test_there_must_be_a_scheme_and_none_twice():
    with pytest.raises(ConfigError, match="at least one decoding scheme"):
        parse_schemes([])
    with pytest.raises(ConfigError, match="t1-k0-p1 is given twice"):
        parse_schemes(["t1", "k0"])


def test_the_defaults_are_plain_top_k_and_top_p():
    plain, top_k, top_p = parse_schemes(ScoringConfig().schemes)
    assert plain == PLAIN
    assert top_k.top_k == 40
    assert top_p.top_p < 1


def test_examples_in_the_documentation():
    assert doctest.testmod(schemes).failed == 0
