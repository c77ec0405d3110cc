"""Log -> batches -> updates -> gate -> a new snapshot live."""
