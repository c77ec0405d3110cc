"""The only place that names concrete classes: settings -> store, models, retriever, policy, recommender, learner."""
