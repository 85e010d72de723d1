"""Memorisation explained by sparse coding: the numbers and their page."""
