"""Every command of the window, as data: menus, shortcuts, tooltips and the cheat sheet are made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """Something that the window can do."""

    name: str  # the action's objectName
    menu: str  # where it stands; "" for keys that no menu shows
    label: str
    keys: tuple[str, ...] = ()  # as Qt writes them; Ctrl is Cmd on macOS. The first is shown
    help: str = ""  # one line, without a full stop
    checkable: bool = False
    after_line: bool = False  # a line above it in its menu


MENUS = ("File", "Edit", "Shot", "View", "Playback", "Help")

COMMANDS = (
    Command("new_project", "File", "New project", ("Ctrl+N",), "Begin with an empty project"),
    Command("open_project", "File", "Open…", ("Ctrl+O",), "Open a project, frames that LayerFlow made, or a plate"),
    Command("open_folder", "File", "Open a folder of frames…", ("Ctrl+Shift+O",), "Open the frames in a folder"),
    Command("save_project", "File", "Save", ("Ctrl+S",), "Write the project's file", after_line=True),
    Command("save_project_as", "File", "Save as…", ("Ctrl+Shift+S",), "Write the project into another file"),
    Command("export", "File", "Export…", ("Ctrl+E",), "Write EXR, PNG, ProRes or a contact sheet", after_line=True),
    Command("copy_nuke", "File", "Copy as Nuke nodes", ("Ctrl+Shift+C",), "Copy the comp; paste it into Nuke"),
    Command("send_blender", "File", "Send to Blender", ("Ctrl+Shift+B",), "Open the layers in Blender's Sequencer"),
    Command("reveal_take", "File", "Show frames in their folder", (), "Open the folder of the take's frames"),
    Command("quit", "File", "Quit", ("Ctrl+Q",), "Close the window; jobs go on", after_line=True),
    Command("undo", "Edit", "Undo", ("Ctrl+Z",), "Take the last change back"),
    Command("redo", "Edit", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Do again what was taken back"),
    Command("copy_settings", "Edit", "Copy settings", (), "Copy the take's request as JSON", after_line=True),
    Command("preferences", "Edit", "Preferences…", ("Ctrl+,",), "Memory for frames, folders, Blender"),
    Command("reset_layers", "Edit", "Put all layers back", (), "Show every layer as it was made"),
    Command("generate", "Shot", "Generate", ("Ctrl+Return",), "Make the layers"),
    Command("regenerate", "Shot", "Regenerate", ("Ctrl+Shift+Return",), "Make again what is not locked"),
    Command("cancel_job", "Shot", "Cancel", ("Ctrl+.",), "Stop the job of this take; whole frames stay"),
    Command("next_take", "Shot", "Next take", ("Ctrl+Down",), "Look at the take made after this one", after_line=True),
    Command("previous_take", "Shot", "Previous take", ("Ctrl+Up",), "Look at the take made before this one"),
    Command("compare_takes", "Shot", "Compare with the previous take", ("Ctrl+D",), "Wipe between the two takes"),
    Command("full_screen", "View", "Full screen", ("F11", "Ctrl+F"), "The picture alone; Escape comes back"),
    Command("fit", "View", "Fit", ("F",), "The whole picture in the viewer", after_line=True),
    Command("actual_size", "View", "Actual size", ("Ctrl+1",), "A pixel of the picture for one of the screen"),
    Command("show_rgb", "View", "Colour", ("C",), "All channels", after_line=True),
    Command("show_r", "View", "Red", ("R",), "The red channel, again for colour"),
    Command("show_g", "View", "Green", ("G",), "The green channel, again for colour"),
    Command("show_b", "View", "Blue", ("B",), "The blue channel, again for colour"),
    Command("show_a", "View", "Alpha", ("A",), "The alpha channel, again for colour"),
    Command("show_luminance", "View", "Luminance", ("Y",), "How bright it is, again for colour"),
    Command("toggle_straight", "View", "Straight colour", ("P",), "Colour as if nothing were transparent", True),
    Command("next_background", "View", "Next background", ("H",), "Checkerboard, black, white, own colour"),
    Command("compare_off", "View", "No comparison", ("0",), "One picture", after_line=True),
    Command("compare_wipe", "View", "Wipe", ("W",), "Two pictures and a line between, again for one"),
    Command("compare_difference", "View", "Difference", ("D",), "How far two pictures are apart, again for one"),
    Command("swap", "View", "Swap A and B", ("X",), "A in the place of B"),
    Command("exposure_up", "View", "Brighter", ("]",), "Half a stop up", after_line=True),
    Command("exposure_down", "View", "Darker", ("[",), "Half a stop down"),
    Command("reset_look", "View", "Reset exposure and gamma", ("\\",), "As the display transform has it"),
    Command("play", "Playback", "Play or stop", ("Space",), "Play forward, or stop"),
    Command("shuttle_back", "Playback", "Play backwards", ("J",), "Again: faster"),
    Command("shuttle_stop", "Playback", "Stop", ("K",), "Stop where it is"),
    Command("shuttle_forward", "Playback", "Play forward", ("L",), "Again: faster"),
    Command("step_back", "Playback", "Back a frame", ("Left",), "One frame back", after_line=True),
    Command("step_forward", "Playback", "On a frame", ("Right",), "One frame on"),
    Command("to_start", "Playback", "To the start", ("Home",), "The first frame of the range"),
    Command("to_end", "Playback", "To the end", ("End",), "The last frame of the range"),
    Command("mark_in", "Playback", "Mark in", ("I",), "The range begins here", after_line=True),
    Command("mark_out", "Playback", "Mark out", ("O",), "The range ends here"),
    Command("clear_marks", "Playback", "Whole shot", ("U",), "Forget in and out"),
    Command("next_loop", "Playback", "Loop, once, or to and fro", ("Ctrl+L",), "What happens at the end"),
    Command("shortcuts", "Help", "Keyboard shortcuts", ("F1", "?"), "All keys on one page"),
    Command("doctor", "Help", "What is installed", (), "What the engine has, and what is missing"),
    Command("about", "Help", "About", (), "Version and licences", after_line=True),
)


def commands_of(menu: str) -> tuple[Command, ...]:
    """Those of a menu, in its order."""
    return tuple(command for command in COMMANDS if command.menu == menu)
