"""Read, decide, write, answer. ``service`` knows no framework; ``http`` is its edge to the world; ``server`` runs it."""
