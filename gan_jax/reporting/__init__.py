"""Plots, tables, records, and the HTML report."""
