#!/usr/bin/env python3
"""Ten thousand plugins, each loaded, used and unloaded: all keep their names, and what the library
takes for them is bounded.

    COUNT=10000 test/storm/plugins.py
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '../e2e'))

import harness  # noqa: E402
from test_plugins import come_and_go  # noqa: E402

COUNT = int(os.environ.get('COUNT', 10000))


def test_ten_thousand_plugins():
    come_and_go(COUNT, 1, limit=600, bytes_each=3000)


if __name__ == '__main__':
    harness.run(test_ten_thousand_plugins)
