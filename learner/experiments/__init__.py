"""Experiments: runs that are measured, kept, resumed and compared.

A `settings.Experiment` says everything that decides a run. `engine.advance` takes runs forward,
many at once in merged passes, and knows neither files nor pages: the command line drives it on the
bare model, the app through the service. `lessons` picks the problems, `measuring` marks the
answers, `folder` and `results_file` keep what happened, `figures` draws it, `table`
compares it, and `reproduction` makes the whole report.
"""
