"""Bias amplification: does the model use the bias attribute more than the data do?"""
