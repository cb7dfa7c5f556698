"""``python -m segxfer3d.cli``."""

from segxfer3d.cli import main

main()
