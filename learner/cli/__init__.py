"""The commands of ``python -m learner``, a file each."""
