"""One stack per test module that asks for it; its logs are kept below the test run's directory when a test failed."""
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stack import ROOT, Stack  # noqa: E402


def pytest_runtest_makereport(item, call):
    if call.excinfo is not None:
        item.session.some_test_failed = True


def new_run_dir(name):
    base = Path(os.environ.get("PAYBUF_TEST_RUN_DIR", tempfile.gettempdir()))
    base.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"e2e-{name}-", dir=base))


@pytest.fixture
def make_stack(request):
    """make_stack(partitions=4) -> a Stack that isn't up yet; it is wiped at the end of the test."""
    made = []

    def make(**options):
        stack = Stack(new_run_dir(request.node.name[:40]), **options)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        keep_logs(request, stack)
        stack.down()
        shutil.rmtree(stack.run_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def servers(request):
    """Kafka and PostgreSQL; each test takes a ledger of its own on them. Those of ./dev test where it runs us, else a pair for the module."""
    given = os.environ.get("PAYBUF_TEST_RUN_DIR")
    shared = given is not None and (Path(given) / "env").exists()
    stack = Stack(given if shared else new_run_dir(request.module.__name__))
    try:
        stack.up_servers()                  # also where a failed test left one of them dead
        yield stack
    finally:
        keep_logs(request, stack)
        if shared:
            for ledger in stack.ledgers:
                ledger.drop()
        else:
            stack.down()
            shutil.rmtree(stack.run_dir, ignore_errors=True)


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


@pytest.fixture(scope="module")
def module_stack(request):
    """One stack for a module's tests that don't break servers: 4 partitions, intake, worker-1, accounts a-0 .. a-99."""
    stack = Stack(new_run_dir(request.module.__name__))
    try:
        stack.up(workers=("worker-1",))
        stack.open_accounts([f"a-{i}" for i in range(100)])
        yield stack
    finally:
        keep_logs(request, stack)
        stack.down()
        shutil.rmtree(stack.run_dir, ignore_errors=True)


def keep_logs(request, stack):
    if not getattr(request.session, "some_test_failed", False):
        return
    target = Path(os.environ.get("PAYBUF_TEST_LOGS", ROOT / "run" / "log" / "e2e")) / stack.run_dir.name
    shutil.copytree(stack.run_dir / "log", target, dirs_exist_ok=True)
    for ledger in stack.ledgers:
        shutil.copytree(ledger.run_dir / "log", target / ledger.group, dirs_exist_ok=True)
