"""Bias amplification: are target and bias associated more strongly in the predictions than in the
labels?
"""
