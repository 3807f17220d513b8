"""The actions of ``debias data``, one module per action."""
