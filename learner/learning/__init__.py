"""What is learnt and how: the learner as a value, and one step for many learners at once."""
