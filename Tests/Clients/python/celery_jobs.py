"""python3 celery_jobs.py PORT: a Celery worker, and what an application does with it; ends with status 0 if everything was
as it should be. The worker imports this file for the tasks.
"""
import os
import signal
import subprocess
import sys
import time

from celery import Celery, chain, chord, group

PORT = sys.argv[1] if __name__ == "__main__" else os.environ["CELERY_REDIS_PORT"]
app = Celery("celery_jobs", broker=f"redis://localhost:{PORT}/0", backend=f"redis://localhost:{PORT}/1")
app.conf.update(task_default_queue="work", worker_prefetch_multiplier=1, broker_transport_options={"visibility_timeout": 3600})
if __name__ == "__main__":
    app.set_current()


@app.task(name="add")
def add(a, b):
    return a + b


@app.task(name="total")
def total(numbers):
    return sum(numbers)


@app.task(name="fails_twice", bind=True, max_retries=5)
def fails_twice(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task(name="hopeless")
def hopeless():
    raise ValueError("never")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    environment = dict(os.environ, CELERY_REDIS_PORT=PORT)
    command = ["/usr/bin/python3", "-B", "-m", "celery", "-A", "celery_jobs", "worker", "--concurrency", "2", "--loglevel", "ERROR"]
    before = add.delay(1, 2)  # waits for the worker
    worker = subprocess.Popen(command, cwd=here, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert before.get(timeout=60) == 3
        results = group(add.s(i, i) for i in range(50))().get(timeout=60)
        assert results == [2 * i for i in range(50)], results
        assert chain(add.s(1, 2), add.s(10), add.s(100))().get(timeout=60) == 113
        assert chord((add.s(i, 1) for i in range(20)), total.s())().get(timeout=60) == sum(range(1, 21))
        assert fails_twice.delay().get(timeout=60) == 2
        try:
            hopeless.delay().get(timeout=60)
            raise AssertionError("it must fail")
        except ValueError as e:
            assert str(e) == "never"
        began = time.monotonic()
        assert add.apply_async((20, 22), countdown=1).get(timeout=60) == 42
        assert time.monotonic() - began >= 0.9
        # By the worker's own channel.
        (reply,) = app.control.ping(timeout=20, limit=1)
        assert list(reply.values()) == [{"ok": "pong"}], reply
        far = add.apply_async((1, 1), countdown=3600)
        app.control.revoke(far.id)
        app.control.broadcast("shutdown")
        assert worker.wait(60) == 0
    finally:
        worker.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
