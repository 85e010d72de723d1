"""Personal data in a text: what finds it, for counting and for redaction alike.

`recognizing` has the built-in recogniser (`patterns`, `dates`, `national_ids`, `places`, `names`; no model, no download),
`presidio` the optional one. `finding.Finder` is the one function that counting (`rote.scoring.leaks`) and redaction
(`rote.reporting.redaction`) share: what one of them sees, the other sees. `plain` undoes what hides a text from patterns:
characters without width, other blanks, dashes and digits.
"""
