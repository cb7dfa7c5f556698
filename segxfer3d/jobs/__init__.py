"""What the bundles compose. Everything here takes a :class:`~segxfer3d.runs.Session` and reads its knobs."""
