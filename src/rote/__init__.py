"""rote: how much of its fine-tuning data did a language model learn by rote, and which records can be made to come out?

The pipeline: `corpus` reads the records, `finetuning` trains, `generation` prompts the models with prefixes,
`retrieval` finds candidate training texts for each generation, `alignment` finds the passages they share and their
kinds, `scoring` turns them into scores and estimates beside their controls, `reporting` shows them. `records` are what
passes between the stages, `pipeline` runs them all, `runs` keeps their results.
"""

__version__ = "0.1.0"
