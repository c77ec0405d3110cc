"""Worlds with a known truth, and the rollout that turns their steps into the records that serving writes."""
