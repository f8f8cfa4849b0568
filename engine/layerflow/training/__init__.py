"""How the bundled model is made: packed data, layered clips, codec and text table, training stages."""
