"""What the bundles compose. Everything here takes a :class:`~segxfer3d.run.folder.Session` and reads its knobs."""
