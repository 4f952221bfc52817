"""What Python runs first in each process that ``hf-strategies run`` has started, directly or through others.

Python imports the module ``sitecustomize`` when it starts, and this folder comes first on its path there. Another
``sitecustomize`` that the environment has runs too. Nothing more happens until the process imports transformers; then
`hf_strategies.launch.activation` makes the names of the schedules valid, and adds the callbacks. This file imports
nothing of the package: most processes of a tree need none of it, and some have another environment.
"""

import atexit
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))


class _Transformers:
    """A finder that calls `activate` as soon as transformers is imported, and before anything of it is used."""

    done = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find transformers as the other finders do; no other module."""
        if self.done or name.partition(".")[0] != "transformers":
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _ThenActivate(spec.loader, self)
                return spec  # type: ignore[no-any-return]
        return None

    def activate(self) -> None:
        """Call what the package does in such a process; at a later import if transformers is not ready for it yet."""
        self.done = True
        try:
            from hf_strategies.launch.activation import activate
        except ImportError as mistake:
            if mistake.name == "hf_strategies":
                line = f"hf_strategies is not installed for {sys.executable}: its schedules are unknown there"
                print(line, file=sys.stderr)
            else:
                self.done = False
            return
        activate()


class _ThenActivate:
    """The loader of a module of transformers; the module gets its own loader back before it is executed."""

    def __init__(self, loader: Any, finder: _Transformers) -> None:
        self._loader, self._finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if not self._finder.done:
            self._finder.activate()


def _run_other() -> None:
    """Run the ``sitecustomize`` that Python would have run without this one."""
    others = [folder for folder in sys.path if os.path.abspath(folder) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _is_root() -> bool:
    return os.environ.get("HF_STRATEGIES_RUN_ROOT") == str(os.getpid())


def _warn_of_no_trainer() -> None:
    if _is_root():  # and not a fork of it
        from hf_strategies.launch.environment import warn_of_no_trainer

        warn_of_no_trainer()


sys.meta_path.insert(0, _Transformers())
if _is_root():
    atexit.register(_warn_of_no_trainer)
_run_other()
