"""longgame: a self-hosted recommender that plays the long game."""
