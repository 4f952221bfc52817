"""A program under ``hf-strategies run`` is what it is under ``python``: nothing of it can tell the difference."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT
from tests.launch.commands import python, run

PROGRAMS = {
    "arguments, name, file and folder": "import sys\nprint(sys.argv, __name__, __file__, sys.path[0], __spec__)",
    "a module beside the script": "import beside\nprint(beside.VALUE)",
    "standard input": "import sys\nprint(sys.stdin.read()[::-1])",
    "an exit code": "import sys\nprint('before')\nsys.exit(3)",
    "a text as exit code": "import sys\nsys.exit('no data here')",
    "an error": "def broken():\n    raise ValueError('a mistake of the script')\n\nbroken()",
    "an error of the syntax": "print('never')\nx = = 1",
    "an interrupt": "raise KeyboardInterrupt",
    "spawned workers": (
        "import multiprocessing as mp\n\n\ndef double(x):\n    return 2 * x\n\n\n"
        "if __name__ == '__main__':\n    with mp.get_context('spawn').Pool(2) as pool:\n"
        "        print(pool.map(double, [1, 2, 3]), double.__module__)"
    ),
    "a pickled class of the script": (
        "import pickle\n\n\nclass Row:\n    pass\n\n\nprint(type(pickle.loads(pickle.dumps(Row()))).__qualname__, "
        "b'__main__' in pickle.dumps(Row()))"
    ),
    "warnings as they are asked for": "import warnings\nwarnings.warn('soon gone')",
    "an output that is not flushed": "import sys\nsys.stdout.write('half a line')",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "beside.py").write_text("VALUE = 7\n")
    return tmp_path


@pytest.mark.parametrize("name", PROGRAMS)
def test_output_errors_and_exit_code_are_the_same(name: str, folder: Path) -> None:
    script = folder / "scripts" / "program.py"
    script.write_text(PROGRAMS[name] + "\n")
    words = ["scripts/program.py", "--early_stopping_patience", "x y", "-m"]
    plain, ours = (call(words, folder, input="abc") for call in (python, run))
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_a_module_of_a_package_runs_with_its_relative_imports(folder: Path) -> None:
    package = folder / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "names.py").write_text("NAME = 'relative'\n")
    (package / "train.py").write_text("import sys\nfrom .names import NAME\nprint(NAME, __spec__.name, sys.argv)\n")
    plain, ours = (call(["-m", "mine.train", "--x"], folder) for call in (python, run))
    assert ours.stdout == plain.stdout != ""
    assert (ours.returncode, ours.stderr) == (0, "")


def test_a_folder_with_a_main_runs(folder: Path) -> None:
    (folder / "scripts" / "__main__.py").write_text("import beside, sys\nprint(beside.VALUE, sys.argv)\n")
    plain, ours = (call(["scripts", "1"], folder) for call in (python, run))
    assert ours.stdout == plain.stdout != ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_reaches_the_program_itself(number: signal.Signals, folder: Path) -> None:
    script = folder / "wait.py"
    script.write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    codes = []
    for words in (["wait.py"], ["-m", "hf_strategies", "run", "wait.py"]):
        environment = {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"}
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        codes.append(process.wait(timeout=30))
        process.stdout.close()
    assert codes[0] == codes[1] != 0


def test_options_of_python_stay(folder: Path) -> None:
    (folder / "options.py").write_text("import sys\nprint(sys.flags.optimize, sys.warnoptions, sys.flags.dev_mode)\n")
    words = ["-O", "-W", "ignore::DeprecationWarning"]
    plain = python([*words, "options.py"], folder)
    ours = python([*words, "-m", "hf_strategies", "run", "options.py"], folder)
    assert ours.stdout == plain.stdout


def test_a_sitecustomize_of_the_environment_runs_too(folder: Path) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text("import sys\nsys.customized = True\n")
    (folder / "ask.py").write_text("import sys, sitecustomize\nprint(sys.customized, sitecustomize.__file__)\n")
    done = run(["ask.py"], folder, variables={"PYTHONPATH": f"{CHECKOUT}:{folder / 'site'}"})
    assert done.stdout.split() == ["True", str(folder / "site" / "sitecustomize.py")]


def test_torch_and_transformers_are_not_loaded_by_it(folder: Path) -> None:
    (folder / "light.py").write_text(
        "import sys\nprint([n for n in sys.modules if n in ('torch', 'transformers')])\n"
    )
    assert run(["light.py"], folder).stdout == "[]\n"
