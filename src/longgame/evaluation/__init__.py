"""Log + policy -> numbers with errors. Ranking, off-policy estimates and simulated returns are kept apart."""
