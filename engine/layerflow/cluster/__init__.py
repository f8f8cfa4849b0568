"""Shots made by the machines of a Ray cluster. Ray has the nodes, their resources and what is sent between them."""
