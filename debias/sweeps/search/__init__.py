"""Search settings: propose trials, train their runs, and choose the best on validation.

A trial is one setting of one config. It has one run per search seed. Trials are stored in a study,
which is a database, and runs in their files, as in every sweep. A stopped search can therefore
resume, and several commands can work on one search.
"""
