if "__file__" in globals():  # Nuke may run this before it puts the folder on Python's path
    __import__("sys").path.append(str(__import__("pathlib").Path(__file__).absolute().parent))
__import__("layerflow_nuke.startup").startup.init()
