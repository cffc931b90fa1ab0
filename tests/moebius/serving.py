"""A server program for the tests that are clients in Python."""
import contextlib
import subprocess

SECONDS_MAX = 30


@contextlib.contextmanager
def served(program, *arguments):
    """Starts `program`, gives the endpoint that it prints and the process, and ends it."""
    server = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().strip(), server
        if server.poll() is None:
            server.terminate()
            if server.wait(SECONDS_MAX) != 0:
                raise SystemExit(f"the server ended with {server.returncode}")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def expect(found, wanted, what):
    if found != wanted:
        raise SystemExit(f"{what}: got {found!r} instead of {wanted!r}")
