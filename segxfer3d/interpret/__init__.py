"""Looking into trained networks: similarity of their features, and what they look at. Nothing is imported here."""
