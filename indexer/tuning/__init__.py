"""Choosing the settings of a search by labelled queries: quality against time."""
