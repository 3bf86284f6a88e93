"""How the work of jobs is run: as tasks, in threads, in processes, or as commands."""

from .commands import Commands
from .processes import Processes
from .tasks import Tasks
from .threads import Threads

__all__ = ["Commands", "Processes", "Tasks", "Threads"]
