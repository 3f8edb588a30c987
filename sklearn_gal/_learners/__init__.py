"""Fitting one organization's estimator to one residual after the other."""
