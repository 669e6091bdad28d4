"""Reading one final answer off what a model wrote, without looking at the gold answer.

``passage`` prepares the text, ``mention`` finds what may be an answer, and ``choices``, ``yes_no``
and ``numbers`` decide which mention, if any, is the answer that the text settles on.
"""
