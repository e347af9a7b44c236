"""Answers questions of the tests: serve.py SOCKET

A question is a line {"module": ..., "name": ..., "given": {...}}: it calls name(**given) of module.py, which lies beside
this file, or in tests/torch or tests/torch/architectures.
The answer is a line {"result": ...} or {"error": TRACEBACK}. Ends with its standard input.
"""

import importlib
import json
import os
import socket
import sys
import threading
import traceback
import warnings
from pathlib import Path

TORCH = Path(__file__).parents[2] / "torch"
sys.path += [str(TORCH), str(TORCH / "architectures")]
warnings.filterwarnings("ignore")
one_at_a_time = threading.Lock()


def answer(line):
    question = json.loads(line)
    try:
        with one_at_a_time:
            function = getattr(importlib.import_module(question["module"]), question["name"])
            return {"result": function(**question["given"])}
    except BaseException:
        return {"error": traceback.format_exc()}


def serve(connection):
    # Two streams: writing to one that is open for both throws away the lines that it has read ahead.
    with connection, connection.makefile("r", encoding="utf-8") as questions, connection.makefile("w", encoding="utf-8") as answers:
        for line in questions:
            answers.write(json.dumps(answer(line)) + "\n")
            answers.flush()


def listen(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    while True:
        connection, _ = server.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


threading.Thread(target=listen, args=(sys.argv[1],), daemon=True).start()
sys.stdin.read()
os._exit(0)
