"""Experiments: runs that are measured, kept, resumed and compared.

A `settings.Experiment` says everything that decides a run. `engine.advance` takes runs forward,
many at once in merged passes, and knows neither files nor pages; `running.run_to_end` saves and
times them, driven by the command line on the bare model and in the `background` by the app through
the service. `problem_order` picks the problems, `folder` and `results_file` keep what happened,
`estimates` judges it, and `figures` draws it.
"""
