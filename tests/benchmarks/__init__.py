"""How fast the learner is, measured side by side with its rivals.

    python -m tests.benchmarks                         every benchmark, as tables
    python -m tests.benchmarks training_step floor --json times.json
    python -m tests.benchmarks --list

Each file with a ``run`` is one benchmark: it makes sure that both
sides do the same work, then times them in turn (`timing`), and yields lines for the table
(`report`). Both stand on the same random weights (`models`); what they are up against is written
in `rivals`.
"""
