"""Settings that follow from earlier ones: what is tried, what came back, what is judged.

A trial is a setting of one config, and its runs are those of the search seeds. What is known of
trials lies in a study, a database; what is known of a run lies in its files, as in every sweep. So
a search that was stopped goes on, and several commands may work on one.
"""
