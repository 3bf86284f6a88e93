"""How the work of jobs is run: as tasks, in threads, in processes, or as commands."""

from .processes import Processes
from .tasks import Tasks
from .threads import Threads

__all__ = ["Processes", "Tasks", "Threads"]
