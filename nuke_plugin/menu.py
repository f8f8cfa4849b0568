__import__("layerflow_nuke.startup").startup.menu()
