"""Looking inside a soft prompt: what did its vectors learn, and how would we know?

A question to a soft prompt is asked by altering it: blends with the untrained prompt (`strength`),
some vectors put back (`vectors`), texts in its place (`likeness`), fewer bits and vectors (`size`).
Altered prompts are just more prompts, so their answers come out of the same passes (`measuring`).
Two methods look into a pass instead (`likeness`, `listening`). Every number has its n, its interval
and a control, and every method is tested where the truth is known: on the embedded model, whose
corpus says what makes plain text answerable.
"""
