"""One stack per test module that asks for it; its logs are kept below the test run's directory when a test failed."""
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from intake_waiting import start_following  # noqa: E402
from raw_http import Connection  # noqa: E402
from stack import ROOT, Stack  # noqa: E402


def pytest_runtest_makereport(item, call):
    if call.excinfo is not None:
        item.session.some_test_failed = True


def new_run_dir(name):
    base = Path(os.environ.get("PAYBUF_TEST_RUN_DIR", tempfile.gettempdir()))
    base.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"e2e-{name}-", dir=base))


@contextmanager
def own_stack(request, name, **options):
    """A Stack with servers of its own, not up yet; wiped at the end."""
    stack = Stack(new_run_dir(name), **options)
    try:
        yield stack
    finally:
        keep_logs(request, stack)
        stack.down()
        shutil.rmtree(stack.run_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def servers(request):
    """Kafka and PostgreSQL; each test takes a ledger of its own on them. Those of ./dev test where it runs us, which other files use
    at the same time; else, and for a module that says OWN_SERVERS, a pair for the module."""
    given = os.environ.get("PAYBUF_TEST_RUN_DIR")
    shared = given is not None and (Path(given) / "env").exists() and not getattr(request.module, "OWN_SERVERS", False)
    if not shared:
        with own_stack(request, request.module.__name__) as stack:
            stack.up_servers()
            yield stack
        return
    stack = Stack(given)
    try:
        stack.up_servers()                  # also where a failed test left one of them dead
        yield stack
    finally:
        keep_logs(request, stack)
        for ledger in stack.ledgers:
            ledger.drop()


@pytest.fixture
def new_ledger(request, servers):
    """new_ledger(partitions=4, workers=("worker-1",), accounts=[..]) -> a Stack that is up; its programs end with the test."""
    made = []

    def make(**options):
        made.append(servers.new_ledger(request.node.name.removeprefix("test_"), **options))
        return made[-1]

    yield make
    for ledger in made:
        ledger.kill_children()


@pytest.fixture
def idle(new_ledger):
    """A ledger with an intake and nobody who settles."""
    ledger = new_ledger(workers=(), accounts=["alice"])
    start_following(ledger)
    return ledger


@pytest.fixture
def connection(intake):
    """One to the module's intake."""
    with Connection(intake.env["PAYBUF_HTTP_URL"]) as one:
        yield one


def keep_logs(request, stack):
    if not getattr(request.session, "some_test_failed", False):
        return
    target = Path(os.environ.get("PAYBUF_TEST_LOGS", ROOT / "run" / "log" / "e2e")) / stack.run_dir.name
    shutil.copytree(stack.run_dir / "log", target, dirs_exist_ok=True)
    for ledger in stack.ledgers:
        shutil.copytree(ledger.run_dir / "log", target / ledger.group, dirs_exist_ok=True)
