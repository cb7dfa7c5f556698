"""What the bundles compose: the only room that knows data, models and a run together."""
