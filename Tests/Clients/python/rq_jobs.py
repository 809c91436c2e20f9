"""python3 rq_jobs.py PORT: RQ's workers, and what an application does with them; ends with status 0 if everything was as
it should be. The workers import this file for the jobs.
"""
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta


def add(a, b):
    return a + b


def fail_unless(path):
    if not os.path.exists(path):
        raise RuntimeError("not yet")
    return "at last"


def eventually(what, condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def main(port):
    import redis
    from rq import Queue, Retry, Worker
    from rq.command import send_shutdown_command
    from rq.job import Job
    from rq.registry import FailedJobRegistry, FinishedJobRegistry, ScheduledJobRegistry

    from rq_jobs import add, fail_unless  # under the name that the workers know

    r = redis.Redis(port=port)
    queue = Queue("work", connection=r)
    jobs = [queue.enqueue(add, i, i) for i in range(5)]
    after = queue.enqueue(add, "a", "b", depends_on=jobs)
    here = os.path.dirname(os.path.abspath(__file__))
    command = ["rq", "worker", "--quiet", "--url", f"redis://localhost:{port}", "--path", here]
    # Each job in a process of its own; ends when there are none left.
    subprocess.run([*command, "--burst", "work"], check=True, timeout=50)
    assert [job.result for job in jobs] == [2 * i for i in range(5)], [job.result for job in jobs]
    assert Job.fetch(after.id, connection=r).result == "ab"
    assert len(FinishedJobRegistry(queue=queue)) == 6 and len(queue) == 0

    # It fails, is tried again at once, and fails for good. Then its cause is gone.
    path = f"/tmp/rq-{os.getpid()}"
    failing = queue.enqueue(fail_unless, path, retry=Retry(max=1))
    subprocess.run([*command, "--burst", "work"], check=True, timeout=50, stderr=subprocess.DEVNULL)
    registry = FailedJobRegistry(queue=queue)
    assert failing.id in registry and "not yet" in Job.fetch(failing.id, connection=r).exc_info
    open(path, "w").close()
    registry.requeue(failing.id)

    # A worker that stays, with the scheduler: told to go by its channel.
    delayed = queue.enqueue_in(timedelta(seconds=1), add, 40, 2)
    assert delayed.id in ScheduledJobRegistry(queue=queue)
    worker = subprocess.Popen([*command, "--with-scheduler", "--name", "stays", "work"])
    try:
        eventually("the failed job succeeds", lambda: Job.fetch(failing.id, connection=r).result == "at last")
        eventually("the delayed job is done", lambda: Job.fetch(delayed.id, connection=r).result == 42)
        assert [w.name for w in Worker.all(connection=r)] == ["stays"]
        send_shutdown_command(r, "stays")
        assert worker.wait(50) == 0
        assert Worker.all(connection=r) == []
    finally:
        worker.send_signal(signal.SIGKILL)
        os.unlink(path)


if __name__ == "__main__":
    main(int(sys.argv[1]))
