#!/usr/bin/env python3
"""The table of bad requests (bad_requests.py) against a real program under the shim."""
import os
import subprocess
import sys

import harness

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'bad_requests.py')


def main():
    with harness.Target("chat_server", "--port", "0") as target:
        target.wait_ready()
        command = [sys.executable, TABLE, '--port', str(target.port), '--key', harness.KEY]
        table = subprocess.run(command, stdin=subprocess.DEVNULL)
        alive = target.p.poll() is None
    if not alive:
        print('the program under the shim ended')
        print('0 passed, 1 failed')
    sys.exit(table.returncode or not alive)


main()
