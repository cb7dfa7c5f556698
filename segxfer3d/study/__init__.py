"""A study: a grid of trainings, run and looked after. Nothing is imported here."""
