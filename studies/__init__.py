"""Studies, which run several recipes or evaluate finished runs."""
