"""A lock that dies with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.adapters.process_lock import ProcessLock
from jobs.errors import Misconfigured

_HOLDER = """
import sys
from pathlib import Path
from jobs.adapters.process_lock import ProcessLock
lock = ProcessLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""

_FORK = """
import os
if os.fork() == 0:
    print("child", flush=True)
    sys.stdin.read()
else:
    os.wait()
"""


def test_one_holds_it_and_the_others_do_not(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path / "new" / "a.lock"), ProcessLock(tmp_path / "new" / "a.lock")
    assert first.acquire()
    assert not second.acquire()
    assert second.holder() == os.getpid()
    first.release()
    assert second.holder() is None
    assert second.acquire()
    second.release()


def test_locks_of_other_files_are_free(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path / "a.lock"), ProcessLock(tmp_path / "b.lock")
    assert first.acquire()
    assert second.acquire()
    first.release()
    second.release()


def test_releasing_what_is_not_held_does_nothing(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path / "a.lock"), ProcessLock(tmp_path / "a.lock")
    assert first.acquire()
    second.release()
    assert not second.acquire()
    first.release()
    first.release()


def test_a_killed_process_frees_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock = ProcessLock(path)
    with subprocess.Popen([sys.executable, "-c", _HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert not lock.acquire()
        assert lock.holder() == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert lock.acquire()
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_that_outlives_the_killed_process_does_not_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock = ProcessLock(path)
    forking = _HOLDER.replace("sys.stdin.read()", _FORK)
    with subprocess.Popen([sys.executable, "-c", forking, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        assert process.stdout.readline() == b"child\n"
        assert not lock.acquire()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert lock.acquire()
    lock.release()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")
def test_a_place_without_locks_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match=r"lock .*a\.lock") as caught:
        ProcessLock(tmp_path / "file" / "a.lock").acquire()
    assert "local disk" in caught.value.hint
    with pytest.raises(Misconfigured):
        ProcessLock(tmp_path).acquire()
